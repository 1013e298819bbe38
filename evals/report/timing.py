"""Where the time of a walk went."""

from __future__ import annotations

from dataclasses import dataclass

from evals.log import Walk
from evals.report import rounding


@dataclass(frozen=True, slots=True)
class Part:
    """One activity; positions are shares of the bar."""

    name: str
    css: str
    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Timing:
    """A walk as a stacked bar: what happened one after the other."""

    images: str
    n: str
    total: str
    rate: str
    parts: tuple[Part, ...]
    decoding: str


def timing(walk: Walk) -> Timing:
    """Return a walk as a bar. Decoding goes on beside the networks and stands apart."""
    named = {
        "waiting for pixels": walk.wait_seconds,
        "networks and measures": walk.forward_seconds,
        "rows": walk.rows_seconds,
        "pictures": walk.picture_seconds,
    }
    rest = walk.seconds - sum(named.values())
    if rest > 0.005 * walk.seconds:
        named["other"] = rest
    whole = sum(named.values()) or 1.0
    parts = []
    start = 0.0
    for index, (name, duration) in enumerate(named.items()):
        text = rounding.seconds(duration)
        parts.append(Part(name, f"t{index}", start, duration / whole, text))
        start += duration / whole
    return Timing(
        images=walk.images,
        n=rounding.count(walk.n),
        total=rounding.seconds(walk.seconds),
        rate=f"{walk.n / walk.seconds:,.3g}" if walk.seconds else "none",
        parts=tuple(parts),
        decoding=rounding.seconds(walk.decode_seconds),
    )
