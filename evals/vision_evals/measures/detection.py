"""How well a confidence tells images of one set from those of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Confidences = NDArray[np.floating[Any]]


def auroc(these: Confidences, others: Confidences) -> float:
    """Return how likely one of these has a lower confidence than one of the others.

    The rank statistic of Mann and Whitney (1947) as a share of all pairs; a tie counts half.

    Args:
        these: (n,) confidences on the positive images, which a low confidence gives away.
        others: (m,) confidences on the negative ones.
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([others, these]))[: len(others)]
    pairs = ranks.sum() - len(others) * (len(others) + 1) / 2
    return float(pairs / (len(others) * len(these)))


def false_positives(these: Confidences, others: Confidences) -> float:
    """Return the share of others under the threshold that catches 95 % of these.

    Args:
        these: (n,) confidences on the positive images, which a low confidence gives away.
        others: (m,) confidences on the negative ones.
    """
    caught = -(-95 * len(these) // 100)
    threshold = np.sort(these)[caught - 1]
    return float((others <= threshold).mean())
