"""From the rows of a job to its verdict."""

from __future__ import annotations

from evals.judging.entry import finite, gathered, identity, judge, unjudged, with_interval
from evals.judging.question import CONFIDENCE, Facts, Family, Measured, Question, medians, seed_of

__all__ = [
    "CONFIDENCE",
    "Facts",
    "Family",
    "Measured",
    "Question",
    "finite",
    "gathered",
    "identity",
    "judge",
    "medians",
    "seed_of",
    "unjudged",
    "with_interval",
]
