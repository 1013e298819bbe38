"""The strings that seed generators are data: another word would be another number in a report."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import vision_evals
from vision_evals.core.rng import generator
from vision_evals.measures import MEASURES, intervals, lookup

DRAWN = {
    ("attack", "image"): 0.6978805523701623,
    ("attack", "noise", "image"): 0.037275657531322115,
    ("attack", "pgd", "start", "0", "image"): 0.9180532538574957,
    ("attack", "planted", "border", "0", "image"): 0.906858203073113,
    ("attack", "planted", "inner", "0", "image"): 0.07941838781628496,
    ("climbing",): 0.3488240092683902,
    ("dropout_gap", "0", "image"): 0.8216329356183194,
    ("fgsm", "noise", "image"): 0.6648522390207643,
    ("lane", "image"): 0.6324716201872772,
    ("training", "crops", "0"): 0.2286406588886326,
    ("training", "dropout"): 0.6291810260215122,
    ("training", "init"): 0.532965213374022,
    ("training", "order", "0"): 0.1026851172267621,
    ("validity", "image"): 0.9603763533465806,
    ("validity", "signs", "image"): 0.9264780716220566,
    ("validity", "plane"): 0.11656560145578398,
}
"""Names to the first number that seed 0 draws with them, as of the first logs."""

INTERVALS = {
    ("ece", ""): 0.0555319413739096,
    ("nll", ""): 0.3125102468495782,
    ("paired", "top1_accuracy", ""): 0.9852924766823288,
    ("steepest_descent", "10"): 0.4225981454054316,
}
"""The same of the generators behind bootstraps."""

METRICS = {
    "accuracy": ("ece", "nll", "top1_accuracy", "top5_accuracy"),
    "dropout_gap": ("accuracy_gap", "disagreement", "logit_shift", "train_accuracy_mean"),
    "linear_response": ("crossing_epsilon", "r2_line", "r2_per_side"),
    "predictions": ("agreement", "auroc", "confidence_mean", "fpr_at_95_tpr"),
    "targeted": ("l2", "ssim", "target_confidence"),
}
"""Measure to metrics whose bootstrap is seeded by their names."""


@pytest.mark.parametrize("names", DRAWN)
def test_a_draw_of_names(names: tuple[str, ...]) -> None:
    drawn = torch.rand(1, generator=generator(0, *names), dtype=torch.float64)
    assert drawn.item() == DRAWN[names]


@pytest.mark.parametrize("names", INTERVALS)
def test_a_draw_of_a_bootstrap(names: tuple[str, ...]) -> None:
    assert intervals.generator(0, *names).random() == INTERVALS[names]


def test_a_bootstrap_is_seeded_by_the_name_of_its_metric() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(50)
    drawn = intervals.bootstrap(np.mean, (values,), intervals.generator(0, "nll", ""))
    assert drawn == intervals.bootstrap(np.mean, (values,), intervals.generator(0, "nll", ""))
    assert drawn != intervals.bootstrap(np.mean, (values,), intervals.generator(0, "loss", ""))


@pytest.mark.parametrize("name", METRICS)
def test_metrics_keep_their_names(name: str) -> None:
    assert name in MEASURES
    assert {*METRICS[name]} <= {metric.name for metric in lookup(name, Path()).metrics}


def test_the_package_seeds_with_these_names_and_no_others() -> None:
    """Whatever string stands in a call that makes a generator is pinned above."""
    makers = {"generator", "generators", "training_rng", "seeded", "_generators"}
    found = set()
    for file in Path(vision_evals.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in makers:
                found |= {
                    part.value
                    for part in node.args
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    known = {part for names in (*DRAWN, *INTERVALS) for part in names}
    assert found
    assert found <= known
    assert {"lane", "dropout_gap", "attack", "order", "noise", "start", "planted"} <= found
