"""Accepting a baseline: log and tables of a run, in a folder that CI can keep."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.log.outcome import unfinished

NOT_PASSED = (Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE)


def accept(run_dir: Path, folder: Path, *, force: bool = False) -> log.Run:
    """Store a run as the baseline: its log and tables, without its pictures.

    A reader gets the old baseline or the new one, never a part of one.

    Args:
        run_dir: the run.
        folder: where it is stored; it replaces an accepted run in this folder.
        force: accept a run whose checks did not all pass.

    Raises:
        UserError: no such run, a run that cannot be accepted, or a folder that contains other
            files or cannot be written.
    """
    if "\0" in f"{run_dir}{folder}":
        raise UserError(f"{str(folder)!r}: a path cannot contain a null byte")
    folder, run_dir = folder.absolute(), run_dir.resolve()
    old = folder.with_name(f".{folder.name}.old")
    if old.is_dir() and not folder.exists():  # an earlier accept was killed
        old.rename(folder)
    run = log.read(run_dir)
    source = run_dir if run_dir.is_dir() else run_dir.parent
    _require_whole(run, run_dir)
    if folder.resolve() == source:
        raise UserError(f"{folder}: is the run itself; name another folder with --to")
    _refuse_others(folder)
    if not force:
        accepted = log.read(folder) if (folder / "run.json").is_file() else None
        _require_passed(run, run_dir, accepted)
        _require_complete(run, run_dir, accepted)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        _copy(run, source, partial)
        _exchange(partial, folder, old)
    except OSError as error:
        raise UserError(f"{folder}: the baseline cannot be stored: {error}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return run


def _copy(run: log.Run, source: Path, partial: Path) -> None:
    (partial / "tables").mkdir(parents=True)
    for table in sorted({item.table for item in run.items if item.table is not None}):
        shutil.copyfile(_inside(source, table), partial / "tables" / Path(table).name)
    log.write(_bare(run), partial)


def _exchange(partial: Path, folder: Path, old: Path) -> None:
    """Replace the old folder; it is deleted last, and restored after an error."""
    if not folder.exists():
        partial.rename(folder)
        return
    shutil.rmtree(old, ignore_errors=True)  # left by an accept that succeeded
    folder.rename(old)
    try:
        partial.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _require_whole(run: log.Run, where: Path) -> None:
    if (reason := unfinished(run)) is not None:
        raise UserError(f"{where}: {reason}; only a finished run can be accepted")
    if not any(item.table for item in run.items):
        raise UserError(f"{where}: has no rows, so nothing can be compared with it")


def _require_passed(run: log.Run, where: Path, accepted: log.Run | None) -> None:
    """Refuse a run that did not pass, or whose gates had no baseline although there is one."""
    bad = [
        item
        for item in run.items
        if item.verdict in NOT_PASSED and (accepted is not None or not _first(run, item))
    ]
    if bad:
        raise UserError(
            f"{where}: {len(bad)} of its checks did not pass, first {bad[0].id} "
            f"({bad[0].verdict}); --force accepts it anyway"
        )


def _require_complete(run: log.Run, where: Path, accepted: log.Run | None) -> None:
    """Refuse a run that lacks a check of the baseline: its gate would have no reference."""
    have = {(item.check, item.classifier) for item in run.items}
    lost = [item for item in (() if accepted is None else accepted.items) if item.table is not None]
    lost = [item for item in lost if (item.check, item.classifier) not in have]
    if lost:
        raise UserError(
            f"{where}: lacks {len(lost)} checks that the baseline has, first {lost[0].id}; run "
            "them too, or --force accepts it anyway"
        )


def _first(run: log.Run, item: log.Item) -> bool:
    """Whether only the baseline is missing: the first run cannot have one."""
    open_judgements = [j for j in item.judgements if j.verdict is item.verdict]
    waiting = run.baseline is None and all(j.of == "baseline" for j in open_judgements)
    return item.verdict is Verdict.INCONCLUSIVE and waiting


def _refuse_others(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: is not a folder; name another place with --to")
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if names - {"run.json", "tables"}:
        raise UserError(
            f"{folder}: contains files that are not of an accepted run ({min(names)}, ...); "
            "name another place with --to"
        )


def _inside(root: Path, table: str) -> Path:
    path = (root / table).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise UserError(f"{root}: {table} is missing; only a complete run can be accepted")
    return path


def _bare(run: log.Run) -> log.Run:
    """Leave out pictures and comparisons, which no gate uses."""
    items = (
        item.model_copy(
            update={
                "pictures": (),
                "comparison": None,
                "table": None if item.table is None else f"tables/{Path(item.table).name}",
            }
        )
        for item in run.items
    )
    return run.model_copy(update={"items": tuple(items)})
