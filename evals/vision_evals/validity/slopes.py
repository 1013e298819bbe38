"""Quantities of a network's answer, their gradients, and how much they change along a step."""

from __future__ import annotations

from itertools import chain, islice
from typing import NamedTuple

import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.core.rng import generator
from vision_evals.validity.check import Evidence
from vision_evals.validity.forwards import logits_of

QUARTER_LEVEL = 0.25 / 255
"""No pixel moves by more: a network that rounds to 8 bits undoes such a step from a level."""
MIN_LOGIT_CHANGE = 1e-4
"""A change smaller than this share of the largest logit is lost in fp32."""
HALF_TYPES = (torch.float16, torch.bfloat16)
POINTS = (8, 32)
"""Points on a step at which the gradient is taken: more where fewer leave a doubt."""


def require_two_classes(evidence: Evidence) -> None:
    """Refuse a classifier with a single answer.

    Raises:
        NotApplicableError: it has one class.
    """
    if len(evidence.classifier.classes) < 2:
        raise NotApplicableError("with one class there is no other answer to move to")


def half_precision(logits: torch.Tensor) -> bool:
    """Return whether a network computed in half precision: it can hold each logit exactly."""
    return any(torch.equal(logits.to(half).to(logits), logits) for half in HALF_TYPES)


def movable(pixels: torch.Tensor) -> torch.Tensor:
    """Return which values can move both ways: at 0 and 1 a clamp in a network is not smooth."""
    return (pixels > QUARTER_LEVEL) & (pixels < 1 - QUARTER_LEVEL)


class Quantity(NamedTuple):
    """A weighted sum of an image's logits, and its gradient at the image."""

    name: str
    weights: torch.Tensor
    """(n, classes) in float64."""
    gradient: torch.Tensor
    """(n, 3, H, W) in float64."""

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """Return (n,) the quantity for given logits, or for differences of logits."""
        return (logits.double() * self.weights).sum(dim=1)

    def rows(self, rows: torch.Tensor) -> Quantity:
        """Return the quantity for some of the images."""
        return Quantity(self.name, self.weights[rows], self.gradient[rows])


def differentiated(
    evidence: Evidence, pixels: torch.Tensor
) -> tuple[torch.Tensor, tuple[Quantity, ...]]:
    """Return (n, classes) logits, and two quantities; none where the graph misses the pixels.

    The lead of the second answer over the first never saturates. In the other quantity each logit
    has a sign drawn for its class: where this sum has no gradient, no logit has one.
    """
    with torch.enable_grad():
        variable = pixels.clone().requires_grad_()
        logits = evidence.classifier.logits(variable)
        first, second = logits.detach().topk(2, dim=1).indices.T[:, :, None]
        lead = torch.zeros_like(logits, dtype=torch.float64)
        lead = lead.scatter(1, second, 1.0).scatter(1, first, -1.0)
        seed, ids = evidence.probe.seed, evidence.probe.ids[: len(pixels)]
        rngs = [generator(seed, "validity", "signs", image) for image in ids]
        signs = torch.stack([torch.rand(logits.shape[1], generator=rng) - 0.5 for rng in rngs])
        quantities = []
        for name, weights in (("the lead", lead), ("all logits", signs.to(lead).sign())):
            gradient = _gradient(logits, weights, variable)
            if gradient is None:
                return logits.detach(), ()
            quantities.append(Quantity(name, weights, gradient))
    return logits.detach(), tuple(quantities)


def _gradient(
    logits: torch.Tensor, weights: torch.Tensor, variable: torch.Tensor
) -> torch.Tensor | None:
    """Return the gradient (n, 3, H, W) in float64 of a weighted sum, or None without a graph."""
    if not logits.requires_grad:
        return None
    total = (logits.double() * weights).sum()
    gradient: torch.Tensor | None
    (gradient,) = torch.autograd.grad(total, variable, retain_graph=True, allow_unused=True)
    return None if gradient is None else gradient.double()


def between(evidence: Evidence, pixels: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
    """Return (n, classes) the logits with a step added less those with it subtracted."""
    up, down = (logits_of(evidence.classifier, (pixels + s * step).to(pixels)) for s in (1, -1))
    return up.double() - down.double()


class OnTheWay(NamedTuple):
    """How much a quantity changes along a step, as the gradients on the way predict it."""

    change: torch.Tensor
    """(n,) from ``-step`` to ``step``."""
    error: torch.Tensor
    """(n,) standard error of the change."""
    cut: torch.Tensor
    """(n,) its part from values without a gradient at the image, and with one all around it."""


def on_the_way(
    evidence: Evidence, pixels: torch.Tensor, step: torch.Tensor, quantity: Quantity, points: int
) -> OnTheWay:
    """Integrate the gradient along a step, by the midpoint rule.

    The integral is the measured change for every network whose gradient is correct, also where a
    maximum or a median turns from one pixel to another on the way.
    """
    ways = sorted(((2 * k + 1) / points - 1 for k in range(points)), key=abs)
    gradients = (_gradient_at(evidence, pixels + way * step, quantity) for way in ways)
    near = [*islice(gradients, min(POINTS))]
    lone = (quantity.gradient == 0) & (torch.stack(near) != 0).all(dim=0)
    slopes, cut = list[torch.Tensor](), list[torch.Tensor]()
    for gradient in chain(near, gradients):
        along = 2 * gradient * step
        slopes.append(along.flatten(1).sum(dim=1))
        cut.append((along * lone).flatten(1).sum(dim=1))
    every = torch.stack(slopes)
    return OnTheWay(every.mean(dim=0), every.std(dim=0) / points**0.5, torch.stack(cut).mean(dim=0))


def _gradient_at(evidence: Evidence, place: torch.Tensor, quantity: Quantity) -> torch.Tensor:
    with torch.enable_grad():
        variable = place.to(evidence.probe.pixels).requires_grad_()
        logits = evidence.classifier.logits(variable)
        gradient = _gradient(logits, quantity.weights, variable)
    return torch.zeros_like(place) if gradient is None else gradient
