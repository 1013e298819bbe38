"""Steps along the sign of the gradient: one, or many towards a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.gradients import Slope, slope

if TYPE_CHECKING:
    from vision_evals.models.classifier import Classifier


def fast_gradient_sign(
    pixels: torch.Tensor, gradient: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """Return ``x + epsilon * sign(dJ/dx)``, clipped to [0, 1] (Goodfellow et al. 2015, section 4).

    With epsilon 0 the pixels are unchanged to the bit.
    """
    return signed_step(pixels, gradient.sign(), epsilon)


def signed_step(pixels: torch.Tensor, signs: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Return ``x + epsilon * s`` for signs s, clipped to [0, 1]."""
    return torch.add(pixels, signs, alpha=epsilon).clamp_(0, 1)


def eight_bit(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels after saving as an 8-bit picture: rounded, not truncated."""
    return pixels.mul(255).round().div(255)


class Towards(NamedTuple):
    """Images moved towards a class."""

    pixels: torch.Tensor
    """(n, 3, H, W) in the ball and in [0, 1]."""
    confidence: torch.Tensor
    """(n,) softmax probability of the target there."""
    steps: torch.Tensor
    """(n,) steps after which ``until`` was reached; -1 if it was not."""


def towards(
    classifier: Classifier,
    pixels: torch.Tensor,
    target: torch.Tensor,
    ball: LinfBall,
    *,
    steps: int,
    until: float,
    first: Slope | None = None,
) -> Towards:
    """Step towards a class until the network is confident of it (Kurakin et al. 2017, section 2).

    A single step has the length epsilon; each of several steps has a quarter of it, and is
    projected back. An image that reaches ``until`` stops; one that does not keeps the step at which
    the network was most confident of the target.

    Args:
        classifier: frozen.
        pixels: (n, 3, H, W) in [0, 1].
        target: (n,) class indices.
        ball: limits the change.
        steps: largest number of steps.
        until: confidence in the target at which an image stops.
        first: slope at ``pixels`` towards the target, if known: it is the same for every ball.
    """
    stride = ball.epsilon if steps == 1 else ball.epsilon / 4
    best, moved = pixels.clone(), pixels.clone()
    active = torch.arange(len(pixels), device=pixels.device)
    confidence, taken = pixels.new_full((len(pixels),), -1.0), torch.full_like(active, -1)
    for step in range(steps + 1):
        if step == steps:  # no step follows
            with torch.no_grad():
                logits, gradient = classifier.logits(moved[active]), None
        else:
            logits, gradient = (first if step == 0 else None) or slope(
                classifier.climbed, moved[active], target[active, None]
            )
        now = _probability(logits, target[active])
        better = now > confidence[active]
        best[active[better]], confidence[active[better]] = moved[active[better]], now[better]
        taken[active[now >= until]] = step
        if gradient is None:
            break
        # with a gradient of 0 an image does not move: further forwards would be equal
        going = (now < until) & (gradient != 0).flatten(1).any(dim=1)
        if not len(active := active[going]):
            break
        downhill = -ball.steepest(gradient[going])
        moved[active] = ball.project(moved[active] + stride * downhill, pixels[active])
    return Towards(best, confidence, taken)


def _probability(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    return logits.softmax(dim=1).gather(1, classes[:, None])[:, 0]
