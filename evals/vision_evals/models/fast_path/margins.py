"""How far an answer is from another decision."""

from __future__ import annotations

import torch

from vision_evals.models.answers import first_is_right, one_of


def margin(logits: torch.Tensor, accepted: torch.Tensor | None) -> torch.Tensor:
    """Return (m,) by how much the two best sides of a decision differ.

    Args:
        logits: (m, classes).
        accepted: (m, a) right classes, padded with -1: then the sides are right and wrong. None:
            they are the first and the second answer.
    """
    if logits.shape[1] < 2:
        return logits.new_full((len(logits),), torch.inf)
    if accepted is None:
        best = logits.topk(2, dim=1).values
        return best[:, 0] - best[:, 1]
    right = one_of(logits, accepted)
    mine = logits.masked_fill(~right, -torch.inf).amax(dim=1)
    return (mine - logits.masked_fill(right, -torch.inf).amax(dim=1)).abs()


def decision(logits: torch.Tensor, accepted: torch.Tensor | None) -> torch.Tensor:
    """Return (m,) what is decided: whether the first answer is right, or which one it is."""
    return logits.argmax(dim=1) if accepted is None else first_is_right(logits, accepted)
