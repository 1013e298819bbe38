"""One log from the parts that the processes of a run on one machine have left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evals import log
from evals.errors import UserError
from evals.log import Status
from evals.merge.union import classifiers, image_sets, once, settings
from evals.worker import PARTS, number


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
    joined = _joined(directory.name, parts, command, interrupted=interrupted)
    for folder in parts:
        _move(folder, directory)
    log.write(joined, directory)
    shutil.rmtree(directory / PARTS)
    return Gathered(joined, directory)


def _parts(directory: Path) -> Iterator[tuple[Path, log.Run]]:
    folders = (folder for folder in (directory / PARTS).glob("*") if folder.is_dir())
    for folder in sorted(folders, key=lambda folder: (number(folder.name), folder.name)):
        try:
            yield folder, log.read(folder)
        except UserError:
            continue  # it died before it had written anything


def _joined(name: str, parts: dict[Path, log.Run], command: str, *, interrupted: bool) -> log.Run:
    runs = tuple(parts.values())
    selected = runs[0].selected
    items = {item.id: item for run in runs for item in run.items}
    died = [folder.name for folder, run in parts.items() if run.status == "running"]
    said = [f"process {who} died; what it was judging is not in the log" for who in died]
    status: Status = "interrupted" if interrupted or died else "finished"
    return runs[0].model_copy(
        update={
            "id": name,
            "status": status,
            "started": min(run.started for run in runs),
            "seconds": max(run.seconds for run in runs),
            "command": command,
            "settings": settings(runs),
            "classifiers": classifiers((c for run in runs for c in run.classifiers), selected),
            "image_sets": image_sets(i for run in runs for i in run.image_sets),
            "items": tuple(items[item] for item in selected if item in items),
            "walks": tuple(walk for run in runs for walk in run.walks),
            "not_run": tuple(item for item in selected if item not in items),
            "warnings": once([*(w for run in runs for w in run.warnings), *said]),
        }
    )


def _move(folder: Path, directory: Path) -> None:
    """Move tables and pictures of a part to their places in the run; of equal ones one stays."""
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        unfinished = any(part.endswith((".shards", ".part")) for part in place.parts)
        if file.is_file() and not unfinished and place != Path("run.json"):
            target = directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
