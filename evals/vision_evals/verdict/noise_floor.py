"""The measured noise of a machine: the noise floor of each metric. Without torch.

A floor is the largest distance of a metric's values from its reference value when batch size,
threads or device change and the precision does not. Runs of different precision are never compared:
the effect of bf16 is a choice of the user and not noise, and in a floor of fp32 it would hide real
differences. So each precision has its own entries. The distance of its reference from that of fp32
is stored next to the floor, for information only.

A floor is a lower bound of the noise: it contains the variations that were run, and one seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from vision_evals.log import Metric, Precision, Record
from vision_evals.verdict.job import Job
from vision_evals.verdict.thresholds import NoiseFloor


class Variation(Record):
    """One way to compute the same number."""

    device: str
    """Such as ``cpu`` or ``cuda:0``."""
    precision: Precision
    """Of convolutions and matrix products."""
    batch_size: Annotated[int, Field(ge=1)]
    """Images in one forward."""
    threads: Annotated[int, Field(ge=1)]
    """Of torch on the CPU."""

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.device}, {self.precision}, batch {self.batch_size}, {threads}"


class NoiseKey(Record):
    """What identifies a number: everything that changes it and is not noise."""

    classifier: str
    """Alias, for information: the fingerprint decides."""
    fingerprint: str
    """Of the classifier."""
    check: str
    """Name of the check, for information."""
    measure: str
    """Its name in the suite."""
    parameters: dict[str, Any]
    """Every parameter of the measure."""
    images: tuple[str, ...]
    """Fingerprint of the image set, and of the second where there is one."""

    @property
    def key(self) -> str:
        """A hash that does not depend on the names of alias and check."""
        fields = [self.fingerprint, self.measure, self.parameters, self.images]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


class MetricFloor(Record):
    """The floor of one metric."""

    metric: str
    """Name of the metric."""
    at: str | None = None
    """Value of the axis."""
    reference: float
    """Its value in the first variation."""
    floor: Annotated[float, Field(ge=0)]
    """Largest distance of its other values from that."""
    most: Variation | None = None
    """The variation with this distance; null where the floor is 0."""
    from_fp32: float | None = None
    """Distance of the reference from that in fp32; not a part of the floor."""


class NoiseEntry(Record):
    """The floors of one check at one precision."""

    asked: NoiseKey
    precision: Precision
    """Of all its variations."""
    measured: str
    """ISO 8601 date, UTC."""
    variations: tuple[Variation, ...]
    """All that were run, the reference first."""
    floors: tuple[MetricFloor, ...]
    """Of each metric that has a value in every variation."""

    @property
    def by_metric(self) -> dict[tuple[str, str | None], MetricFloor]:
        """The floors by name of the metric and value of its axis."""
        return {(floor.metric, floor.at): floor for floor in self.floors}


class Noise(Record):
    """The file: the noise of one machine."""

    version: Literal[1] = 1
    """Format of this file."""
    machine: str
    """Devices and version of torch."""
    entries: tuple[NoiseEntry, ...] = ()

    def floor(self, asked: NoiseKey, precision: Precision, metric: Metric) -> NoiseFloor | None:
        """Return the noise floor of a metric; None where it was not measured."""
        for entry in self.entries:
            if (entry.precision, entry.asked.key) == (precision, asked.key):
                moved = entry.by_metric.get((metric.name, metric.at))
                if moved is not None:
                    return NoiseFloor(moved.floor, entry.measured)
        return None

    def merged(self, new: Sequence[NoiseEntry]) -> Noise:
        """Add entries; a newer one replaces one of the same check and precision.

        If it lacks a variation of the older one, as after an interruption, each floor is the
        higher of the two.
        """
        merged = {(entry.asked.key, entry.precision): entry for entry in self.entries}
        for entry in new:
            key = entry.asked.key, entry.precision
            merged[key] = _wider(merged[key], entry) if key in merged else entry
        return self.model_copy(update={"entries": tuple(merged.values())})


def _wider(old: NoiseEntry, new: NoiseEntry) -> NoiseEntry:
    if set(old.variations) <= set(new.variations):
        return new
    if set(new.variations) <= set(old.variations):
        return old
    floors = old.by_metric
    for key, moved in new.by_metric.items():
        if key not in floors or floors[key].floor < moved.floor:
            floors[key] = moved
    variations = dict.fromkeys((*new.variations, *old.variations))
    return new.model_copy(
        update={"variations": tuple(variations), "floors": tuple(floors.values())}
    )


def noise_key(job: Job, digest: str, images: Sequence[str]) -> NoiseKey:
    """Return the key by which a job finds its noise floors.

    Args:
        job: what was selected.
        digest: fingerprint of its classifier.
        images: fingerprint of each image set.
    """
    return NoiseKey(
        classifier=job.alias,
        fingerprint=digest,
        check=job.check.name,
        measure=job.check.table.measure,
        parameters=job.check.parameters.model_dump(mode="json"),
        images=tuple(images),
    )


MetricsByVariation: TypeAlias = Sequence[tuple[Variation, Sequence[Metric]]]
"""The metrics of one check in each variation of one precision, the reference first."""


def noise_entry(
    asked: NoiseKey, taken: MetricsByVariation, measured: str, fp32: NoiseEntry | None = None
) -> NoiseEntry:
    """Return the floors of one check at one precision.

    A metric without a value in some variation has no distance there, and gets no floor.

    Args:
        asked: the key of the check.
        taken: its metrics.
        measured: ISO 8601 date.
        fp32: the entry of the same check in fp32, for another precision.
    """
    variations = tuple(variation for variation, _ in taken)
    assert len({variation.precision for variation in variations}) == 1
    exact = {} if fp32 is None else fp32.by_metric
    values: dict[tuple[str, str | None], list[float]] = {}
    for _, metrics in taken:
        for metric in metrics:
            if metric.value is not None:
                values.setdefault((metric.name, metric.at), []).append(metric.value)
    floors = []
    for (name, at), series in values.items():
        if len(series) < len(taken):
            continue
        distances = [abs(value - series[0]) for value in series]
        largest = max(distances)
        most = variations[distances.index(largest)] if largest > 0 else None
        plain = exact.get((name, at))
        floors.append(
            MetricFloor(
                metric=name,
                at=at,
                reference=series[0],
                floor=largest,
                most=most,
                from_fp32=None if plain is None else abs(series[0] - plain.reference),
            )
        )
    return NoiseEntry(
        asked=asked,
        precision=variations[0].precision,
        measured=measured,
        variations=variations,
        floors=tuple(floors),
    )
