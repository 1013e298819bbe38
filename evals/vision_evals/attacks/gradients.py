"""Gradient of the loss with respect to the pixels; none is computed for weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from vision_evals.attacks.losses import Loss, cross_entropy
from vision_evals.core.errors import InvalidError
from vision_evals.log.profiling.stages import timed

if TYPE_CHECKING:
    from vision_evals.attacks.attack import Victim


class Slope(NamedTuple):
    """A forward and its gradient."""

    logits: torch.Tensor
    """(n, classes) of the differentiated forward."""
    gradient: torch.Tensor
    """(n, 3, H, W) of the loss with respect to the pixels."""


def slope(
    classifier: Victim, pixels: torch.Tensor, classes: torch.Tensor, loss: Loss = cross_entropy
) -> Slope:
    """Differentiate the loss of each image with respect to its pixels.

    Args:
        classifier: computes the logits.
        pixels: (n, 3, H, W) in [0, 1].
        classes: (n, a) class indices padded with -1: labels, or the targets of an attack.
        loss: of each image.

    Raises:
        InvalidError: the network cuts the graph, so it has no gradient.
    """
    with torch.enable_grad():
        variable = pixels.detach().clone().requires_grad_()
        logits = classifier.logits(variable)
        require_gradient(classifier, logits)
        # a sum, not a mean: the gradient of an image must not depend on its batch
        with timed("backward"):
            (gradient,) = torch.autograd.grad(loss(logits, classes).sum(), variable)
    return Slope(logits.detach(), gradient)


def require_gradient(classifier: Victim, logits: torch.Tensor) -> None:
    """Refuse logits without a gradient with respect to the pixels.

    Raises:
        InvalidError: the network cuts the graph.
    """
    if not logits.requires_grad:
        raise InvalidError(
            f"{classifier.alias} has no gradient with respect to its pixels: its forward "
            "detaches them (no_grad, detach, numpy or rounding to integers)"
        )
