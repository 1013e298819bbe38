"""A probe: one classifier and one batch; what measures share is computed once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """The right classes of images, as class indices of one classifier."""

    label: torch.Tensor
    """(n,) the label."""
    accepted: torch.Tensor
    """(n, a) every right class, including the label, padded with -1."""
    among: torch.Tensor
    """(c,) sorted: the classes in the whole image set."""

    def of(self, positions: Sequence[int], device: torch.device) -> Answers:
        """Return the answers for the images at ``positions``, on the device."""
        rows = torch.tensor(positions, dtype=torch.int64)
        return Answers(
            self.label[rows].to(device), self.accepted[rows].to(device), self.among.to(device)
        )


def answers(targets: Targets) -> Answers:
    """Return the answers of an image set as tensors on the CPU."""
    width = max((len(accepted) for accepted in targets.accepted), default=1)
    padded = [sorted(accepted) + [-1] * (width - len(accepted)) for accepted in targets.accepted]
    return Answers(
        torch.as_tensor(targets.label),
        torch.tensor(padded, dtype=torch.int64),
        torch.as_tensor(targets.among),
    )


Rows = torch.Tensor | slice
"""Images of a batch, by ascending indices or as a slice."""
Place = Callable[[Rows], torch.Tensor]
"""A variant of a batch: from rows to their pixels (r, 3, H, W) in it."""
EVERY = slice(None)


class Forward(NamedTuple):
    """Result of the forward that measures share."""

    logits: torch.Tensor
    gradient: torch.Tensor | None
    refusal: InvalidError | None
    """Why there is no gradient although a measure needs one."""
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
    """Whether a measure needs the gradient: it then shares the forward of the logits."""
    fast_path: FastPath | None = None
    """How forwards without a gradient are computed; None: as those with one."""
    room: int | None = None
    """Images in one forward; None: as many as the batch has."""
    keeps: bool = False
    """Whether the pass is small enough to keep a point of each image for its picture."""
    moved: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Id to the point (3, H, W) that the pass kept, for pictures; others are searched again."""

    @property
    def logits(self) -> torch.Tensor:
        """(n, classes) in fp32."""
        return self._shared.logits

    @property
    def gradient(self) -> torch.Tensor:
        """(n, 3, H, W) of each image's cross-entropy at its label with respect to its pixels.

        Raises:
            InvalidError: the network has none.
        """
        assert self.differentiate, "a measure that uses the gradient declares `gradient=True`"
        if self._shared.refusal is not None:
            raise self._shared.refusal
        assert self._shared.gradient is not None, "gradients exist only for labelled images"
        return self._shared.gradient

    @property
    def right(self) -> Answers:
        """The right classes, for measures with ``labels=True``."""
        assert self.answers is not None, "a measure with labels=True runs on labelled images only"
        return self.answers

    @property
    def shared_seconds(self) -> float:
        """How long the shared forward took; 0 before a measure uses it."""
        return self._shared.seconds if "_shared" in self.__dict__ else 0.0

    @cached_property
    def _shared(self) -> Forward:
        started = time.perf_counter()
        refusal = None
        if self.differentiate and self.answers is not None:
            try:
                differentiated = slope(self.classifier, self.pixels, self.answers.label[:, None])
                return Forward(*differentiated, None, time.perf_counter() - started)
            except InvalidError as error:
                refusal = error
        logits = self.see(self.pixels)
        return Forward(logits, None, refusal, time.perf_counter() - started)

    def see(self, pixels: torch.Tensor, rows: Rows = EVERY) -> torch.Tensor:
        """Return logits (r, classes) of changed images, without a gradient.

        Args:
            pixels: (r, 3, H, W) in [0, 1].
            rows: the images of the batch that they come from; by default all.
        """
        part = self if rows is EVERY else self._part(rows)
        accepted = None if part.answers is None else part.answers.accepted
        return part.looks([pixels.__getitem__], accepted)[0]

    def looks(self, places: Sequence[Place], right: torch.Tensor | None) -> torch.Tensor:
        """Return logits (k, n, classes) of k variants of the batch, without a gradient.

        Variants share a forward while their images fit into it. A fast path repeats close decisions
        on the plain path at the end, the only point at which the host waits for the device.

        Args:
            places: the variants.
            right: (n, a) right classes padded with -1, where only matters whether the first answer
                is one of them; None where the exact class matters.
        """
        if not places:
            return self.pixels.new_empty(0, len(self.ids), 0)
        fast_path = self.fast_path or FastPath(self.classifier, FastPathPlan("fp32"))
        n = len(self.ids)
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
                    places[k](torch.tensor([row % n for row in group], device=rows.device))
                    for k, group in by_place
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
        every = self.answers
        part = every and Answers(every.label[rows], every.accepted[rows], every.among)
        indices = rows.tolist() if isinstance(rows, torch.Tensor) else range(len(self.ids))[rows]
        ids = tuple(self.ids[index] for index in indices)
        return replace(self, ids=ids, pixels=self.pixels[rows], answers=part)


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
