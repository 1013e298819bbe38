"""Whether answers are right, and how far they are from another decision."""

from __future__ import annotations

import torch


def among(answers: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (...) whether answers (...) are among the right ones (..., a), padded with -1."""
    return (answers[..., None] == accepted).any(dim=-1)


def first_is_right(logits: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (n,) whether the first of (n, classes) logits is among the right answers (n, a)."""
    return among(logits.argmax(dim=1), accepted)


def one_of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n, classes) whether each class is among ``classes`` (n, a), padded with -1."""
    n, last = logits.shape
    named = torch.zeros(n, last + 1, dtype=torch.bool, device=logits.device)
    named.scatter_(1, torch.where(classes < 0, last, classes), value=True)
    return named[:, :last]


def margin(logits: torch.Tensor, accepted: torch.Tensor | None) -> torch.Tensor:
    """Return (m,) the difference of the logits of the two best sides of a decision.

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
    """Return (m,) the decision: whether the first answer is right; without labels, which it is."""
    return logits.argmax(dim=1) if accepted is None else first_is_right(logits, accepted)
