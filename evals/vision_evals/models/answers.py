"""The right answers of images, among the classes of a network's logits."""

from __future__ import annotations

import torch


def among(answers: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (...) whether answers (...) are among the right ones (..., a), padded with -1."""
    return (answers[..., None] == accepted).any(dim=-1)


def first_is_right(logits: torch.Tensor, accepted: torch.Tensor) -> torch.Tensor:
    """Return (n,) whether the first of (n, classes) logits is among the right answers (n, a)."""
    return among(logits.argmax(dim=1), accepted)


def one_of(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Return (n, classes) whether each is one of those named; -1 names none."""
    n, last = logits.shape
    found = torch.zeros(n, last + 1, dtype=torch.bool, device=logits.device)
    found.scatter_(1, torch.where(classes < 0, last, classes), value=True)
    return found[:, :last]
