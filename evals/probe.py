"""A probe: one classifier looking at one batch; what measures share is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

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


@dataclass(frozen=True)
class Probe:
    """One classifier and one batch of n images."""

    classifier: Classifier
    ids: tuple[str, ...]
    pixels: torch.Tensor
    """(n, 3, H, W) in [0, 1], RGB, after resize and crop: the domain of the threat model."""
    answers: Answers | None
    """None for unlabelled images."""

    @cached_property
    def logits(self) -> torch.Tensor:
        """(n, classes) in fp32."""
        with torch.inference_mode():
            return self.classifier.logits(self.pixels)

    def halves(self) -> tuple[Probe, Probe]:
        """Return two probes of half the batch each."""
        middle = len(self.ids) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def _part(self, rows: slice) -> Probe:
        known = self.answers
        part = known and Answers(known.label[rows], known.accepted[rows], known.among)
        return Probe(self.classifier, self.ids[rows], self.pixels[rows], part)
