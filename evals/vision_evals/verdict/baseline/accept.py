"""The accepted baseline: log and tables of a run, in a folder that CI can keep."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict

NOT_PASSED = (Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE)


def accept(run_dir: Path, folder: Path, *, force: bool = False) -> log.Run:
    """Store what gates compare with: every number and row of a run, without its pictures.

    A reader sees the baseline that was there or the new one, never half of one.

    Args:
        run_dir: the run.
        folder: where it is stored; an accepted run that is there is replaced.
        force: accept a run whose checks did not all pass.

    Raises:
        UserError: no such run, one that is not worth accepting, or a folder that holds other
            things or cannot be written.
    """
    if "\0" in f"{run_dir}{folder}":
        raise UserError(f"{str(folder)!r}: no path holds a null byte")
    folder, run_dir = folder.absolute(), run_dir.resolve()
    before = folder.with_name(f".{folder.name}.old")
    if before.is_dir() and not folder.exists():  # what an accept that was killed left behind
        before.rename(folder)
    run = log.read(run_dir)
    source = run_dir if run_dir.is_dir() else run_dir.parent
    _whole(run, run_dir)
    if folder.resolve() == source:
        raise UserError(f"{folder}: is the run itself; name another folder with --to")
    _refuse_others(folder)
    if not force:
        there = log.read(folder) if (folder / "run.json").is_file() else None
        _passed(run, run_dir, there)
        _complete(run, run_dir, there)
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        _copy(run, source, partial)
        _exchange(partial, folder, before)
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


def _exchange(partial: Path, folder: Path, before: Path) -> None:
    """Put the new one in the place of the old one, which goes last and comes back if it fails."""
    if not folder.exists():
        partial.rename(folder)
        return
    shutil.rmtree(before, ignore_errors=True)  # only an accept that came through leaves it here
    folder.rename(before)
    try:
        partial.rename(folder)
    except OSError:
        before.rename(folder)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _whole(run: log.Run, where: Path) -> None:
    if run.status != "finished" or run.not_run:
        what = run.status if run.status != "finished" else f"without {len(run.not_run)} checks"
        raise UserError(f"{where}: {what}; only a finished run can be accepted")
    if run.settings.shard is not None:
        raise UserError(
            f"{where}: part {run.settings.shard} of a run; join the parts with `evals merge` and "
            "accept what that makes"
        )
    if not any(item.table for item in run.items):
        raise UserError(f"{where}: holds no rows, so nothing could be compared with it")


def _passed(run: log.Run, where: Path, there: log.Run | None) -> None:
    """Refuse a run that fell, or that no gate was held against where a baseline is there."""
    bad = [
        item
        for item in run.items
        if item.verdict in NOT_PASSED and (there is not None or not _first(run, item))
    ]
    if bad:
        raise UserError(
            f"{where}: {len(bad)} of its checks did not pass, first {bad[0].id} "
            f"({bad[0].verdict}); --force accepts it all the same"
        )


def _complete(run: log.Run, where: Path, there: log.Run | None) -> None:
    """Refuse a run that lacks a check of the baseline: its gate would have nothing to hold."""
    have = {(item.check, item.classifier) for item in run.items}
    lost = [item for item in (() if there is None else there.items) if item.table is not None]
    lost = [item for item in lost if (item.check, item.classifier) not in have]
    if lost:
        raise UserError(
            f"{where}: lacks {len(lost)} checks that the baseline has, first {lost[0].id}; run "
            "them too, or --force accepts it all the same"
        )


def _first(run: log.Run, item: log.Item) -> bool:
    """Whether nothing but the baseline was missing, which the first run of all cannot have."""
    open_ = [j for j in item.judgements if j.verdict is item.verdict]
    waiting = run.baseline is None and all(j.of == "baseline" for j in open_)
    return item.verdict is Verdict.INCONCLUSIVE and waiting


def _refuse_others(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"{folder}: is no folder; name another place with --to")
    held = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if held - {"run.json", "tables"}:
        raise UserError(
            f"{folder}: holds other things than an accepted run ({min(held)}, ...); name another "
            "place with --to"
        )


def _inside(root: Path, table: str) -> Path:
    path = (root / table).resolve()
    if not path.is_relative_to(root.resolve()) or not path.is_file():
        raise UserError(f"{root}: {table} is missing; only a run that is whole can be accepted")
    return path


def _bare(run: log.Run) -> log.Run:
    """Leave out what nobody compares with."""
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
