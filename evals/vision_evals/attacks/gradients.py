"""What attacks follow: losses of each image, and their gradient with respect to the pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Victim
from vision_evals.attacks.criteria import Criterion
from vision_evals.core.errors import InvalidError, NotApplicableError
from vision_evals.log.profiling.stages import timed
from vision_evals.models.answers import one_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of logits (n, classes) and class indices (n, a) padded with -1, the loss (n,) of each image. Of
several classes it is the loss of the likeliest one, or of all together: the loss of the label alone
would make another right class likeliest."""


def cross_entropy(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the negative log probability of being one of ``classes`` (n, a)."""
    among = logits.masked_fill(~one_of(logits, classes), float("-inf"))
    return logits.logsumexp(dim=1) - among.logsumexp(dim=1)


def dlr(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n,) the difference of logits ratio at ``classes`` (Croce & Hein 2020, equation 6).

    ``-(z_y - max z_i for i != y) / (z_1 - z_3)`` with z_1 >= z_2 >= z_3 the largest logits. Unlike
    the cross-entropy, it does not vanish when a network scales its logits up. Decreasing it at a
    target raises the target above all others. For classes (n, a), z_y is their largest logit, and
    the divisor is z_1 - z_(a+2): with z_3, the ratio is -1 wherever two right classes lead.

    Raises:
        NotApplicableError: there are fewer than a + 2 classes.
    """
    rank = (classes >= 0).sum(dim=1) + 2
    most = int(classes.shape[1]) + 2
    if logits.shape[1] < most:
        raise NotApplicableError(
            f'the loss "dlr" needs at least {most} classes, and there are {logits.shape[1]}; '
            'write loss = "cross_entropy"'
        )
    mine = one_of(logits, classes)
    largest = logits.masked_fill(~mine, float("-inf")).amax(dim=1)
    others = logits.masked_fill(mine, float("-inf")).amax(dim=1)
    best = logits.topk(most, dim=1).values
    # if all of them are equal, a positive number keeps the ratio finite
    gap = (best[:, 0] - best.gather(1, rank[:, None] - 1)[:, 0]).clamp(min=1e-12)
    return (others - largest) / gap


LOSSES: Mapping[str, Loss] = MappingProxyType({"cross_entropy": cross_entropy, "dlr": dlr})
"""By their names in suites."""


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


class Seen(NamedTuple):
    """Values at the iterates of n images."""

    objective: torch.Tensor
    """(n,) sign times loss: attacks increase it."""
    met: torch.Tensor
    """(n,) whether the criterion is met."""
    uphill: torch.Tensor
    """(n, 3, H, W) gradient of the objective; 0 where it is not finite."""
    blind: torch.Tensor
    """(n,) whether it is not finite: the attack then does not move, and its result is not valid."""


def see(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Return the values and the gradient at pixels (n, 3, H, W), with a single forward.

    Where a copy of the victim is differentiated, the victim itself decides whether the criterion
    is met.

    Raises:
        InvalidError: the network cuts the graph.
    """
    climbed = victim.climbed
    forward = slope(climbed, pixels, criterion.classes, loss)
    objective = criterion.sign * loss(forward.logits, criterion.classes)
    met = criterion.met(forward.logits)
    if climbed is not victim and met.any():
        with torch.no_grad():
            met[met.clone()] = criterion.of(met).met(victim.logits(pixels[met]))
    # a new tensor: autograd may return one number for all pixels, where they are only summed
    uphill = forward.gradient * criterion.sign
    blind = ~uphill.flatten(1).sum(dim=1).isfinite()
    uphill.masked_fill_(blind[:, None, None, None], 0)
    return Seen(objective, met, uphill, blind)


def see_last(victim: Victim, pixels: torch.Tensor, criterion: Criterion, loss: Loss) -> Seen:
    """Return the values at the last iterate of n images, with a gradient of zero."""
    with torch.no_grad():
        logits = victim.logits(pixels)
    objective = criterion.sign * loss(logits, criterion.classes)
    met = criterion.met(logits)
    return Seen(objective, met, torch.zeros_like(pixels), torch.zeros_like(met))
