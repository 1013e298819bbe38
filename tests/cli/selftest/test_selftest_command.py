"""``evals selftest`` as a process would call it, on a network small enough to reason about."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests import inner
from tests.forked import forked_python
from tests.project import CLASSES, NETS
from vision_evals import log
from vision_evals.cli import main
from vision_evals.cli.selftest.expected import Expected, broken, outdated, read, with_expectation
from vision_evals.cli.selftest.mutants import MUTANTS
from vision_evals.core.errors import UserError
from vision_evals.models.processes import can_fork

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


def in_processes(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    if n > 1 and not can_fork(torch.device("cpu")):
        pytest.skip("needs Linux without an accelerator")
    monkeypatch.setattr("vision_evals.cli.selftest.selftest.processes_on", lambda _: n)


@contextlib.contextmanager
def no_process_left() -> Iterator[None]:
    yield
    assert not multiprocessing.active_children()


def left_over(folder: Path) -> list[str]:
    return [path.name for path in (folder / "runs" / "latest").iterdir() if "trial" in path.name]


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


@pytest.mark.parametrize("processes", [1, 2])
def test_a_network_that_fails_as_it_is(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
) -> None:
    judged_sharply(folder)
    text = (folder / "colors.toml").read_text(encoding="utf-8")
    (folder / "colors.toml").write_text(text.replace('= "blue"', '= "green"'), encoding="utf-8")
    in_processes(monkeypatch, processes)
    with no_process_left():
        assert run(folder, "colors.toml") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "does not pass as it is" in captured.err
    assert log.read(folder / "runs" / "latest").status == "interrupted"
    assert left_over(folder) == []


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
    assert len(forwards.read_text("utf-8")) == 2  # the fixed inputs, and some of them again
    forwards.unlink()
    # without a cache all is computed again
    run(folder, "colors.toml", "--evals-no-cache")
    assert len(forwards.read_text("utf-8")) == counts[0]


def test_side_by_side_finds_what_one_after_the_other_finds(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_sharply(folder)
    (folder / "again.toml").write_text((folder / "colors.toml").read_text("utf-8"), "utf-8")
    kept, shown = [], []
    for n in (1, 3):
        in_processes(monkeypatch, n)
        with no_process_left():
            assert run(folder, "colors.toml", "again.toml", "--evals-no-cache") == 0
        kept.append(log.read(folder / "runs" / "latest"))
        captured = capsys.readouterr()
        shown.append((captured.out.splitlines()[:-1], captured.err))  # the last is the page's path
    untimed = [
        (
            [mutant.model_copy(update={"seconds": 0}) for mutant in one.mutants],
            [(i.id, i.verdict, i.sentence, i.metrics, i.judgements, i.validity) for i in one.items],
            one.status,
        )
        for one in kept
    ]
    assert untimed[0] == untimed[1]
    assert shown[0] == shown[1]
    counts = [line.split(" of ")[0] for line in shown[1][1].splitlines() if " of 20: " in line]
    assert counts == [str(i) for i in range(1, 21)]


DEADLY = """
import os, signal
from torch import nn
class Color(nn.Module):
    def __deepcopy__(self, memo):
        os.kill(os.getpid(), signal.SIGKILL)
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10
"""


def test_a_process_that_dies_is_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "selftest_nets.py").write_text(DEADLY, encoding="utf-8")
    in_processes(monkeypatch, 2)
    with no_process_left():
        assert run(folder, "colors.toml") == 1
    error = capsys.readouterr().err
    assert "a process that computes was ended (SIGKILL)" in error
    assert "Traceback" not in error
    assert log.read(folder / "runs" / "latest").status == "interrupted"
    assert left_over(folder) == []


ENDLESS = """
import os, time
from pathlib import Path
from torch import nn
class Color(nn.Module):
    def __deepcopy__(self, memo):
        Path(f"{os.getpid()}.waits").touch()
        time.sleep(600)
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10
"""

COMMAND = """
import os, sys
from pathlib import Path
import torch
Path("command.pid").write_text(str(os.getpid()))
torch.set_num_threads(2)
from vision_evals.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupt_ends_every_process(folder: Path) -> None:
    """Sent to the command alone, as a supervisor does; a terminal would send it to all."""
    (folder / "selftest_nets.py").write_text(ENDLESS, encoding="utf-8")
    given = ["--evals-model=color", "--evals-cards=cards.toml", "--evals-images=pictures"]
    words = ["selftest", "colors.toml", *given, "--evals-device=cpu"]
    command = subprocess.Popen(
        [forked_python(), "-c", COMMAND, *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        while len(waiting := [*folder.glob("*.waits")]) < 2 and command.poll() is None:
            time.sleep(0.05)
        os.kill(int((folder / "command.pid").read_text("utf-8")), signal.SIGINT)
        _, error = command.communicate(timeout=60)
    finally:
        command.kill()
    assert (command.returncode, len(waiting)) == (130, 2), error
    assert "Traceback" not in error
    assert not any(Path(f"/proc/{file.stem}").exists() for file in waiting)
    assert log.read(folder / "runs" / "latest").status == "interrupted"
    assert left_over(folder) == []
