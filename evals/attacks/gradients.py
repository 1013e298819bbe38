"""How the loss changes with the pixels. No gradient is ever computed for a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import cross_entropy

from evals.errors import NotApplicableError

if TYPE_CHECKING:
    from evals.classifiers.classifier import Classifier


class Slope(NamedTuple):
    """A forward and its gradient."""

    logits: torch.Tensor
    """(n, classes) of the very forward that was differentiated."""
    gradient: torch.Tensor
    """(n, 3, H, W) of the cross-entropy with respect to the pixels."""


def slope(classifier: Classifier, pixels: torch.Tensor, classes: torch.Tensor) -> Slope:
    """Differentiate the cross-entropy of each image with respect to its pixels.

    Args:
        classifier: whose loss.
        pixels: (n, 3, H, W) in [0, 1].
        classes: (n,) class indices: labels, or the targets of an attack.

    Raises:
        NotApplicableError: the network cuts the graph, so it has no gradient.
    """
    with torch.enable_grad():
        variable = pixels.detach().clone().requires_grad_()
        logits = classifier.logits(variable)
        if not logits.requires_grad:
            raise NotApplicableError(
                f"{classifier.alias} has no gradient with respect to its pixels: its forward "
                "detaches them (no_grad, detach, numpy or rounding to integers)"
            )
        # a sum, not a mean: the gradient of an image must not depend on its batch
        loss = cross_entropy(logits, classes, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, variable)
    return Slope(logits.detach(), gradient)
