"""``evals noise`` and the verdicts after it, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.forked import forked_python
from tests.project import CLASSES, COLORS, card, pictures, write
from vision_evals import log
from vision_evals.log import Verdict

pytestmark = pytest.mark.slow  # real processes

NETS = '''
from torch import nn

class Noisy(nn.Module):
    """Says which channel is brightest, a little surer in a larger batch."""
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * (1 + 1e-6 * len(pixels))
'''

PROJECT = '[tool.evals]\nreport = "none"\npictures = "none"\n' + card("noisy", "noisy_nets:Noisy")

CHECK = """
[[check]]
name = "{name}"
measure = "accuracy"
images = "photographs"
expect = [{{ metric = "top1_accuracy", {bound} }}]
"""

SUITE = """
evals = 1
title = "Colours"
models = ["noisy"]
[images]
photographs = "pictures"
""" + "".join(
    CHECK.format(name=name, bound=bound)
    for name, bound in {  # of twelve pictures eleven are right: 0.917, and the floor will be 0.05
        "right-within": "at_least = 0.9",
        "right-beyond": "at_least = 0.85",
        "wrong-within": "at_least = 0.95",
        "wrong-beyond": "at_least = 0.98",
    }.items()
)

EVALS = "import sys; from vision_evals.cli import main; sys.exit(main())"


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [forked_python(), *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        # two threads that spin while they wait take minutes where another process has the core
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE"},
    )


def judge(folder: Path, *more: str) -> tuple[int, log.Run]:
    done = call(folder, "-m", "pytest", "colors.toml", "-q", "-p", "no:cacheprovider", *more)
    assert "INTERNALERROR" not in done.stdout + done.stderr
    return done.returncode, log.read(folder / "runs" / "latest")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's repository in which ``evals noise`` has run."""
    folder = tmp_path_factory.mktemp("project")
    files = {
        "pyproject.toml": PROJECT,
        "noisy_nets.py": NETS,
        "classes.txt": CLASSES,
        "colors.toml": SUITE,
    }
    write(folder, files)
    pictures(folder / "pictures", 4, (16, 16))
    Image.new("RGB", (16, 16), COLORS["blue"]).save(folder / "pictures" / "red" / "0.png")
    done = call(folder, "-c", EVALS, "noise", "colors.toml")
    assert done.returncode == 0, done.stderr
    folder.joinpath("said.txt").write_text(done.stdout, encoding="utf-8")
    return folder


def file_of(folder: Path) -> Path:
    (file,) = (folder / ".evals_cache" / "noise").iterdir()
    return file


def measured(folder: Path) -> dict[str, dict[str, object]]:
    data = json.loads(file_of(folder).read_text(encoding="utf-8"))
    (exact,) = [e for e in data["entries"] if e["precision"] == "fp32"]
    return {moved["metric"]: moved for moved in exact["floors"]}


def nll(batch: int) -> float:
    """In NumPy: eleven pictures of the right colour and one of another."""
    z = np.eye(3)[[0] * 12] * (1 + 1e-6 * batch)
    labels = [0] * 11 + [1]
    log_probability = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-log_probability[range(12), labels].mean())


def test_the_floor_is_what_the_network_does(folder: Path) -> None:
    found = measured(folder)["nll"]
    most = found["most"]
    assert isinstance(most, dict)
    assert most["batch_size"] == 16  # all twelve in one
    assert found["reference"] == pytest.approx(nll(4), abs=1e-7)
    assert found["floor"] == pytest.approx(abs(nll(12) - nll(4)), rel=0.1)
    assert measured(folder)["top1_accuracy"]["floor"] == 0


def test_the_table_says_it_and_what_was_left_out(folder: Path) -> None:
    said = " ".join((folder / "said.txt").read_text(encoding="utf-8").split())
    assert "classifier check metric reference floor moved most by" in said
    assert "left out: precision tf32 is a mode of CUDA devices, not of cpu" in said
    assert ".evals_cache/noise/" in said.replace(" ", "")


def test_a_run_finds_the_floors_of_its_own_questions(folder: Path) -> None:
    code, run = judge(folder, "-k", "right-beyond", "--evals-batch-size=4")
    assert code == 0
    (item,) = run.items
    assert item.judgements[0].floor == 0
    values = {metric.name: metric.value for metric in item.metrics}
    assert values["nll"] == measured(folder)["nll"]["reference"]
    assert run.settings.noise == file_of(folder).name
    _, run = judge(folder, "-k", "right-beyond", "--evals-limit=6")
    assert run.items[0].judgements[0].floor is None


def test_a_floor_written_by_hand_takes_a_pass_and_leaves_a_fall(folder: Path) -> None:
    file = file_of(folder)
    text = file.read_text(encoding="utf-8")
    data = json.loads(text)
    for entry in data["entries"]:
        for moved in entry["floors"]:
            if (entry["precision"], moved["metric"]) == ("fp32", "top1_accuracy"):
                moved["floor"] = 0.05
    file.write_text(json.dumps(data), encoding="utf-8")
    try:
        code, run = judge(folder, "--evals-inconclusive=skip")
        rough = judge(folder, "--evals-precision=bf16", "-k", "right-within")[1]
    finally:
        file.write_text(text, encoding="utf-8")
    items = {item.check: item for item in run.items}
    assert {name: item.verdict for name, item in items.items()} == {
        "right-within": Verdict.INCONCLUSIVE,
        "right-beyond": Verdict.PASSED,
        "wrong-within": Verdict.INCONCLUSIVE,
        "wrong-beyond": Verdict.FAILED,
    }
    for name, item in items.items():
        said = "within the noise floor of this machine (0.05, measured " in item.sentence
        assert said == name.endswith("within")
        assert item.judgements[0].floor == 0.05
    assert code == 1
    assert rough.items[0].verdict is Verdict.PASSED  # of another precision


def test_a_damaged_file_costs_a_warning_and_no_verdict(folder: Path) -> None:
    file = file_of(folder)
    text = file.read_text(encoding="utf-8")
    file.write_text(text[:100], encoding="utf-8")
    try:
        code, run = judge(folder, "-k", "right")
        repaired = call(folder, "-c", EVALS, "noise", "colors.toml")
        assert repaired.returncode == 0
        assert "noise floors ignored" in " ".join(repaired.stdout.split())
        assert measured(folder).keys() == {
            moved["metric"] for e in json.loads(text)["entries"] for moved in e["floors"]
        }
    finally:
        file.write_text(text, encoding="utf-8")
    assert code == 0
    assert [item.verdict for item in run.items] == [Verdict.PASSED, Verdict.PASSED]
    assert any(file.name in warning and "ignored" in warning for warning in run.warnings)
    assert run.settings.noise is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.toml"], "none.toml: no such suite"),
        (["colors.toml", "--evals-model=nosy"], 'did you mean "noisy"'),
    ],
)
def test_mistakes_are_one_sentence(folder: Path, arguments: list[str], said: str) -> None:
    done = call(folder, "-c", EVALS, "noise", *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
