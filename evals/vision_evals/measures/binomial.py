"""Tails of the binomial distribution, from scipy.special: scipy.stats takes a second to import."""

from __future__ import annotations


def at_least(successes: int, n: int, chance: float = 0.5) -> float:
    """Return the probability of so many successes in n trials, or more.

    The regularised incomplete beta function (Abramowitz & Stegun 1964, 26.5.24): the number of
    ``scipy.stats.binom.sf(successes - 1, n, chance)``.
    """
    from scipy.special import betainc

    return float(betainc(successes, n - successes + 1, chance)) if successes > 0 else 1.0


def at_most(successes: int, n: int, chance: float = 0.5) -> float:
    """Return the probability of so many successes in n trials, or fewer."""
    return at_least(n - successes, n, 1 - chance)
