"""One log from those of the processes that share a run on one machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.worker import PARTS, number
from vision_evals.engine.merge.union import image_sets, join_logs
from vision_evals.log import Status


@dataclass(frozen=True, slots=True)
class Gathered:
    """The run of all processes."""

    log: log.Run
    directory: Path


def gather(
    directory: Path, command: str, *, interrupted: bool, ended: Iterable[log.Item] = ()
) -> Gathered | None:
    """Join the logs and tables of all processes below a run directory into one run.

    Args:
        directory: of the run.
        command: as typed.
        interrupted: whether the run was.
        ended: entries of the checks at which a process was ended, with the reason.

    Returns:
        The run, or None if no process wrote a log.
    """
    parts = dict(_parts(directory))
    if not parts:
        return None
    items = tuple(ended)
    died = (
        [] if items else [folder.name for folder, run in parts.items() if run.status == "running"]
    )
    status: Status = "interrupted" if interrupted or died else "finished"
    remarks = [f"process {process} died; what it was judging is not in the log" for process in died]
    run = _join(directory.name, list(parts.values()), command, status, remarks, items)
    for folder in parts:
        _move_files(folder, directory)
    log.write(run, directory)
    shutil.rmtree(directory / PARTS, ignore_errors=True)
    return Gathered(run, directory)


def write_unfinished_log(directory: Path, command: str) -> None:
    """Write a log of what is finished, so that a killed run leaves a readable one."""
    runs = [
        _with_files_below(run, folder.relative_to(directory)) for folder, run in _parts(directory)
    ]
    if runs:
        log.write(_join(directory.name, runs, command, "running"), directory)


def _with_files_below(run: log.Run, folder: Path) -> log.Run:
    """Return a part's log with the paths that its files have until the end."""

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


def _join(
    name: str,
    runs: Sequence[log.Run],
    command: str,
    status: Status,
    remarks: Sequence[str] = (),
    ended: Sequence[log.Item] = (),
) -> log.Run:
    judged = (item for run in runs for item in run.items)
    items, selected = {item.id: item for item in (*judged, *ended)}, runs[0].selected
    update = {
        "id": name,
        "status": status,
        "seconds": max(run.seconds for run in runs),
        "image_sets": image_sets(i for run in runs for i in run.image_sets),
        "items": tuple(items[item] for item in selected if item in items),
        "not_run": tuple(item for item in selected if item not in items),
    }
    return join_logs(runs, command, remarks, update)


def _move_files(folder: Path, directory: Path) -> None:
    """Move tables and pictures of a part to their places in the run; of equal ones one stays."""
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        unfinished = any(part.endswith((".shards", ".part")) for part in place.parts)
        if file.is_file() and not unfinished and place != Path("run.json"):
            target = directory / place
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
