"""Where the time of a pass went."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.log import FastPath, PassRecord
from vision_evals.report import rounding


@dataclass(frozen=True, slots=True)
class TimingPart:
    """One activity; positions are shares of the bar."""

    name: str
    css: str
    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Timing:
    """A pass as a stacked bar: what happened one after the other."""

    images: str
    n: str
    total: str
    rate: str
    parts: tuple[TimingPart, ...]
    decoding: str
    paths: tuple[str, ...]
    """How each classifier's forwards were computed, a sentence each."""


def timing(pass_record: PassRecord) -> Timing:
    """Return a pass as a bar. Time in threads is summed over them and shown separately."""
    durations = {
        "waiting for pixels": pass_record.wait_seconds,
        "networks and measures": pass_record.forward_seconds,
        "rows": pass_record.rows_seconds,
        "pictures": pass_record.picture_seconds,
    }
    rest = pass_record.seconds - sum(durations.values())
    if rest > 0.005 * pass_record.seconds:
        durations["other"] = rest
    total = sum(durations.values()) or 1.0
    parts = []
    start = 0.0
    for index, (name, duration) in enumerate(durations.items()):
        text = rounding.seconds(duration)
        parts.append(TimingPart(name, f"t{index}", start, duration / total, text))
        start += duration / total
    return Timing(
        images=pass_record.images,
        n=rounding.count(pass_record.n),
        total=rounding.seconds(pass_record.seconds),
        rate=f"{pass_record.n / pass_record.seconds:,.3g}" if pass_record.seconds else "none",
        parts=tuple(parts),
        decoding=rounding.seconds(pass_record.decode_seconds),
        paths=tuple(map(_path, pass_record.fast_paths)),
    )


def _path(fast_path: FastPath) -> str:
    """Say by which path a classifier answered, and what was measured of it."""
    features = [fast_path.precision, fast_path.layout.replace("_", " ")]
    features += [f"{fast_path.folded} batch norms folded"] if fast_path.folded else []
    features += [word for word in ("compiled", "graphed") if getattr(fast_path, word)]
    text = f"{fast_path.classifier}: {', '.join(features)}"
    if fast_path.refused is not None:
        return f"{text}; plain path, because the faster path was refused: {fast_path.refused}"
    if fast_path.plain or fast_path.logit_error is None:
        return text
    return (
        f"{text}; on {fast_path.images} images logits differ by up to {fast_path.logit_error:.2g} "
        f"from the plain path's; {fast_path.repeated:,} of {fast_path.answers:,} later answers "
        f"were close and repeated, {fast_path.changed:,} of {fast_path.rechecked:,} others that "
        "were looked at again changed"
    )
