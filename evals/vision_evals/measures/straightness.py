"""How linear curves over epsilon are, and where an image turns wrong along them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vision_evals.measures.epsilons import value

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

MIN_RELATIVE_CHANGE = 1e-6
"""A label's logit that changes by less than this share of itself is constant in fp32."""


class Curves(NamedTuple):
    """Rows of n images at e epsilons as arrays, in ascending order of epsilon."""

    epsilon: NDArray[np.float64]
    """(e,), 0 in the middle."""
    label_logit: NDArray[np.float64]
    """(n, e)."""
    margin: NDArray[np.float64]
    """(n, e) the largest right logit minus the largest wrong one."""
    top1: NDArray[np.int64]
    correct: NDArray[np.bool_]


def curves_of(rows: pd.DataFrame) -> Curves:
    """Return the rows of `linear_response` as arrays."""
    points = rows["epsilon"].nunique()
    epsilon = np.array([value(epsilon) for epsilon in rows["epsilon"][:points]])
    columns = (rows[name].to_numpy() for name in ("label_logit", "margin", "top1", "correct"))
    label_logit, margin, top1, correct = (column.reshape(-1, points) for column in columns)
    return Curves(epsilon, label_logit.astype(float), margin.astype(float), top1, correct)


def moves(logit: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (n,) whether a logit (n, e) depends on epsilon: otherwise R^2 is 0 / 0."""
    least = MIN_RELATIVE_CHANGE * np.abs(logit).max(axis=1)
    moving: NDArray[np.bool_] = np.ptp(logit, axis=1) > least
    return moving


def r2_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,) the share of the variance of y (n, e) that one line over x (e,) explains.

    1 - SSE / SST of least squares with an intercept, so it lies in [0, 1].
    """
    return 1 - _residue(x, y) / _squares(y)


def r2_per_side(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share that two lines explain, one for x <= 0 and one for x >= 0.

    Each has its own slope and intercept; the point at 0 belongs to both and counts twice.
    """
    sides = [(x[side], y[:, side]) for side in (x <= 0, x >= 0)]
    residue = sum(_residue(*side) for side in sides)
    return 1 - residue / _squares(np.concatenate([y for _, y in sides], axis=1))


def _squares(y: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return squares


def _residue(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n,) the sum of squares that a least-squares line leaves."""
    dx, dy = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    slope = dy @ dx / (dx @ dx)
    return _squares(dy - slope[:, None] * dx)


class Crossings(NamedTuple):
    """Where images turn wrong as epsilon grows from 0."""

    epsilon: NDArray[np.float64]
    """(n,) inf for an image that stays correct, NaN for one that is wrong at 0."""
    early: NDArray[np.bool_]
    """(n,) whether it turns wrong before the last point."""
    stable: NDArray[np.bool_]
    """(n,) whether its first wrong class then stays to the end."""


def crossings_of(curves: Curves) -> Crossings:
    """Interpolate the margin between the last correct point and the first wrong one."""
    zero, last = len(curves.epsilon) // 2, len(curves.epsilon) - 1
    where = np.full(len(curves.correct), np.nan)
    early, stable = (np.zeros(len(where), dtype=bool) for _ in range(2))
    for i in np.flatnonzero(curves.correct[:, zero]):
        wrong = np.flatnonzero(~curves.correct[i, zero:])
        if not len(wrong):
            where[i] = np.inf
            continue
        first = zero + int(wrong[0])
        before, after = curves.margin[i, first - 1 : first + 1]
        share = before / (before - after) if before > after else 1.0
        step = curves.epsilon[first] - curves.epsilon[first - 1]
        where[i] = curves.epsilon[first - 1] + share * step
        early[i] = first < last
        stable[i] = (curves.top1[i, first:] == curves.top1[i, first]).all()
    return Crossings(where, early, stable)
