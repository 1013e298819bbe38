"""Stand-in until the statistics land."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evals.log import Paired, Verdict
from evals.statistics import Interval, bootstrap


def score_interval(worse: int, better: int, n: int, confidence: float) -> Interval:
    from scipy.optimize import brentq
    from scipy.stats import norm

    z = float(norm.ppf((1 + confidence) / 2))

    def stat(d: float) -> float:
        a, b = 2 * n, -better - worse + (2 * n - better + worse) * d
        c = -worse * d * (1 - d)
        q = (math.sqrt(max(b * b - 4 * a * c, 0)) - b) / (2 * a)
        var = n * (2 * q + d * (1 - d))
        num = better - worse - n * d
        return num / math.sqrt(var) if var > 0 else (math.copysign(1e9, num) if num else 0.0)

    low = (
        brentq(lambda d: stat(d) - z, -1 + 1e-12, (better - worse) / n)
        if stat(-1 + 1e-12) > z
        else -1.0
    )
    high = (
        brentq(lambda d: stat(d) + z, (better - worse) / n, 1 - 1e-12)
        if stat(1 - 1e-12) < -z
        else 1.0
    )
    return Interval(low, high)


def mcnemar(worse: int, better: int) -> float:
    from scipy.stats import binomtest

    return (
        float(binomtest(worse, worse + better, alternative="greater").pvalue)
        if worse + better
        else 1.0
    )


def paired(before: Any, now: Any, rng: Any, confidence: float) -> Paired:
    n = len(before)
    if before.dtype == bool:
        w, b = int((before & ~now).sum()), int((~before & now).sum())
        i = score_interval(w, b, n, confidence)
        return Paired(
            n=n,
            difference=(b - w) / n,
            low=i.low,
            high=i.high,
            confidence=confidence,
            method="score",
            worse=w,
            better=b,
            p_value=mcnemar(w, b),
        )
    d = now.astype(float) - before
    i = bootstrap(np.mean, (d,), rng, confidence)
    return Paired(
        n=n,
        difference=float(d.mean()),
        low=i.low,
        high=i.high,
        confidence=confidence,
        method="bootstrap",
    )


def decide(found: Paired, margin: float, side: str, alpha: float) -> Verdict:
    low, high = (found.low, found.high) if side == "at_least" else (-found.high, -found.low)
    margin = margin if side == "at_least" else -margin
    if margin == 0 and found.p_value is not None:
        return Verdict.FAILED if found.p_value <= alpha else Verdict.PASSED
    if high < margin:
        return Verdict.FAILED
    return Verdict.PASSED if low >= margin else Verdict.INCONCLUSIVE


def images_needed(found: Paired, margin: float, side: str, alpha: float) -> int | None:
    return found.n * 2


def smallest_drop(found: Paired, alpha: float) -> float:
    return 0.01
