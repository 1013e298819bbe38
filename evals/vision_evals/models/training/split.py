"""Which images a step may be made on and which are held out: by hash, the same for every seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vision_evals.core.errors import UserError


def held_out(
    ids: Sequence[str], labels: Sequence[int], share: float
) -> tuple[list[int], list[int]]:
    """Return the positions to train on and those to validate on, each in rising order.

    Of each class the ``share`` with the smallest hashes validates, rounded to one image at least;
    a class of two images or more keeps one to train on.
    """
    validation: list[int] = []
    for label in sorted(set(labels)):
        own = [i for i, other in enumerate(labels) if other == label]
        wanted = max(1, min(round(len(own) * share), len(own) - 1))
        validation += smallest(ids, own, wanted, "validation")
    held = set(validation)
    return [i for i in range(len(ids)) if i not in held], sorted(held)


def smallest(ids: Sequence[str], positions: Sequence[int], count: int, purpose: str) -> list[int]:
    """Return the ``count`` positions whose ids have the smallest hashes, in rising order."""

    def rank(position: int) -> bytes:
        return hashlib.sha256(f"{purpose}\0{ids[position]}".encode()).digest()

    return sorted(sorted(positions, key=rank)[:count])


def refuse_gaps(
    classes: Sequence[str], train: Sequence[int], validation: Sequence[int], where: str
) -> None:
    """Raise a UserError where fewer than two classes are there, or one lacks images."""
    if len(classes) < 2:
        raise UserError(
            f"{where} has {len(classes)} class ({', '.join(classes)}); a classifier needs two "
            "at least, each a folder of pictures"
        )
    for part, labels in (("training", train), ("validation", validation)):
        missing = sorted(set(range(len(classes))) - set(labels))
        if missing:
            raise UserError(
                f'{where}: class "{classes[missing[0]]}" is left without a {part} image; '
                "add pictures to it, or change validation or examples"
            )
