"""The beginning of every run: device, output files, config, first log."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import torch

from vision_evals import log
from vision_evals.core.cache.store import Cache
from vision_evals.core.errors import UserError
from vision_evals.core.paths import named_directory, new_directory
from vision_evals.core.worker import Worker, number
from vision_evals.engine.tasks import RunConfig
from vision_evals.log.environment import environment
from vision_evals.models.device import by_turn, default_batch, name_of, numerics, resolve
from vision_evals.models.fast_path.build import user_kernels
from vision_evals.models.processes import processes_on
from vision_evals.suite.options import Options
from vision_evals.suite.suite import Suite
from vision_evals.validity.checks import CHECKS
from vision_evals.validity.examine import Examiner


def device_of(options: Options, worker: Worker | None = None) -> torch.device:
    """Return the device of a run; an unavailable one is refused before anything is loaded.

    Args:
        options: of the run.
        worker: this process, where several share the run: they take the GPUs in turn.

    Raises:
        UserError: there is no such device, or it does not support the precision.
    """
    name = options.table.device
    if worker is not None:
        name = by_turn(name, number(worker.id), torch.cuda.device_count())
    device = resolve(name)
    with numerics(device, options.table.precision):
        return device


def run_config(options: Options, device: torch.device, worker: Worker | None = None) -> RunConfig:
    """Make the directory of a run, or of a worker's part of it, and return how it computes.

    Raises:
        UserError: the log or the report could not be written.
    """
    table = options.table
    _check_writable(options.report, "report")
    _check_writable(options.markdown, "markdown")
    _make_folder(options.trace, "trace")
    _make_folder(options.report_dir, "report-dir")
    directory = None if worker is None else worker.directory(options.run_dir)
    sharing = 1 if worker is None else worker.count
    if worker is None and table.run_id is not None:
        directory = named_directory(options.run_dir, table.run_id)
    return RunConfig(
        device=device,
        precision=table.precision,
        batch_size=None if table.batch_size == "auto" else table.batch_size,
        seed=table.seed,
        directory=new_directory(options.run_dir, directory),
        examiner=Examiner(CHECKS),
        depth=table.validity,
        trace=options.trace,
        partition=options.partition,
        timeout=options.timeout,
        processes=1 if table.profile or options.trace else processes_on(device, sharing),
    )


RUN_CACHE = ".cache"
"""Folder of trainings in a run without a cache; removed at its end."""


def caching(
    config: RunConfig, options: Options, warn: Callable[[str], None]
) -> tuple[RunConfig, Path]:
    """Return the config with its cache, if it has one, and the folder of trainings.

    Args:
        config: without a cache.
        options: of the run.
        warn: called with what is wrong with the cache.
    """
    if options.table.no_cache:
        return config, config.directory / RUN_CACHE
    cache = Cache(options.cache, warn)
    return replace(config, cache=cache, kernels=user_kernels()), options.cache


def first_log(
    options: Options,
    config: RunConfig,
    command: str,
    suites: Iterable[Suite],
    noise: str | None = None,
) -> log.Run:
    """Return the log of a run at its beginning.

    Args:
        options: of the run.
        config: how it computes.
        command: as typed.
        suites: of the jobs; repeats are allowed.
        noise: file of its noise floors.
    """
    device = config.device
    return log.Run(
        id=config.directory.name,
        status="running",
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        command=command,
        settings=log.Settings(
            seed=config.seed,
            device=str(device),
            device_name=name_of(device),
            precision=config.precision,
            batch_size=config.batch_size or default_batch(device),
            shard=options.table.shard,
            pictures=options.pictures,
            noise=noise,
            pyproject=None if options.pyproject is None else os.path.relpath(options.pyproject),
        ),
        environment=environment(options.root),
        suites=tuple(
            log.Suite(
                path=suite.path,
                title=suite.title,
                about=suite.about,
                sha256=suite.sha256,
                gates=suite.gates,
                familywise=suite.familywise,
            )
            for suite in {suite.path: suite for suite in suites}.values()
        ),
    )


def _check_writable(path: Path | None, option: str) -> None:
    """Make the folder of an output file and try to write it, before anything is measured."""
    if path is None:
        return
    partial = path.with_name(path.name + ".part")
    with _naming(path, option, "name another place"):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
        partial.unlink()
    if path.is_dir():
        raise UserError(f"--evals-{option} {path}: is a folder; name a file in it")


def _make_folder(folder: Path | None, option: str) -> None:
    """Make a folder of output files, before anything is measured."""
    if folder is not None:
        with _naming(folder, option, "name a folder that can be made"):
            folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _naming(path: Path, option: str, repair: str) -> Iterator[None]:
    """Turn an OSError into one sentence that names the option."""
    try:
        yield
    except OSError as error:
        raise UserError(f"--evals-{option} {path}: {error.strerror}; {repair}") from None
