"""Several tries from several starts, and the best of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from vision_evals.attacks.attack import Attacked


class Try(NamedTuple):
    """What one try made of n images."""

    pixels: torch.Tensor
    """(n, 3, H, W) what it offers."""
    met: torch.Tensor
    """(n,) whether what it offers meets the criterion."""
    objective: torch.Tensor
    """(n,) there."""
    ever: torch.Tensor
    """(n,) whether any forward met it."""
    blind: torch.Tensor
    """(n,) whether any gradient was not finite."""
    steps: torch.Tensor
    """(n,) gradient steps."""
    losses: torch.Tensor
    """(k, n) objective along the path."""


def best_try(restarts: int, once: Callable[[int, torch.Tensor], Try], n: int) -> Attacked:
    """Try until an image is broken, and keep the point of the highest objective if it is not.

    Args:
        restarts: tries at most, 1 at least.
        once: of the number of the try and the rows (m,) that are still unbroken, on the CPU.
        n: how many images.
    """
    best = once(0, torch.arange(n))
    for number in range(1, restarts):
        rows = torch.nonzero(~best.met.cpu())[:, 0]
        if not len(rows):
            break
        best = _merged(best, rows, once(number, rows))
    return Attacked(best.pixels, best.ever, best.blind, best.steps, best.losses)


def _merged(best: Try, rows: torch.Tensor, found: Try) -> Try:
    """Take over the rows in which the new try is better; ``best`` is not used again."""
    rows = rows.to(best.met.device)
    best.ever[rows] |= found.ever
    best.blind[rows] |= found.blind
    best.steps[rows] += found.steps
    better = found.met | (found.objective > best.objective[rows])
    at = rows[better]
    losses = _taller(best.losses, len(found.losses))
    losses[:, at] = _taller(found.losses, len(losses))[:, better]
    best.pixels[at], best.met[at] = found.pixels[better], found.met[better]
    best.objective[at] = found.objective[better]
    return best._replace(losses=losses)


def _taller(losses: torch.Tensor, height: int) -> torch.Tensor:
    missing = max(height - len(losses), 0)
    return torch.cat([losses, losses.new_full((missing, losses.shape[1]), float("nan"))])
