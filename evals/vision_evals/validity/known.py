"""Whether attacks do what is known of them in closed form, and break what is known to break."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vision_evals.attacks.attack import Draws
from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.criteria import Misclassification
from vision_evals.attacks.fgsm import FastGradientSign
from vision_evals.attacks.losses import cross_entropy
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.core.errors import UnavailableError
from vision_evals.core.rng import generator
from vision_evals.images import sources
from vision_evals.images.labels import ClassMap, targets
from vision_evals.images.reader import batches
from vision_evals.measures.probe import answers
from vision_evals.models.answers import first_is_right
from vision_evals.models.build import build
from vision_evals.models.card import Card, Input
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    differentiating,
    failed,
    passed,
    rate,
    undecided,
)
from vision_evals.validity.forwards import exact_fp32

EPSILON = 4 / 255
STEPS = 20
MAX_IMAGES = 4
MAX_LOSS_ERROR = 1e-5
"""Relative error of the loss, in float64."""
MAX_STANDING_SHARE = 0.05
"""Share of images that an undefended network may keep."""
REFERENCE = "squeezenet1_1_caffe"


class _Linear(nn.Module):
    """Two classes: logits (w x + b, 0)."""

    def __init__(self, weight: torch.Tensor, bias: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = bias

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        score = pixels.flatten(1) @ self.weight + self.bias
        return torch.stack([score, torch.zeros_like(score)], dim=1)


def closed_form(evidence: Evidence) -> CheckResult:
    """Attack a linear network by one step of the sign of the gradient, as large as the images.

    On the margin m = w x + b of the right class the step adds softplus(epsilon |w|_1 - m) of loss
    (Goodfellow et al. 2015, section 5), as long as no pixel is clipped.
    """
    pixels = 0.25 + evidence.probe.pixels[:MAX_IMAGES].double() / 2
    weight, bias = _plane(evidence.probe.seed, pixels)
    network = _Linear(torch.from_numpy(weight).to(pixels), bias)
    plain = Input(resize=1, crop=1, mean=(0, 0, 0), std=(1, 1, 1))
    two = ClassMap("two", ("one", "other"), None)
    victim = replace(evidence.classifier, network=network, input=plain, classes=two)
    label = torch.zeros(len(pixels), dtype=torch.int64, device=pixels.device)
    with exact_fp32(pixels.device):
        found = FastGradientSign()(
            victim,
            pixels,
            Misclassification(label, label[:, None]),
            LinfBall(EPSILON),
            Draws(evidence.probe.seed, evidence.probe.ids[:MAX_IMAGES]),
        )
        with torch.no_grad():
            loss = cross_entropy(victim.logits(found.pixels), label[:, None]).cpu().numpy()
    margin = pixels.cpu().numpy().reshape(len(pixels), -1) @ weight + bias
    known = np.logaddexp(0, EPSILON * np.abs(weight).sum() - margin)
    error = float(np.abs(loss / known - 1).max())
    said = f"loss of {len(pixels)} images after one step is off by {error:.1e} of its closed form"
    return passed(said) if error < MAX_LOSS_ERROR else failed(said)


def _plane(seed: int, pixels: torch.Tensor) -> tuple[np.ndarray, float]:
    """Return weights of length 100 in l1, and a bias that puts the images on both sides of it."""
    size = pixels[0].numel()
    drawn = torch.randn(size, generator=generator(seed, "validity", "plane"), dtype=torch.float64)
    weight = (100 * drawn / drawn.abs().sum()).numpy()
    return weight, -float(np.median(pixels.cpu().numpy().reshape(len(pixels), -1) @ weight))


def reference_breaks(evidence: Evidence) -> CheckResult:
    """Attack an undefended network for which an adversarial surely exists."""
    try:
        left, n = _left(str(evidence.probe.pixels.device))
    except UnavailableError as error:
        return undecided(str(error))
    return rate(
        left, n, MAX_STANDING_SHARE, f"images still right of {REFERENCE} after PGD-{STEPS} at 4/255"
    )


@functools.cache
def _left(device: str) -> tuple[int, int]:
    """Return how many images the attack leaves right, and of how many."""
    card = Card(network=f"packaged:{REFERENCE}")
    victim = build(REFERENCE, card, Path(), download=False).to(device)
    image_set = sources.load("imagenet_samples", Path())
    (batch,) = batches(image_set.images, [range(len(image_set.images))], {victim.geometry})
    pixels = batch.pixels[victim.geometry].to(device).float() / 255
    known = answers(targets(image_set, victim.classes)).of(batch.positions, pixels.device)
    with exact_fp32(pixels.device):
        found = ProjectedGradientDescent(steps=STEPS)(
            victim,
            pixels,
            Misclassification(known.label, known.accepted),
            LinfBall(EPSILON),
            Draws(0, batch.ids),
        )
    with torch.inference_mode(), exact_fp32(pixels.device):
        left = first_is_right(victim.logits(found.pixels), known.accepted)
    return int(left.sum()), len(batch.ids)


CHECKS = (
    ValidityCheck(
        id="S22", name="known answers",
        meaning="An attack that misses what can be computed by hand has a bug.",
        source="Goodfellow et al. 2015, section 5, in closed form",
        scope="classifier", guards=differentiating, run=closed_form,
    ),
    ValidityCheck(
        id="S22", name="reference network falls",
        meaning="Attacks that cannot break an undefended network show nothing about another.",
        source="Carlini et al. 2019, section 5 (test on a broken model)",
        cost="thorough", scope="classifier", guards=differentiating, run=reference_breaks,
    ),
)  # fmt: skip
