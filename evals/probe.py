"""A probe: one classifier looking at one batch; what measures share is computed once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch

from evals.attacks.gradients import slope
from evals.errors import InvalidError

if TYPE_CHECKING:
    from evals.classifiers.classifier import Classifier
    from evals.images.labels import Targets


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
    seed: int = 0
    """Of the run."""
    differentiate: bool = False
    """Whether some measure will want the gradient: it then shares the forward of the logits."""

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
        with torch.inference_mode():
            logits = self.classifier.logits(self.pixels)
        return Look(logits, None, refusal, time.perf_counter() - started)

    def halves(self) -> tuple[Probe, Probe]:
        """Return two probes of half the batch each."""
        middle = len(self.ids) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def only(self, index: int) -> Probe:
        """Return a probe of one image of the batch."""
        return self._part(slice(index, index + 1))

    def _part(self, rows: slice) -> Probe:
        known = self.answers
        part = known and Answers(known.label[rows], known.accepted[rows], known.among)
        return replace(self, ids=self.ids[rows], pixels=self.pixels[rows], answers=part)
