"""Whether attacks match their closed form, and break a network that is known to break."""

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
from vision_evals.attacks.gradients import cross_entropy
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
"""Share of images that may stand in an undefended network."""
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
    """Attack a linear network on pixels of the images by one step along the sign of the gradient.

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
        attacked = FastGradientSign()(
            victim,
            pixels,
            Misclassification(label, label[:, None]),
            LinfBall(EPSILON),
            Draws(evidence.probe.seed, evidence.probe.ids[:MAX_IMAGES]),
        )
        with torch.no_grad():
            loss = cross_entropy(victim.logits(attacked.pixels), label[:, None]).cpu().numpy()
    margin = pixels.cpu().numpy().reshape(len(pixels), -1) @ weight + bias
    expected = np.logaddexp(0, EPSILON * np.abs(weight).sum() - margin)
    error = float(np.abs(loss / expected - 1).max())
    sentence = (
        f"loss of {len(pixels)} images after one step differs by {error:.1e} from its closed form"
    )
    return passed(sentence) if error < MAX_LOSS_ERROR else failed(sentence)


def _plane(seed: int, pixels: torch.Tensor) -> tuple[np.ndarray, float]:
    """Return weights of l1 norm 100, and a bias that puts images on both sides of the plane."""
    size = pixels[0].numel()
    drawn = torch.randn(size, generator=generator(seed, "validity", "plane"), dtype=torch.float64)
    weight = (100 * drawn / drawn.abs().sum()).numpy()
    return weight, -float(np.median(pixels.cpu().numpy().reshape(len(pixels), -1) @ weight))


def reference_breaks(evidence: Evidence) -> CheckResult:
    """Attack an undefended network in which almost every image breaks."""
    try:
        standing, n = _standing(str(evidence.probe.pixels.device))
    except UnavailableError as error:
        return undecided(str(error))
    text = f"images still right of {REFERENCE} after PGD-{STEPS} at 4/255"
    return rate(standing, n, MAX_STANDING_SHARE, text)


@functools.cache
def _standing(device: str) -> tuple[int, int]:
    """Return how many images stand under the attack, and of how many."""
    card = Card(network=f"packaged:{REFERENCE}")
    victim = build(REFERENCE, card, Path(), download=False).to(device)
    image_set = sources.load("imagenet_samples", Path())
    (batch,) = batches(image_set.images, [range(len(image_set.images))], {victim.geometry})
    pixels = batch.pixels[victim.geometry].to(device).float() / 255
    labels = answers(targets(image_set, victim.classes)).of(batch.positions, pixels.device)
    with exact_fp32(pixels.device):
        attacked = ProjectedGradientDescent(steps=STEPS)(
            victim,
            pixels,
            Misclassification(labels.label, labels.accepted),
            LinfBall(EPSILON),
            Draws(0, batch.ids),
        )
    with torch.inference_mode(), exact_fp32(pixels.device):
        standing = first_is_right(victim.logits(attacked.pixels), labels.accepted)
    return int(standing.sum()), len(batch.ids)


CHECKS = (
    ValidityCheck(
        id="S22", name="known answers",
        meaning="An attack whose loss differs from its closed form has a bug.",
        source="Goodfellow et al. 2015, section 5, in closed form",
        scope="classifier", guards=differentiating, run=closed_form,
    ),
    ValidityCheck(
        id="S22", name="reference network breaks",
        meaning="Attacks that cannot break an undefended network prove nothing about another.",
        source="Carlini et al. 2019, section 5 (test on a broken model)",
        cost="thorough", scope="classifier", guards=differentiating, run=reference_breaks,
    ),
)  # fmt: skip
