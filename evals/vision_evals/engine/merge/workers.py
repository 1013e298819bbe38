"""One log from the parts that the processes of a run on one machine have left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.worker import PARTS, number
from vision_evals.engine.merge.union import image_sets, joined
from vision_evals.log import Status


@dataclass(frozen=True, slots=True)
class Gathered:
    """The run of all processes."""

    log: log.Run
    directory: Path


def gather(directory: Path, command: str, *, interrupted: bool) -> Gathered | None:
    """Join what the processes left below a run directory into one log beside their tables.

    Args:
        directory: of the run.
        command: as somebody typed it.
        interrupted: whether the run was.

    Returns:
        The run, or None where no process left anything.
    """
    parts = dict(_parts(directory))
    if not parts:
        return None
    died = [folder.name for folder, run in parts.items() if run.status == "running"]
    status: Status = "interrupted" if interrupted or died else "finished"
    said = [f"process {who} died; what it was judging is not in the log" for who in died]
    run = _joined(directory.name, list(parts.values()), command, status, said)
    for folder in parts:
        _move(folder, directory)
    log.write(run, directory)
    shutil.rmtree(directory / PARTS, ignore_errors=True)
    return Gathered(run, directory)


def look(directory: Path, command: str) -> None:
    """Write what is finished so far, so that a run that is killed leaves a readable log."""
    runs = [_lying(run, folder.relative_to(directory)) for folder, run in _parts(directory)]
    if runs:
        log.write(_joined(directory.name, runs, command, "running"), directory)


def _lying(run: log.Run, folder: Path) -> log.Run:
    """Return a part's log with its files where they lie until the end."""

    def moved(item: log.Item) -> log.Item:
        table = item.table and str(folder / item.table)
        pictures = [p.model_copy(update={"file": str(folder / p.file)}) for p in item.pictures]
        return item.model_copy(update={"table": table, "pictures": tuple(pictures)})

    return run.model_copy(update={"items": tuple(map(moved, run.items))})


def _parts(directory: Path) -> Iterator[tuple[Path, log.Run]]:
    folders = (folder for folder in (directory / PARTS).glob("*") if folder.is_dir())
    for folder in sorted(folders, key=lambda folder: (number(folder.name), folder.name)):
        try:
            yield folder, log.read(folder)
        except UserError:
            continue  # it died before it had written anything


def _joined(
    name: str, runs: Sequence[log.Run], command: str, status: Status, said: Sequence[str] = ()
) -> log.Run:
    items, selected = {item.id: item for run in runs for item in run.items}, runs[0].selected
    update = {
        "id": name,
        "status": status,
        "seconds": max(run.seconds for run in runs),
        "image_sets": image_sets(i for run in runs for i in run.image_sets),
        "items": tuple(items[item] for item in selected if item in items),
        "not_run": tuple(item for item in selected if item not in items),
    }
    return joined(runs, command, said, update)


def _move(folder: Path, directory: Path) -> None:
    """Move tables and pictures of a part to their places in the run; of equal ones one stays."""
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        unfinished = any(part.endswith((".shards", ".part")) for part in place.parts)
        if file.is_file() and not unfinished and place != Path("run.json"):
            target = directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
