"""Whether a network is surer and righter with another normalisation than its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from vision_evals.core.errors import NotApplicableError
from vision_evals.measures.binomial import at_least
from vision_evals.models.answers import first_is_right
from vision_evals.models.card import Input
from vision_evals.validity.check import (
    SIGNIFICANCE,
    CheckResult,
    Evidence,
    ValidityCheck,
    failed,
    labelled,
    passed,
    undecided,
)
from vision_evals.validity.forwards import logits_of, preserved_rng

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of torchvision's networks, RGB on the pixel scale [0, 1]."""
CAFFE = ((122.679 / 255, 116.669 / 255, 104.006 / 255), (1 / 255, 1 / 255, 1 / 255))
"""Caffe's: a mean to subtract, and pixels up to 255."""
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""Inception's and most of TensorFlow's: pixels from -1 to 1."""

FIRST_LOOK = 6
"""Images that every other normalisation gets; where it does better on most, all images get it."""
MIN_GAIN = 2
"""How many more images must be right: an image more is often chance."""
MIN_GAIN_BY_CONTRAST = 0.25
"""Share of the images by which it must be right more often where it has more contrast than the own
one: a small network of any kind, such as a linear one, is surer of whatever has more contrast."""
SAME_MEAN = 0.1
"""Means that differ by less, on the pixel scale, leave no opposite shift to compare with."""


class _Change(NamedTuple):
    """What another normalisation does to pixels before the network's own: ``m + a (x - m) + b``."""

    centre: torch.Tensor
    """m, (3, 1, 1): the network's own mean, on the pixel scale, RGB."""
    contrast: torch.Tensor
    """a, (3, 1, 1)."""
    shift: torch.Tensor
    """b, (3, 1, 1)."""

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.centre + self.contrast * (pixels - self.centre) + self.shift

    @property
    def none(self) -> bool:
        """Whether it is the network's own normalisation, or nearly."""
        return not self._shifts and bool((self.contrast.log().abs() < 0.1).all())

    @property
    def adds_contrast(self) -> bool:
        """Whether pictures have more contrast after it."""
        return bool((self.contrast > 1).any())

    @property
    def _shifts(self) -> bool:
        return float((self.shift / self.contrast).abs().amax()) > SAME_MEAN

    def controls(self) -> Iterator[_Change]:
        """Yield changes as large as this one that repair nothing: the same the other way round."""
        if self._shifts:
            yield self._replace(shift=-self.shift)
        yield self._replace(contrast=1 / self.contrast, shift=-self.shift)


def others(card: Input, device: torch.device) -> dict[str, _Change]:
    """Return the usual normalisations but the network's own, as changes of the pixels before it."""
    own_mean, own_std = (
        torch.tensor(three[:: -1 if card.channels == "bgr" else 1]) / card.range
        for three in (card.mean, card.std)
    )
    whites = {
        f"bare pixels up to {white}": ((0.0,) * 3, (1 / white,) * 3) for white in {1, card.range}
    }
    usual = {
        **whites,
        "mean and std of ImageNet": IMAGENET,
        "pixels from -1 to 1": HALVES,
        "Caffe's": CAFFE,
    }
    changes = {}
    for name, numbers in usual.items():
        mean, std = (torch.tensor(three) for three in numbers)
        contrast = own_std / std
        parts = (own_mean, contrast, contrast * (own_mean - mean))
        changes[name] = _Change(*(part.view(3, 1, 1).to(device) for part in parts))
    return {name: change for name, change in changes.items() if not change.none}


class _Answer(NamedTuple):
    right: torch.Tensor
    """(n,) whether the first answer is right."""
    sure: torch.Tensor
    """(n,) log-probability of the label."""

    def first(self, n: int) -> _Answer:
        return _Answer(self.right[:n], self.sure[:n])

    def gain(self, other: _Answer) -> int:
        """Return how many images more than another one it has right."""
        return int(self.right.sum()) - int(other.right.sum())

    def surer(self, other: _Answer) -> int:
        """Return of how many images it is surer."""
        return int((self.sure > other.sure).sum())

    def beats(self, other: _Answer, alpha: float) -> bool:
        """Whether it is surer of the labels than chance explains, and right more often."""
        from scipy.stats import wilcoxon

        apart = (self.sure - other.sure).cpu().numpy()
        if self.gain(other) < MIN_GAIN or not apart.any():
            return False
        return float(wilcoxon(apart, alternative="greater").pvalue) < alpha


def own_is_best(evidence: Evidence) -> CheckResult:
    """Show the network its images as the other usual normalisations would give them.

    Wilcoxon's test on the log-probabilities of the labels, 1 % shared by all, and at least two
    images more that are right. On images that were selected because the network fails, any change
    makes some right: so the other normalisation must also beat the opposite change.
    """
    probe = evidence.probe
    if probe.answers is None:
        raise NotApplicableError("the images have no labels")
    pixels, n = probe.pixels, len(probe.pixels)
    changes = others(evidence.classifier.input, pixels.device)
    alpha = SIGNIFICANCE / len(changes)
    own = _answer(evidence, probe.logits)
    if at_least(n, n) >= alpha:
        return undecided(f"{n} images are too few")
    with preserved_rng(pixels.device):
        better = {
            name: answer
            for name, change in changes.items()
            if (answer := _better(evidence, change, own, alpha)) is not None
        }
        if not better:
            names = " nor ".join(changes)
            return passed(f"{n} images: neither {names} makes it surer and right more often")
        name = max(better, key=lambda name: float(better[name].sure.sum()))
        best = better[name]
        controls = [_changed(evidence, control, n) for control in changes[name].controls()]
    sentence = (
        f"with {name}, not its own normalisation, {int(best.right.sum())} of {n} images are right, "
        f"as declared {int(own.right.sum())}, and it is surer of {best.surer(own)} labels: the "
        "network normalises inside, or its card is of another network"
    )
    if changes[name].adds_contrast and best.gain(own) < MIN_GAIN_BY_CONTRAST * n:
        return undecided(f"{sentence}; but any picture with more contrast may make it surer")
    if not all(best.beats(control, SIGNIFICANCE) for control in controls):
        return undecided(f"{sentence}; the opposite change does as well")
    return failed(sentence)


def _better(evidence: Evidence, change: _Change, own: _Answer, alpha: float) -> _Answer | None:
    """Return the answer under a change if it beats the own one; look at a few images first."""
    few, own_few = _changed(evidence, change, FIRST_LOOK), own.first(FIRST_LOOK)
    if few.gain(own_few) < 0 or 2 * few.surer(own_few) <= FIRST_LOOK:
        return None
    answer = _changed(evidence, change, len(own.sure))
    return answer if answer.beats(own, alpha) else None


def _changed(evidence: Evidence, change: _Change, n: int) -> _Answer:
    return _answer(evidence, logits_of(evidence.classifier, change(evidence.probe.pixels[:n])))


def _answer(evidence: Evidence, logits: torch.Tensor) -> _Answer:
    answers, n = evidence.probe.answers, len(logits)
    assert answers is not None, "tested by the caller"
    sure = logits.detach().double().log_softmax(dim=1).gather(1, answers.label[:n, None])[:, 0]
    return _Answer(first_is_right(logits, answers.accepted[:n]), sure)


CHECKS = (
    ValidityCheck(
        id="S3", name="own normalisation is best",
        meaning="A network that normalises inside, below a card that normalises too, still "
        "answers, but worse.",
        source="RobustBench's networks normalise inside; Wilcoxon 1945, 1 % shared by all",
        scope="images", guards=labelled, run=own_is_best,
    ),
)  # fmt: skip
