"""What every run begins with: a device, a place to write, the manner, the first log."""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import torch

from evals import log
from evals.device import default_batch, name_of, numerics, resolve
from evals.environment import environment
from evals.errors import UserError
from evals.options import Options
from evals.passes.plan import Manner
from evals.suite import Suite
from evals.validity.checks import CHECKS
from evals.validity.examine import Examiner


def device_of(options: Options) -> torch.device:
    """Return the device of a run; what cannot be had is refused before anything is loaded.

    Raises:
        UserError: there is no such device, or it does not know the precision.
    """
    device = resolve(options.table.device)
    with numerics(device, options.table.precision):
        return device


def manner_of(options: Options, device: torch.device) -> Manner:
    """Make the directory of a run, and return how it computes.

    Raises:
        UserError: the log or the report could not be written.
    """
    table = options.table
    _can_be_written(options.report, "report")
    _can_be_written(options.markdown, "markdown")
    return Manner(
        device=device,
        precision=table.precision,
        batch_size=None if table.batch_size == "auto" else table.batch_size,
        seed=table.seed,
        directory=_new_directory(options.run_dir),
        examiner=Examiner(CHECKS),
        depth=table.validity,
    )


def begun(
    options: Options,
    manner: Manner,
    command: str,
    suites: Iterable[Suite],
    noise: str | None = None,
) -> log.Run:
    """Return the log of a run that has done nothing yet.

    Args:
        options: of the run.
        manner: how it computes.
        command: as somebody typed it.
        suites: each is told once.
        noise: file of the noise floors that it judges by.
    """
    device = manner.device
    return log.Run(
        id=manner.directory.name,
        status="running",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        settings=log.Settings(
            seed=manner.seed,
            device=str(device),
            device_name=name_of(device),
            precision=manner.precision,
            batch_size=manner.batch_size or default_batch(device),
            noise=noise,
        ),
        environment=environment(options.root),
        suites=tuple(
            log.Suite(path=suite.path, title=suite.title, about=suite.about)
            for suite in {suite.path: suite for suite in suites}.values()
        ),
    )


def _can_be_written(path: Path | None, option: str) -> None:
    """Make a file's folder, and try it, before anything is measured."""
    if path is None:
        return
    partial = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise UserError(f"--evals-{option} {path}: {error.strerror}; name another place") from None
    if path.is_dir():
        raise UserError(f"--evals-{option} {path}: is a folder; name a file in it")


def _new_directory(parent: Path) -> Path:
    """Make the directory of a run; UserError where nothing can be written."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    directory = parent / f"{stamp}-{secrets.token_hex(2)}"
    try:
        (directory / "tables").mkdir(parents=True)
    except OSError as error:
        raise UserError(
            f"--evals-run-dir {parent}: cannot be written ({error.strerror}); name another folder"
        ) from None
    return directory


def point_latest(directory: Path) -> None:
    """Point ``latest`` at this run; a file system without links goes without."""
    link = directory.parent / "latest"
    partial = directory.parent / f".latest-{directory.name}"
    try:
        partial.symlink_to(directory.name, target_is_directory=True)
        os.replace(partial, link)  # noqa: PTH105 - a link is replaced, not followed
    except OSError:
        partial.unlink(missing_ok=True)
