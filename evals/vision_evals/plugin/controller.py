"""The run in the process that controls pytest-xdist's workers: one log, one report.

Registered only if there are workers; imports as little as the plugin.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vision_evals.core.errors import UserError
from vision_evals.plugin import finish

_SHARED = pytest.StashKey["_Shared"]()

SECONDS_BETWEEN_LOGS = 10.0
"""Seconds between logs while workers run."""


@dataclass
class _Shared:
    """The run of pytest-xdist's workers, as their controller knows it."""

    run: str
    """Name of the run directory."""
    ids: tuple[str, ...] = ()
    """Of everything that was selected."""
    deselected: int = 0
    """Number of checks on recipes that were not."""
    refused: str | None = None
    """Why no worker could start its run."""
    next_log: float = 0.0
    """When their log is written next, on the monotonic clock."""
    progress: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Shows what the workers are doing, until it is closed."""


def _directory(config: pytest.Config) -> Path:
    return finish.catalog_of(config).options.run_dir / config.stash[_SHARED].run


@pytest.hookimpl(trylast=True)  # after the workers are gone
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Join the logs of the workers into one, and write its report."""
    from vision_evals.plugin.scheduler import scope

    config = session.config
    shared = config.stash.get(_SHARED, None)
    if shared is None or not any(map(scope, shared.ids)):
        return
    shared.progress.close()
    if shared.refused is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    from vision_evals.core.paths import point_latest
    from vision_evals.engine.merge.workers import gather
    from vision_evals.engine.publish import publish

    directory = _directory(config)
    with finish.warn_if_unwritten(session):
        interrupted = finish.was_interrupted(exitstatus)
        run = gather(directory, finish.command_of(config), interrupted=interrupted)
        if run is None:
            return
        config.stash[finish.RUN] = run
        config.stash[finish.DESELECTED] = shared.deselected
        point_latest(directory)
        options, warn = finish.catalog_of(config).options, config.stash[finish.WARNINGS].append
        config.stash[finish.REPORT] = publish(run.log, directory, options, warn)
    if finish.RUN in config.stash:
        finish.conclude(session, exitstatus, only_checks=all(map(scope, shared.ids)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each classifier in one worker, if there are suites and no other --dist is chosen."""
    if config.getoption("dist") != "load":
        return None
    from vision_evals.core.worker import lose
    from vision_evals.plugin.scheduler import Waiting

    def lost(item: str) -> None:
        lose(_directory(config), item)

    return Waiting(config, log, lost)


def pytest_configure_node(node: Any) -> None:
    """Give a worker the name of the run that all workers share."""
    stash = node.config.stash
    if _SHARED not in stash:
        stash[_SHARED] = _Shared(_new_run(node.config))
    node.workerinput["evals"] = stash[_SHARED].run


def _new_run(config: pytest.Config) -> str:
    from vision_evals.core.paths import named_directory, new_name

    name: str | None = config.getoption("evals_run_id", None)
    if name is None:
        return new_name()
    try:
        return named_directory(finish.catalog_of(config).options.run_dir, name).name
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Store what the workers collected; the controller itself collects nothing."""
    from vision_evals.plugin.scheduler import scope

    shared, first = node.config.stash[_SHARED], not node.config.stash[_SHARED].ids
    shared.ids = tuple(ids)
    if first and any(map(scope, ids)):
        _show_progress(node.config)


def _show_progress(config: pytest.Config) -> None:
    """Write from time to time what the workers are doing."""
    from vision_evals.core import progress
    from vision_evals.core.worker import PARTS
    from vision_evals.plugin.screen import latest, write_between_dots

    screen: Any = config.pluginmanager.get_plugin("terminalreporter")
    parts = _directory(config) / PARTS

    def write(_: str) -> None:
        if screen is not None and (line := latest(parts)):
            write_between_dots(screen, line)

    config.stash[_SHARED].progress.enter_context(progress.lines(write)("workers", 0))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write a log of finished checks every few seconds, so that a killed run leaves one."""
    node = getattr(report, "node", None)  # set by xdist in the controller
    if node is None or report.when != "teardown":
        return
    from vision_evals.plugin.scheduler import scope

    shared, now = node.config.stash[_SHARED], time.monotonic()
    if scope(report.nodeid) is None or now < shared.next_log:
        return
    from vision_evals.core.paths import point_latest
    from vision_evals.engine.merge.workers import write_unfinished_log

    shared.next_log = now + SECONDS_BETWEEN_LOGS
    directory = _directory(node.config)
    with contextlib.suppress(OSError, UserError):  # reported at the end of the run
        write_unfinished_log(directory, finish.command_of(node.config))
        point_latest(directory)


def pytest_testnodedown(node: Any) -> None:
    """Take over the output of a worker that has ended."""
    output = getattr(node, "workeroutput", {}).get("evals")
    if output is not None:
        shared = node.config.stash[_SHARED]
        shared.deselected = max(shared.deselected, output["deselected"])
        shared.refused = shared.refused or output["refused"]
