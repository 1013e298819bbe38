"""What a metric is compared with: a number, another network's metric, or none; and noise."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.log import Gate, Metric, Paired, Verdict


@dataclass(frozen=True, slots=True)
class NoThreshold:
    """Why there is no number to compare a metric with."""

    reason: str
    verdict: Verdict = Verdict.INCONCLUSIVE
    """Verdict of the threshold: a gate that cannot be decided is not a pass, because the checkpoint
    may be worse."""


@dataclass(frozen=True, slots=True)
class PairedThreshold:
    """Another network's metric on the same images, and the paired difference to it."""

    value: float
    """Of the other network."""
    paired: Paired
    """At the confidence that decides the gate."""


Threshold = float | PairedThreshold | NoThreshold
"""The resolved value of a reference, plus and minus not yet applied."""


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How much a metric changes on this machine when only batch size, threads or device change."""

    value: float
    """In the metric's unit, 0 or more."""
    measured: str
    """ISO 8601 date."""

    def softens(self, value: float, threshold: float, verdict: Verdict, gate: Gate | None) -> bool:
        """Whether the noise of this machine makes a verdict inconclusive.

        In a gate it changes passes only: a loss that is shown image by image stays a loss. It does
        not change a gate without a margin: there an equal network is always at the threshold.
        """
        if gate is not None and (verdict is not Verdict.PASSED or gate.margin == 0):
            return False
        # tolerance for rounding: 0.9 - 0.85 is more than 0.95 - 0.9, and both are one image of 20
        return self.value > 0 and abs(value - threshold) <= self.value * (1 + 1e-9)


def no_floor(metric: Metric) -> NoiseFloor | None:
    """Return None: no noise was measured for this metric."""
    del metric
    return None
