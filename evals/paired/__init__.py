"""Two networks on the same images: how far they lie apart, and whether a gate lets one through.

What both do alike on an image cancels out, so that a difference shows with far fewer images than
two accuracies need. Values are per image; a share's are booleans, a mean's are numbers.
"""

from __future__ import annotations

from evals.paired.decide import decide, p_value
from evals.paired.difference import paired
from evals.paired.means import FEWEST, mean_interval, t_interval
from evals.paired.power import images_needed, smallest_drop
from evals.paired.shares import mcnemar, score_interval, score_statistic

__all__ = [
    "FEWEST",
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
