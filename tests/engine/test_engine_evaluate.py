"""A trial is a run without pytest: the same verdicts, and the numbers behind an INVALID one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from vision_evals.core.progress import lines
from vision_evals.engine.evaluate import Evaluation, evaluate
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import RunConfig
from vision_evals.log import Verdict
from vision_evals.models.classifier import Classifier
from vision_evals.suite.options import read
from vision_evals.validity.examine import Examiner
from vision_evals.verdict.job import Job

SUITE = """
evals = 1
title = "t"
models = ["small"]
[[check]]
name = "seen"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.2 }]
"""

CARDS = """
[models.small]
network = "nowhere:small"
input = { resize = 16, crop = 16, mean = [0, 0, 0], std = [1, 1, 1] }
"""


class Color(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(2, 3)) * 10


class Dice(nn.Module):
    """Right, and drawing from the global generator for nothing."""

    def forward(self, pixels: Tensor) -> Tensor:
        torch.rand(1)
        return pixels.mean(dim=(2, 3)) * 10


class Crash(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        raise RuntimeError(f"no such layer for {tuple(pixels.shape)}")


@pytest.fixture
def judge(tmp_path: Path, small: Callable[..., Classifier]) -> Callable[[nn.Module], Evaluation]:
    for name, colour in (("red", (200, 30, 20)), ("blue", (20, 30, 200)), ("green", (200, 9, 8))):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(10):
            Image.new("RGB", (24, 24), colour).save(tmp_path / "pictures" / name / f"{i}.png")
    (tmp_path / "s.toml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "cards.toml").write_text(CARDS, encoding="utf-8")
    given = {"images": ("pictures",), "cards": "cards.toml"}
    catalog = Catalog.read(read(given, tmp_path))
    jobs: tuple[Job, ...] = tuple(
        catalog.jobs(catalog.suite(tmp_path / "s.toml", "s.toml"), tmp_path)
    )
    cpu, silent = torch.device("cpu"), lines(lambda _: None)
    whole = Resources(catalog.registry, cpu, None, frozenset(), tmp_path, silent)
    config = RunConfig(cpu, "fp32", None, 0, tmp_path, Examiner(()))

    def ask(network: nn.Module) -> Evaluation:
        resources = whole.with_classifier(small(network))
        (outcome,) = evaluate(jobs, catalog, resources, config, silent).values()
        return outcome

    return ask


def test_both_readings_agree_where_every_check_holds(
    judge: Callable[[nn.Module], Evaluation], tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    outcome = judge(Color())
    (top1,) = [m for m in outcome.item.metrics if m.name == "top1_accuracy"]
    assert top1.value == pytest.approx(20 / 30)  # the green ones are red
    assert outcome.item.verdict is outcome.behaviour.verdict is Verdict.PASSED
    assert outcome.item.metrics == outcome.behaviour.metrics
    assert outcome.item.validity
    assert not outcome.behaviour.validity
    assert sorted(tmp_path.iterdir()) == before  # nothing is kept
    json.loads(outcome.item.model_dump_json())


def test_an_invalid_item_has_its_behaviour(judge: Callable[[nn.Module], Evaluation]) -> None:
    outcome = judge(Dice())
    assert outcome.item.verdict is Verdict.INVALID
    assert [v.name for v in outcome.item.validity if v.invalidates] == ["deterministic"]
    assert not outcome.item.metrics
    assert outcome.behaviour.verdict is Verdict.PASSED
    assert outcome.behaviour.metrics == judge(Color()).behaviour.metrics


def test_a_crash_has_no_behaviour(judge: Callable[[nn.Module], Evaluation]) -> None:
    outcome = judge(Crash())
    fallen = [v for v in outcome.item.validity if v.invalidates]
    assert [v.name for v in fallen] == ["the network ran"]
    assert "no such layer" in fallen[0].evidence
    assert outcome.behaviour.verdict is Verdict.INVALID
    assert not outcome.behaviour.judgements


def test_one_stands_in_and_the_others_stay(judge: Callable[[nn.Module], Evaluation]) -> None:
    assert judge(Color()).behaviour == judge(Color()).behaviour
    wrong = judge(nn.Sequential(Color(), nn.Softmin(1)))
    assert wrong.behaviour.verdict is Verdict.FAILED
