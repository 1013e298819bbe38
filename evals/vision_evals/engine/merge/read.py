"""Reads the parts of a run, and refuses parts of different runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.worker import Partition
from vision_evals.log.identity import likeness

MACHINE_SETTINGS = {"device", "device_name", "noise", "pyproject", "shard"}
"""Settings that may differ between parts, because machines differ."""

CLASSIFIER_EXTRAS = {"answers", "load_seconds", "trainings", "weights"}
"""Fields of a classifier that may differ; its fingerprint identifies it."""


@dataclass(frozen=True, slots=True)
class RunPart:
    """One part of a run."""

    partition: Partition
    directory: Path
    log: log.Run

    def __str__(self) -> str:
        return f"{self.partition.words} ({self.directory})"


def read_parts(directories: Sequence[Path]) -> tuple[RunPart, ...]:
    """Read the parts of a run, and return them in their order.

    Args:
        directories: run directories, or their ``run.json``; links to one of them count once.

    Raises:
        UserError: a log cannot be read, is not of a part or is unfinished; a part is missing or
            named twice; or parts are of different runs. The message names the difference.
    """
    real = {place.resolve() for place in directories if not place.is_symlink()}
    places = [p for p in directories if not (p.is_symlink() and p.resolve() in real)]
    parts = sorted(map(_part, places), key=lambda part: part.partition.k)
    first = parts[0]
    for part in parts[1:]:
        if part.partition.n != first.partition.n:
            raise UserError(
                f"{first} and {part} were not cut into equally many parts; merge parts of one run"
            )
    for part, other in pairwise(parts):
        if part.partition == other.partition:
            raise UserError(
                f"{part.partition.words} is there twice: {part.directory} and {other.directory}; "
                "their images would count twice, so leave one of them out"
            )
    missing = sorted(set(range(1, first.partition.n + 1)) - {part.partition.k for part in parts})
    if missing:
        listed = ", ".join(f"{k}/{first.partition.n}" for k in missing)
        raise UserError(f"parts are missing: {listed}; run them with --evals-shard, or name them")
    for part in parts[1:]:
        _check_same_run(first, part)
    return tuple(parts)


def _part(place: Path) -> RunPart:
    run = log.read(place)
    directory = place if place.is_dir() else place.parent
    if run.settings.shard is None:
        raise UserError(f"{place}: is a whole run, not a part of one (--evals-shard K/N)")
    try:
        partition = Partition.parse(run.settings.shard)
    except ValueError as error:
        raise UserError(f"{place}: not a run log: settings.shard: {error}") from None
    if run.status != "finished" or run.not_run:
        unfinished = f", {len(run.not_run)} checks did not run" if run.not_run else ""
        raise UserError(f"{place}: {partition.words} is {run.status}{unfinished}; run it again")
    return RunPart(partition, directory, run)


def _check_same_run(first: RunPart, other: RunPart) -> None:
    ours, theirs = dict(_identity(first.log)), dict(_identity(other.log))
    differing = [key for key in ours if key in theirs and ours[key] != theirs[key]]
    if not differing:
        _check_same_answers(first, other)
        return
    shown = differing[:MAX_DIFFERENCES]
    differences = [f"{key}: {_shortened(ours[key])} and {_shortened(theirs[key])}" for key in shown]
    if len(differing) > len(shown):
        differences.append(f"and {len(differing) - len(shown)} more")
    raise UserError(
        f"{first} and {other} are parts of different runs: {'; '.join(differences)}. Run all parts "
        "with one command on one checkout, with the same packages and files"
    )


def _check_same_answers(first: RunPart, other: RunPart) -> None:
    """Refuse parts whose classifiers answer otherwise, in equal environments."""
    theirs = {classifier.alias: classifier for classifier in other.log.classifiers}
    for classifier in first.log.classifiers:
        found = likeness(classifier, theirs.get(classifier.alias, classifier))
        if found.changed_unseen:
            raise UserError(
                f"{first} and {other} are parts of different runs: {classifier.alias}: "
                f"something the fingerprint does not see changed between them: {found.remark}"
            )


MAX_DIFFERENCES = 5
"""Differences that a message names."""


def _identity(run: log.Run) -> Iterator[tuple[str, Any]]:
    """Yield everything that is equal in all parts of a run, with its name.

    A classifier that only some parts loaded, for measures without images, is not compared.
    """
    for key, value in run.settings.model_dump(exclude=MACHINE_SETTINGS).items():
        yield key.replace("_", " "), value
    for package, version in run.environment.versions.items():
        yield f"version of {package}", version
    yield "suites", ", ".join(suite.path for suite in run.suites)
    yield "image sets", ", ".join(images.role for images in run.image_sets)
    for suite in run.suites:
        yield f"suite {suite.path}", suite.sha256
    yield from _classifiers(run)
    for images in run.image_sets:
        fields = images.model_dump(include={"source", "n", "total", "limit", "sample_of"})
        yield from ((f"{key} of images {images.role}", value) for key, value in fields.items())
    for record in run.passes:
        yield f"batch size on {record.images}", record.batch_size
    yield "selected checks", run.selected
    for item in run.items:
        identity = (item.suite, item.check, item.classifier, item.measure)
        yield f"identity of {item.id}", ", ".join(identity)
        yield f"parameters of {item.id}", item.parameters


def _classifiers(run: log.Run) -> Iterator[tuple[str, Any]]:
    for classifier in run.classifiers:
        yield f"why {classifier.alias} is unavailable", classifier.unavailable
        if classifier.unavailable is not None:
            continue
        yield f"fingerprint of {classifier.alias}", classifier.fingerprint
        fields = classifier.model_dump(exclude={*CLASSIFIER_EXTRAS, "fingerprint"})
        yield from ((f"{key} of {classifier.alias}", value) for key, value in fields.items())
        seeds = tuple(training.seed for training in classifier.trainings)
        yield f"seeds of {classifier.alias}", seeds


def _shortened(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[: MAX_VALUE_CHARS - 3]}..."


MAX_VALUE_CHARS = 60
"""Characters of a value that a message shows."""
