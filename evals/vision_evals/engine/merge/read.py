"""The parts of one run: read, and refused unless they are parts of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.partition import Partition

ELSEWHERE = {"device", "device_name", "noise", "shard"}
"""Settings in which parts may differ: machines do."""

TIMES = {"load_seconds", "trainings", "weights"}
"""What may differ of a classifier: its fingerprint says whether it is the same."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a run."""

    partition: Partition
    directory: Path
    log: log.Run

    def __str__(self) -> str:
        return f"{self.partition.words} ({self.directory})"


def parts(places: Sequence[Path]) -> tuple[Part, ...]:
    """Read the parts of a run, and return them in their order.

    Args:
        places: run directories, or their ``run.json``.

    Raises:
        UserError: a log cannot be read, is no part, is unfinished or there twice; parts are
            missing, or are parts of different runs. It names what differs.
    """
    found = sorted((_part(place) for place in places), key=lambda part: part.partition.k)
    first = found[0]
    for part in found[1:]:
        if part.partition.n != first.partition.n:
            raise UserError(
                f"{first} and {part} were not cut into equally many parts; merge parts of one run"
            )
    for one, other in pairwise(found):
        if one.partition == other.partition:
            raise UserError(
                f"{one.partition.words} is there twice: {one.directory} and {other.directory}; "
                "their images would count twice, so leave one of them out"
            )
    missing = sorted(set(range(1, first.partition.n + 1)) - {part.partition.k for part in found})
    if missing:
        named = ", ".join(f"{k}/{first.partition.n}" for k in missing)
        raise UserError(f"parts are missing: {named}; run them with --evals-shard, or name them")
    for part in found[1:]:
        _same_run(first, part)
    return tuple(found)


def _part(place: Path) -> Part:
    run = log.read(place)
    directory = place if place.is_dir() else place.parent
    if run.settings.shard is None:
        raise UserError(f"{place}: is a whole run, no part of one (--evals-shard K/N)")
    try:
        partition = Partition.parse(run.settings.shard)
    except ValueError as error:
        raise UserError(f"{place}: not a run log: settings.shard: {error}") from None
    if run.status != "finished" or run.not_run:
        left = f", {len(run.not_run)} checks did not run" if run.not_run else ""
        raise UserError(f"{place}: {partition.words} is {run.status}{left}; run it again")
    return Part(partition, directory, run)


def _same_run(one: Part, other: Part) -> None:
    ours, theirs = dict(_identity(one.log)), dict(_identity(other.log))
    differing = [key for key in ours if key in theirs and ours[key] != theirs[key]]
    if not differing:
        return
    said = [f"{k}: {_short(ours[k])} and {_short(theirs[k])}" for k in differing[:FEW]]
    more = f"; and {len(differing) - FEW} more" if len(differing) > FEW else ""
    raise UserError(
        f"{one} and {other} are parts of different runs: {'; '.join(said)}{more}. Run all parts "
        "with one command on one checkout, with the same packages and files"
    )


FEW = 5
"""Differences that are named."""


def _identity(run: log.Run) -> Iterator[tuple[str, Any]]:
    """Yield everything in which the parts of one run are equal, and what to call it.

    What only some parts loaded, for measures that look at no image, is held against nothing.
    """
    for key, value in run.settings.model_dump(exclude=ELSEWHERE).items():
        yield key.replace("_", " "), value
    for package, version in run.environment.versions.items():
        yield f"version of {package}", version
    yield "suites", ", ".join(suite.path for suite in run.suites)
    yield "image sets", ", ".join(images.role for images in run.image_sets)
    for suite in run.suites:
        yield f"suite {suite.path}", suite.sha256
    yield from _classifiers(run)
    for images in run.image_sets:
        told = images.model_dump(include={"source", "n", "total", "limit", "sample_of"})
        yield from ((f"{key} of images {images.role}", value) for key, value in told.items())
    for walk in run.passes:
        yield f"batch size on {walk.images}", walk.batch_size
    yield "selected checks", run.selected
    for item in run.items:
        asked = (item.suite, item.check, item.classifier, item.measure)
        yield f"question of {item.id}", ", ".join(asked)
        yield f"parameters of {item.id}", item.parameters


def _classifiers(run: log.Run) -> Iterator[tuple[str, Any]]:
    for one in run.classifiers:
        yield f"what {one.alias} lacks", one.unavailable
        if one.unavailable is not None:
            continue
        yield f"fingerprint of {one.alias}", one.fingerprint
        told = one.model_dump(exclude={*TIMES, "fingerprint"})
        yield from ((f"{key} of {one.alias}", value) for key, value in told.items())
        yield f"seeds of {one.alias}", tuple(training.seed for training in one.trainings)


def _short(value: object) -> str:
    said = "nothing" if value is None else str(value)
    return said if len(said) <= LONG else f"{said[: LONG - 3]}..."


LONG = 60
"""Characters of a value that are shown."""


def by_id(run: log.Run) -> Mapping[str, log.Item]:
    """Return the items of a run by their ids."""
    return {item.id: item for item in run.items}
