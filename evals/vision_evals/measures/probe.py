"""A probe: one classifier looking at one batch; what measures share is computed once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from vision_evals.attacks.gradients import slope
from vision_evals.core.errors import InvalidError
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan
from vision_evals.suite.declared_options import SEED

if TYPE_CHECKING:
    from vision_evals.images.labels import Targets
    from vision_evals.models.classifier import Classifier


@dataclass(frozen=True, slots=True)
class Answers:
    """What is right, in class indices of one classifier."""

    label: torch.Tensor
    """(n,) the label."""
    accepted: torch.Tensor
    """(n, a) every right answer, the label among them, padded with -1."""
    among: torch.Tensor
    """(c,) sorted: the classes that occur in the whole image set."""

    def of(self, positions: Sequence[int], device: torch.device) -> Answers:
        """Return those of the images at ``positions``, on the device."""
        rows = torch.tensor(positions, dtype=torch.int64)
        return Answers(
            self.label[rows].to(device), self.accepted[rows].to(device), self.among.to(device)
        )


def answers(targets: Targets) -> Answers:
    """Return the answers of an image set as tensors on the CPU."""
    width = max((len(accepted) for accepted in targets.accepted), default=1)
    padded = [sorted(one) + [-1] * (width - len(one)) for one in targets.accepted]
    return Answers(
        torch.as_tensor(targets.label),
        torch.tensor(padded, dtype=torch.int64),
        torch.as_tensor(targets.among),
    )


Rows = torch.Tensor | slice
"""Some images of a batch, by ascending indices or as a slice."""
Place = Callable[[Rows], torch.Tensor]
"""Where a batch is looked at: from rows to their pixels (r, 3, H, W) there."""
EVERY = slice(None)


class Look(NamedTuple):
    """What one forward gave."""

    logits: torch.Tensor
    gradient: torch.Tensor | None
    refusal: InvalidError | None
    """Why there is no gradient, though one was wanted."""
    seconds: float


@dataclass(frozen=True)
class Probe:
    """One classifier and one batch of n images."""

    classifier: Classifier
    ids: tuple[str, ...]
    pixels: torch.Tensor
    """(n, 3, H, W) in [0, 1], RGB, after resize and crop: the domain of the threat model."""
    answers: Answers | None
    """None for unlabelled images."""
    seed: int = SEED
    """Of the run."""
    differentiate: bool = False
    """Whether some measure will want the gradient: it then shares the forward of the logits."""
    fast_path: FastPath | None = None
    """How forwards alone are computed; None: as those of gradients."""
    room: int | None = None
    """Images in one forward; None: as many as the batch has."""

    @property
    def logits(self) -> torch.Tensor:
        """(n, classes) in fp32."""
        return self._look.logits

    @property
    def gradient(self) -> torch.Tensor:
        """(n, 3, H, W) of each image's cross-entropy at its label with respect to its pixels.

        Raises:
            InvalidError: the network has none.
        """
        assert self.differentiate, "a measure that uses the gradient says so in its spec"
        if self._look.refusal is not None:
            raise self._look.refusal
        assert self._look.gradient is not None, "gradients are only asked of labelled images"
        return self._look.gradient

    @property
    def shared_seconds(self) -> float:
        """How long the forward took that measures share; 0 before the first of them asks."""
        return self._look.seconds if "_look" in self.__dict__ else 0.0

    @cached_property
    def _look(self) -> Look:
        started = time.perf_counter()
        refusal = None
        if self.differentiate and self.answers is not None:
            try:
                found = slope(self.classifier, self.pixels, self.answers.label[:, None])
                return Look(*found, None, time.perf_counter() - started)
            except InvalidError as error:
                refusal = error
        logits = self.see(self.pixels)
        return Look(logits, None, refusal, time.perf_counter() - started)

    def see(self, pixels: torch.Tensor, rows: Rows = EVERY) -> torch.Tensor:
        """Return logits (r, classes) of images that stand elsewhere now, without a gradient.

        Args:
            pixels: (r, 3, H, W) in [0, 1].
            rows: whose they are; by default one for each image of the batch.
        """
        part = self if rows is EVERY else self._part(rows)
        right = None if part.answers is None else part.answers.accepted
        return part.looks([pixels.__getitem__], right)[0]

    def looks(self, places: Sequence[Place], right: torch.Tensor | None) -> torch.Tensor:
        """Return logits (k, n, classes) at k places, without a gradient.

        Places share a forward while its images fit; what decides by a hair is settled at the end,
        where alone the host waits for the device, and only on a faster path than the plain one.

        Args:
            places: where.
            right: (n, a) the classes among which the first answer must be, padded with -1; None
                where it matters which one it is.
        """
        if not places:
            return self.pixels.new_empty(0, len(self.ids), 0)
        n, fast_path = (
            len(self.ids),
            self.fast_path or FastPath(self.classifier, FastPathPlan("fp32")),
        )
        room = self.room or n
        step = max(1, room // n)
        groups = [places[first : first + step] for first in range(0, len(places), step)]
        logits = _joined(
            [fast_path.fast_logits(_joined([place(EVERY) for place in group])) for group in groups]
        )
        sides = None if right is None else right.repeat(len(places), 1)

        def pixels(rows: torch.Tensor) -> torch.Tensor:
            by_place = itertools.groupby(rows.tolist(), key=lambda row: row // n)
            return _joined(
                [
                    places[k](torch.tensor([row % n for row in some], device=rows.device))
                    for k, some in by_place
                ]
            )

        settled = fast_path.settle(logits, sides, pixels, self.ids[:1], room)
        return settled.view(len(places), n, -1)

    def halves(self) -> tuple[Probe, Probe]:
        """Return two probes of half the batch each."""
        middle = len(self.ids) // 2
        first, second = self._part(slice(None, middle)), self._part(slice(middle, None))
        return replace(first, room=middle), replace(second, room=middle)

    def only(self, index: int) -> Probe:
        """Return a probe of one image of the batch."""
        return self._part(slice(index, index + 1))

    def _part(self, rows: Rows) -> Probe:
        known = self.answers
        part = known and Answers(known.label[rows], known.accepted[rows], known.among)
        chosen = rows.tolist() if isinstance(rows, torch.Tensor) else range(len(self.ids))[rows]
        ids = tuple(self.ids[row] for row in chosen)
        return replace(self, ids=ids, pixels=self.pixels[rows], answers=part)


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
