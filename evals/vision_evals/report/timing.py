"""Where the time of a walk went."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.log import Lane, Walk
from vision_evals.report import rounding


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
    paths: tuple[str, ...]
    """How each classifier's forwards were computed, a sentence each."""


def timing(walk: Walk) -> Timing:
    """Return a walk as a bar. What threads did is added up over them and stands apart."""
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
        paths=tuple(map(_path, walk.lanes)),
    )


def _path(lane: Lane) -> str:
    """Say by which path a classifier answered, and what was measured of it."""
    done = [lane.precision, lane.layout.replace("_", " ")]
    done += [f"{lane.folded} batch norms folded"] if lane.folded else []
    done += [word for word in ("compiled", "graphed") if getattr(lane, word)]
    said = f"{lane.classifier}: {', '.join(done)}"
    if lane.refused is not None:
        return f"{said}; the plain path, since of a faster one: {lane.refused}"
    if lane.plain or lane.logit_error is None:
        return said
    return (
        f"{said}; on {lane.images} images logits differ by up to {lane.logit_error:.2g} from the "
        f"plain path's; {lane.repeated:,} of {lane.answers:,} later answers were close and "
        f"repeated, {lane.changed:,} of {lane.rechecked:,} others that were looked at again changed"
    )
