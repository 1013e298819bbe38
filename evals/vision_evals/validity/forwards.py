"""Forwards of a few images for validity checks, without side effects on the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from vision_evals.core.rng import generator
from vision_evals.models.device import numerics

if TYPE_CHECKING:
    from vision_evals.attacks.attack import Victim
    from vision_evals.validity.check import Evidence

SAME_LOGITS = 1e-4
"""Logits that differ by less, as a share of the largest, count as equal (Croce et al. 2020)."""


@contextmanager
def preserved_rng(device: torch.device) -> Iterator[None]:
    """Restore torch's global generators at the end."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


@contextmanager
def exact_fp32(device: torch.device) -> Iterator[None]:
    """Compute in IEEE fp32, whatever the precision of the run, and restore the generators."""
    with numerics(device, "fp32"), preserved_rng(device):
        yield


def logits_of(classifier: Victim, pixels: torch.Tensor) -> torch.Tensor:
    """Return logits (n, classes) of pixels (n, 3, H, W) in [0, 1], without a graph."""
    with torch.inference_mode():
        return classifier.logits(pixels)


def logit_difference(logits: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the largest difference of logits as a share of the largest reference.

    NaN where either has one.
    """
    difference = (logits.double() - reference.double()).abs().amax()
    if difference == 0:
        return 0.0
    return float(difference / reference.double().abs().amax().clamp(min=1e-300))


def uniform_noise(evidence: Evidence, pixels: torch.Tensor) -> torch.Tensor:
    """Return a number in [0, 1) for each of the first pixels, the same in every batch."""
    shape, ids = pixels.shape[1:], evidence.probe.ids[: len(pixels)]
    seed = evidence.probe.seed
    drawn = [torch.rand(shape, generator=generator(seed, "validity", image)) for image in ids]
    return torch.stack(drawn).to(pixels)


def random_signs(evidence: Evidence, pixels: torch.Tensor) -> torch.Tensor:
    """Return -1 or 1 (0 with probability 0) for each pixel value, the same in every batch."""
    return (uniform_noise(evidence, pixels) - 0.5).sign()
