"""Every example of docs/extend.md runs as it is printed, and what it says one touches is enough."""

from __future__ import annotations

import contextlib
import importlib
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs.pages import ROOT, blocks
from tests.inner import warm
from vision_evals import log, measures
from vision_evals.images import sources
from vision_evals.suite.parse import parse
from vision_evals.validity.check import passed

EXAMPLES = {
    block.file: block.text
    for block in blocks("python", "toml", pages=[ROOT / "docs/extend.md"])
    if block.file is not None
}
MODULES = ("margins", "sure", "corners")
PROJECT = """
[tool.evals.models.color]
network = "extend_nets:Color"
classes = "classes.txt"
input = { resize = 16, crop = 16, mean = [0, 0, 0], std = [1, 1, 1] }
"""
MIXED = ((1.0, 0.1, 0.3), (0.3, 1.0, 0.1), (0.1, 0.3, 1.0))
"""Every channel has a say in every lead, or shaking it would look like a hidden path."""
NETS = f"""
import torch
from torch import nn

class Color(nn.Module):
    def forward(self, pixels):
        return 40 * pixels.mean(dim=(2, 3)) @ torch.tensor({MIXED}).T.to(pixels)
"""


def furnish(folder: Path) -> None:
    """Write the examples beside a small network and thirty pictures that it names rightly."""
    texts = {"pyproject.toml": PROJECT, "extend_nets.py": NETS, "classes.txt": "red\ngreen\nblue\n"}
    for name, text in (texts | EXAMPLES).items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "camera").mkdir()
    for index, label in enumerate(("red", "green", "blue")):
        for number in range(10):
            color = [100 + number, 110 - number, 100]
            color[index] += 40
            picture = folder / "camera" / f"{label}-{number}.png"
            Image.new("RGB", (16, 16), tuple(color)).save(picture)
    with contextlib.chdir(folder):
        runpy.run_path("list_pictures.py")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> log.Run:
    """Run all three suites once, on the manifest that the fourth example wrote."""
    folder = tmp_path_factory.mktemp("extend")
    suites = [f"{name}.toml" for name in MODULES]
    options = ["--evals-model=color", "--evals-images=camera.csv", "--evals-report=none"]
    assert warm(folder, furnish, *suites, *options) == 0
    return log.read(folder / "runs" / "latest")


def test_every_example_is_run_here() -> None:
    wanted = {f"{name}.{end}" for name in MODULES for end in ("py", "toml")}
    assert set(EXAMPLES) == wanted | {"list_pictures.py", "camera.py"}
    assert len(EXAMPLES) == len(blocks("python", "toml", pages=[ROOT / "docs/extend.md"]))


def test_the_measure_the_metric_and_the_attack_are_judged(finished: log.Run) -> None:
    assert [item.verdict for item in finished.items] == [log.Verdict.PASSED] * 3
    margins, sure, corners = finished.items
    assert {metric.name for metric in margins.metrics} == {"lead_mean", "narrow_fraction"}
    assert {metric.n for item in finished.items for metric in item.metrics} == {30}
    assert [metric.name for metric in sure.metrics][-1] == "sure_fraction"
    assert [metric.at for metric in corners.metrics] == ["0", "1/255"]
    assert not [said for said in finished.warnings if "not cached" in said], "by the cache"


def test_the_lead_is_that_of_a_loop_in_numpy(finished: log.Run) -> None:
    leads = []
    for index in range(3):
        for number in range(10):
            color = np.array([100 + number, 110 - number, 100], dtype=np.float64)
            color[index] += 40
            said = np.exp(np.array(MIXED) @ color / 255 * 40)
            first, second = sorted(said / said.sum())[::-1][:2]
            leads.append(first - second)
    value = finished.items[0].metrics[0].value
    assert value == pytest.approx(np.mean(leads), abs=1e-4)


def test_validity_checks_ask_an_attack_of_ones_own(finished: log.Run) -> None:
    asked = {found.name: found.outcome for found in finished.items[2].validity}
    good = passed("").outcome
    assert asked["epsilon 0 changes nothing"] == good
    assert asked["inside ball and box"] == good


def test_a_packaged_source_is_a_function_and_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path)
    monkeypatch.chdir(tmp_path)
    function = runpy.run_path("camera.py")["camera_samples"]
    monkeypatch.setattr(sources, "BUILT_IN", {**sources.BUILT_IN, "camera_samples": function})
    found = sources.load("camera_samples", tmp_path)
    assert (len(found.images), found.labels) == (30, ("blue", "green", "red"))


def test_a_shipped_measure_is_a_file_and_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file of the example, as `measures/margins.py`, and its name in the registry."""
    module = types.ModuleType(f"{measures.__name__}.margins")
    exec(compile(EXAMPLES["margins.py"], "margins.py", "exec"), module.__dict__)
    module.MEASURE = module.MARGINS  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(measures, "MEASURES", (*measures.MEASURES, "margins"))
    suite = EXAMPLES["margins.toml"].replace("margins:MARGINS", "margins")
    checks = parse(suite, "s.toml", lambda name: measures.lookup(name, tmp_path)).checks
    assert checks[0].spec.metric("lead_mean").interval == "bootstrap"
    assert importlib.import_module(module.__name__).MEASURE is checks[0].spec
