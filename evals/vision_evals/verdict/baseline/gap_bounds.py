"""By how much a metric moves at most where decisions, or logits, were measured to differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vision_evals.verdict.baseline.paths import PathError


@dataclass(frozen=True, slots=True)
class Bound:
    """What of a measured difference a metric follows, and how steeply."""

    by: Literal["decisions", "logits"]
    times: float

    def of(self, far: PathError) -> float | None:
        """Return by how much the metric moves at most; None where that was not measured."""
        value = far.share if self.by == "decisions" else far.logit
        return None if value is None else self.times * value


_SHARE = Bound("decisions", 1)
_LOSS = Bound("logits", 2)
"""-log p = log sum exp z - z_y: where no logit moves by more than e, neither of the two does."""
_PROBABILITY = Bound("logits", 0.5)
"""A probability is the sigmoid of its logit less the log-sum-exp of the others, which moves by 2 e
at most, and a sigmoid is nowhere steeper than 1/4. The largest of several moves no further."""

BOUNDS = {
    ("accuracy", "top1_accuracy"): _SHARE,
    ("accuracy", "nll"): _LOSS,
    ("fgsm", "robust_accuracy"): _SHARE,
    ("fgsm", "robust_accuracy_8bit"): _SHARE,
    ("fgsm", "noise_accuracy"): _SHARE,
    ("adversarial", "robust_accuracy"): _SHARE,
    ("adversarial", "robust_accuracy_8bit"): _SHARE,
    ("adversarial", "fgsm_accuracy"): _SHARE,
    ("adversarial", "noise_accuracy"): _SHARE,
    ("targeted", "target_success"): _SHARE,
    ("targeted", "target_success_8bit"): _SHARE,
    ("targeted", "target_confidence"): _PROBABILITY,
    ("predictions", "confidence_mean"): _PROBABILITY,
    ("predictions", "shift_stability"): Bound("decisions", 6),  # each of six answers can unsettle
    ("dropout_gap", "eval_accuracy"): _SHARE,
}
"""By measure and metric.

What is counted are first answers: that says nothing of the five likeliest, of a threshold on
confidence, of a share of those that were right when clean, of medians, of calibration errors, and
of what is inside a network. A measure of one's own is not listed: nobody knows what it decides.
"""
