"""``evals selftest`` as a process would call it, on a network small enough to reason about."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests import inner
from tests.project import CLASSES, NETS
from vision_evals import log
from vision_evals.cli import main
from vision_evals.cli.selftest.expected import Expected, broken, outdated, read, with_expectation
from vision_evals.cli.selftest.mutants import MUTANTS
from vision_evals.core.errors import UserError

CARDS = """
[models.color]
network = "selftest_nets:Color"
classes = "classes.txt"
input = { resize = 20, crop = 16, mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }
"""

SUITE = """
evals = 1
title = "Colours"
models = ["color"]
[[check]]
name = "seen"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = WANTED }]
"""

NAMES = tuple(mutant.name for mutant in MUTANTS)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "selftest_nets.py").write_text(NETS, encoding="utf-8")
    (tmp_path / "cards.toml").write_text(CARDS, encoding="utf-8")
    (tmp_path / "classes.txt").write_text(CLASSES, encoding="utf-8")
    for name, colour in (("red", (200, 30, 20)), ("blue", (20, 30, 200)), ("green", (9, 150, 8))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("RGB", (24, 24), colour).save(tmp_path / "pictures" / name / "a.png")
    (tmp_path / "colors.toml").write_text(SUITE.replace("WANTED", "0.3"), encoding="utf-8")
    yield tmp_path
    sys.modules.pop("selftest_nets", None)


def run(folder: Path, *arguments: str) -> int:
    given = ["--evals-model=color", "--evals-cards=cards.toml", "--evals-images=pictures"]
    with contextlib.chdir(folder):
        return main(["selftest", *given, "--evals-device=cpu", *arguments])


def judged_sharply(folder: Path) -> None:
    """Ask for the mean of three pictures, for which no interval can be had."""
    text = SUITE.replace('{ metric = "top1_accuracy", at_least = WANTED }', "EXPECT")
    expect = '{ metric = "expected_top1", at_least = 1.0 }'
    answers = '\n[check.expected_top1.color]\n"red/a.png" = "red"\n"blue/a.png" = "blue"\n'
    (folder / "colors.toml").write_text(text.replace("EXPECT", expect) + answers, encoding="utf-8")


def test_the_matrix_is_shown_and_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged_sharply(folder)
    code = run(folder, "colors.toml")
    captured = capsys.readouterr()
    assert code == 0, captured.err  # nothing is known of this network, so nothing must be killed
    kept = log.read(folder / "runs" / "latest")
    assert kept.status == "finished"
    assert tuple(mutant.name for mutant in kept.mutants) == NAMES
    found = {mutant.name: mutant for mutant in kept.mutants}
    for name in ("bgr", "shuffled-labels"):
        notice = found[name].behaviour
        assert notice is not None, name
        assert notice.name == "expected_top1"
    # one number less of every channel leaves the largest the largest
    assert found["no-normalisation"].inapplicable is None
    assert found["no-normalisation"].behaviour is None
    assert str(found["dropout-on"].inapplicable).startswith("it has no dropout module")
    applied = [m for m in kept.mutants if m.inapplicable is None]
    assert f"killed {sum(m.killed for m in applied)} of {len(applied)} applicable" in captured.out
    page = (folder / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "Which mistakes the suites notice" in page
    assert not [path for path in (folder / "runs" / "latest").iterdir() if "trial" in path.name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.toml"], "none.toml: no such suite"),
        (["."], "no such suite"),
        (["colors.toml", "--evals-report=pictures"], "is a folder; name a file in it"),
        (["colors.toml", "--evals-model=efficientnet_lite0"], "about one network"),
        (["colors.toml", "--evals-limit=none"], "--evals-limit"),
    ],
)
def test_mistakes_are_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(folder, *arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_labels_that_do_not_fit_are_an_error_and_no_survivors(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pictures" / "blue").rename(folder / "pictures" / "blau")
    assert run(folder, "colors.toml") == 1
    captured = capsys.readouterr()
    assert 'did you mean "blue"' in captured.err
    assert "survivors" not in captured.out


def test_suites_that_ask_nothing_are_no_ground(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without labels, accuracy is not applicable, and no mutant could be noticed."""
    for name in ("red", "blue", "green"):
        (folder / "pictures" / name / "a.png").rename(folder / "pictures" / f"{name}.png")
        (folder / "pictures" / name).rmdir()
    assert run(folder, "colors.toml") == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "no check of these suites applies" in error
    assert "has no labels" in error


def test_a_network_that_fails_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged_sharply(folder)
    text = (folder / "colors.toml").read_text(encoding="utf-8")
    (folder / "colors.toml").write_text(text.replace('= "blue"', '= "green"'), encoding="utf-8")
    assert run(folder, "colors.toml") == 1
    assert "does not pass as it is" in capsys.readouterr().err
    assert log.read(folder / "runs" / "latest").status == "interrupted"


def expectations(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "mutants.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_must_be_killed_and_survives_is_named(tmp_path: Path) -> None:
    text = '[net]\nmust_kill = ["bgr", "softmax", "rounding"]\nsurvives = { wrong-crop = "slight" }'
    expected = read(expectations(tmp_path, text), "net", NAMES)
    notice = log.Notice(item="i", check="c", classifier="a", name="n", sentence="s")
    killed = log.Mutant(name="bgr", about="", classifier="x", structure=notice)
    alive = killed.model_copy(update={"name": "softmax", "structure": None})
    unfit = alive.model_copy(update={"name": "rounding", "inapplicable": "no"})
    mutants = [with_expectation(mutant, expected) for mutant in (killed, alive, unfit)]
    assert [sentence.split()[0] for sentence in broken(mutants)] == ["softmax", "rounding"]
    crop = with_expectation(killed.model_copy(update={"name": "wrong-crop"}), expected)
    assert crop.excuse == "slight"
    assert len(outdated([crop, *mutants])) == 1
    assert read(expectations(tmp_path, text), "other", NAMES) == Expected()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[net]\nmust_kill = ["brg"]', 'did you mean "bgr"'),
        ('[net]\nmust_kill = ["bgr"]\nsurvives = { bgr = "so" }', "cannot both"),
        ("[net]\nkills = []", "kills"),
        ("net = 1", "must be a table"),
        ("[net", "not valid TOML"),
    ],
)
def test_mistakes_in_the_expectations(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read(expectations(tmp_path, text), "net", NAMES)


@pytest.mark.parametrize("network", ["squeezenet1_1_caffe", "efficientnet_lite0"])
def test_the_shipped_expectations_name_what_exists(network: str) -> None:
    from vision_evals.core.paths import data_folder

    expected = read(data_folder("suites") / "mutants.toml", network, NAMES)
    assert set(expected.must_kill) >= {"bgr", "shuffled-labels", "dead-channels"}


COUNTING = """
from pathlib import Path
from torch import nn
class Color(nn.Module):
    def forward(self, pixels):
        with Path("forwards.txt").open("a") as file:
            file.write("x")
        return pixels.mean(dim=(2, 3)) * 10
"""


def test_the_unbroken_network_comes_from_the_cache_and_no_mutant_goes_into_it(
    folder: Path,
) -> None:
    (folder / "selftest_nets.py").write_text(COUNTING, encoding="utf-8")
    forwards, logs, counts = folder / "forwards.txt", list[log.Run](), list[int]()
    for _ in range(2):
        run(folder, "colors.toml")
        logs.append(log.read(folder / "runs" / "latest"))
        counts.append(len(forwards.read_text("utf-8")))
        forwards.unlink()
    assert counts[1] < counts[0]
    mutants = [[m.model_copy(update={"seconds": 0}) for m in one.mutants] for one in logs]
    assert mutants[0] == mutants[1]
    assert any(m.behaviour is not None for m in mutants[0])
    assert [i.metrics for i in logs[0].items] == [i.metrics for i in logs[1].items]
    # and a run finds the rows of the network as it is
    words = ("colors.toml", "--evals-cards=cards.toml", "--evals-images=pictures", "-q")
    done = inner.run(folder, *words, "--evals-model=color", "--evals-device=cpu")
    assert done.code == 0, done.out
    (item,) = log.read(folder / "runs" / "latest").items
    assert item.cached == 3
    assert item.metrics == logs[0].items[0].metrics
    # without a cache all is computed again
    run(folder, "colors.toml", "--evals-no-cache")
    assert len(forwards.read_text("utf-8")) == counts[0]
