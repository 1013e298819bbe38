"""Names that a terminal, GitHub or UTF-8 would trip over: the run works, and nothing obeys them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fuzz.watch import obeyed
from tests.inner import Done, run
from tests.project import CLASSES, NETS, SUITE, card, pictures, write
from vision_evals import log

BAD = "x\n::stop-commands::pwned\n##[error]\x1b[2J\x9b\u202ey.png"
SUITES = os.fsdecode(b"s_\xfc")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project and its suites in folders whose names hold bytes that are not UTF-8."""
    folder = tmp_path_factory.mktemp("names") / os.fsdecode(b"caf\xe9")
    suite = SUITE.replace('"pictures"', '"../pictures"')
    files = {"pyproject.toml": card("color", "named_nets:Color"), "named_nets.py": NETS}
    write(folder, {**files, "classes.txt": CLASSES, f"{SUITES}/a.toml": suite})
    pictures(folder / "pictures", 2, (16, 16))
    (folder / "pictures" / "red" / BAD).write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def done(project: Path) -> Iterator[Done]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.delenv("GITHUB_WORKSPACE", raising=False)
        options = ("--junitxml=j.xml", "--evals-markdown=m.md", "--evals-report=r.html", "-v")
        yield run(project, SUITES, *options)


def test_the_run_is_judged_and_logged(project: Path, done: Done) -> None:
    assert done.code == 1, done.out + done.err
    judged = log.read(project / "runs" / "latest")
    (item,) = judged.items
    assert item.suite == r"s_\xfc/a.toml"
    assert item.metrics[0].value == 1.0
    assert item.metrics[0].n == 6
    assert judged.image_sets[0].unreadable[0].image == f"red/{BAD}", "an id is exact"
    assert "INTERNALERROR" not in done.out


def test_no_line_of_the_output_is_obeyed(done: Done) -> None:
    ours = re.compile(r"::(error|warning) (file=[^:]*|line=\d+|title=[^:]*)(,\w+=[^:]*)*::[^:\s]")
    pytests = re.compile(r"rootdir: |-+ generated xml file")
    lines = [line for line in done.out.split("\n") if line and not pytests.match(line)]
    annotations = [line for line in lines if ours.match(line)]
    assert len(annotations) == 1
    for line in lines:
        if line not in annotations:
            assert obeyed(line) is None
    assert r"caf\xe9" in done.out


def test_every_file_is_whole_and_obeys_nothing(project: Path, done: Done) -> None:
    (case,) = ElementTree.parse(project / "j.xml").iter("testcase")
    failure = case.find("failure")
    assert failure is not None
    for text in (failure.text or "", *(p.attrib["value"] for p in case.iter("property"))):
        assert obeyed(text) is None
    assert "::" not in (project / "m.md").read_text("utf-8").replace(".toml::colors", "")
    page = (project / "r.html").read_text("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)


@pytest.mark.parametrize(
    ("forward", "words"),
    [(2, "pictures: no picture in it"), (3, "INVALID: .*(could be read|vanished during the run)")],
)
def test_pictures_that_vanish_during_a_run_are_a_sentence(
    forward: int, words: str, tmp_path: Path
) -> None:
    """While the network answers fixed inputs, and in the pass, after which they are read again."""
    nets = f"""{NETS}
import pathlib
class Eater(Color):
    forwards = 0
    def forward(self, pixels):
        Eater.forwards += 1
        if Eater.forwards == {forward}:
            for file in pathlib.Path(__file__).parent.glob("pictures/*/*"):
                file.unlink()
        return super().forward(pixels)
"""
    files = {"pyproject.toml": card("color", f"eater{forward}:Eater"), "classes.txt": CLASSES}
    write(tmp_path, {**files, f"eater{forward}.py": nets, "a.toml": SUITE})
    pictures(tmp_path / "pictures", 2, (16, 16))
    done = run(tmp_path, "a.toml")
    assert done.code == 1
    assert re.search(words, done.out)
    assert "Traceback" not in done.out
    assert "KeyError" not in done.out
