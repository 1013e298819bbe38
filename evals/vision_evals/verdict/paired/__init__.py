"""Two networks on the same images: how far they lie apart, and whether a gate lets one through.

What both do alike on an image cancels out, so that a difference shows with far fewer images than
two accuracies need. Values are per image; a share's are booleans, a mean's are numbers.
"""

from __future__ import annotations

from vision_evals.verdict.paired.decide import decide, p_value
from vision_evals.verdict.paired.difference import paired
from vision_evals.verdict.paired.means import mean_interval, t_interval
from vision_evals.verdict.paired.power import images_needed, smallest_drop
from vision_evals.verdict.paired.shares import mcnemar, score_interval, score_statistic

__all__ = [
    "decide",
    "images_needed",
    "mcnemar",
    "mean_interval",
    "p_value",
    "paired",
    "score_interval",
    "score_statistic",
    "smallest_drop",
    "t_interval",
]
