"""What a metric is held against: a number, another network's, or why there is none; and noise."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.log import Gate, Metric, Paired, Verdict


@dataclass(frozen=True, slots=True)
class NoThreshold:
    """Why there is no number to hold a metric against."""

    reason: str
    verdict: Verdict = Verdict.INCONCLUSIVE
    """What that makes of the threshold: a gate that cannot be held is no pass, for the checkpoint
    that it guards may be the one it missed."""


@dataclass(frozen=True, slots=True)
class PairedThreshold:
    """Another network's metric on the same images, and the paired difference to it."""

    value: float
    """Of the other network."""
    paired: Paired
    """At the confidence that the gate is decided by."""


Threshold = float | PairedThreshold | NoThreshold
"""What a reference comes to, plus and minus not yet applied."""


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """By how much a metric moves on this machine when nothing that matters is changed."""

    value: float
    """In the metric's unit, 0 or more."""
    measured: str
    """ISO 8601 date."""

    def softens(self, value: float, threshold: float, verdict: Verdict, gate: Gate | None) -> bool:
        """Whether noise of this machine makes a verdict inconclusive.

        Of a gate it takes passes away only: a loss that was shown image by image stays one. A gate
        without a margin asks whether a loss was shown, and an equal network lies on its very
        border.
        """
        if gate is not None and (verdict is not Verdict.PASSED or gate.margin == 0):
            return False
        # the slack is of floats: 0.9 - 0.85 is more than 0.95 - 0.9, and both are one image of 20
        return self.value > 0 and abs(value - threshold) <= self.value * (1 + 1e-9)


def no_floor(metric: Metric) -> NoiseFloor | None:
    """Return None: nothing was measured of this metric."""
    del metric
    return None
