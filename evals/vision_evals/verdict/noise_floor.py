"""What was measured of a machine's noise, and the floor of each metric. Pure, and no torch.

A floor is the largest distance of a metric's values from its reference value when batch size,
threads or device change and precision does not. Runs of different precision are never compared:
what bf16 does to a number is a choice of the user's and no noise, and in a floor of fp32 it would
hide what fp32 can tell. So each precision has entries of its own, and how far its reference lies
from that of fp32 is kept beside the floor, to be read and not to be judged by.

A floor is a lower bound of the noise: it knows the variations that were run, and one seed.
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
    """A question whose metrics may be compared: what changes a number and is no noise."""

    classifier: str
    """Alias, for people: the fingerprint counts."""
    fingerprint: str
    """Of the classifier."""
    check: str
    """Name of the check, for people."""
    measure: str
    """As the suite names it."""
    parameters: dict[str, Any]
    """Every parameter of the measure."""
    images: tuple[str, ...]
    """Fingerprint of the image set, and of the second where there is one."""

    @property
    def key(self) -> str:
        """The same for the same question, whatever alias and check are called."""
        asked = [self.fingerprint, self.measure, self.parameters, self.images]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


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
    """The variation of this distance; null where nothing moved it."""
    from_fp32: float | None = None
    """Distance of the reference from that in fp32: no part of the floor."""


class NoiseEntry(Record):
    """The floors of one question at one precision."""

    asked: NoiseKey
    precision: Precision
    """Of all its variations."""
    measured: str
    """ISO 8601 date, UTC."""
    variations: tuple[Variation, ...]
    """All that were run, the reference first."""
    floors: tuple[MetricFloor, ...]
    """Of every metric that has a value in all of them."""


class Noise(Record):
    """The file: what was measured on one machine."""

    version: Literal[1] = 1
    """Format of this file."""
    machine: str
    """Devices and version of torch."""
    entries: tuple[NoiseEntry, ...] = ()

    def floor(self, asked: NoiseKey, precision: Precision, metric: Metric) -> NoiseFloor | None:
        """Return by how much a metric moves here, or None: it was not measured."""
        for entry in self.entries:
            if entry.precision == precision and entry.asked.key == asked.key:
                for moved in entry.floors:
                    if (moved.metric, moved.at) == (metric.name, metric.at):
                        return NoiseFloor(moved.floor, entry.measured)
        return None

    def merged(self, new: Sequence[NoiseEntry]) -> Noise:
        """Add entries; of the same question and precision, the newer one stays.

        Unless it lacks a variation of the older one, as after an interruption: then each floor is
        the higher of the two, or it would fall because somebody was in a hurry.
        """
        kept = {(entry.asked.key, entry.precision): entry for entry in self.entries}
        for entry in new:
            key = entry.asked.key, entry.precision
            kept[key] = _wider(kept[key], entry) if key in kept else entry
        return self.model_copy(update={"entries": tuple(kept.values())})


def _wider(old: NoiseEntry, new: NoiseEntry) -> NoiseEntry:
    if set(old.variations) <= set(new.variations):
        return new
    if set(new.variations) <= set(old.variations):
        return old
    floors = {(moved.metric, moved.at): moved for moved in old.floors}
    for moved in new.floors:
        known = floors.get((moved.metric, moved.at))
        if known is None or known.floor < moved.floor:
            floors[moved.metric, moved.at] = moved
    variations = dict.fromkeys((*new.variations, *old.variations))
    return new.model_copy(
        update={"variations": tuple(variations), "floors": tuple(floors.values())}
    )


def noise_key(job: Job, digest: str, images: Sequence[str]) -> NoiseKey:
    """Return what a job asks, so that the same question finds its floors.

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
"""The metrics of one question in each variation of one precision, the reference first."""


def noise_entry(
    asked: NoiseKey, taken: MetricsByVariation, measured: str, fp32: NoiseEntry | None = None
) -> NoiseEntry:
    """Return the floors of one question at one precision.

    A metric without a value in some variation has no distance there, and gets no floor.

    Args:
        asked: the question.
        taken: its metrics.
        measured: ISO 8601 date.
        fp32: the same question in fp32, for another precision.
    """
    variations = tuple(variation for variation, _ in taken)
    assert len({variation.precision for variation in variations}) == 1
    exact = {} if fp32 is None else {(m.metric, m.at): m.reference for m in fp32.floors}
    values: dict[tuple[str, str | None], list[float]] = {}
    for _, metrics in taken:
        for metric in metrics:
            if metric.value is not None:
                values.setdefault((metric.name, metric.at), []).append(metric.value)
    floors = []
    for (name, at), found in values.items():
        if len(found) < len(taken):
            continue
        distances = [abs(value - found[0]) for value in found]
        largest = max(distances)
        most = variations[distances.index(largest)] if largest > 0 else None
        apart = abs(found[0] - exact[name, at]) if (name, at) in exact else None
        floors.append(
            MetricFloor(
                metric=name,
                at=at,
                reference=found[0],
                floor=largest,
                most=most,
                from_fp32=apart,
            )
        )
    return NoiseEntry(
        asked=asked,
        precision=variations[0].precision,
        measured=measured,
        variations=variations,
        floors=tuple(floors),
    )
