"""Suites in the process that controls pytest-xdist's workers: one run, one log, one report.

Registered only where there are workers, and as light as the plugin.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vision_evals.core.errors import UserError
from vision_evals.plugin.finish import (
    ASIDE,
    REPORT,
    RUN,
    TROUBLE,
    catalog_of,
    command_of,
    hold,
    said_if_unwritten,
)
from vision_evals.plugin.finish import publish as tell

_SHARED = pytest.StashKey["_Shared"]()

LOOK = 10.0
"""Seconds between logs while workers run."""


@dataclass
class _Shared:
    """What the controller of pytest-xdist's workers knows of their run."""

    run: str
    """Name of the run directory."""
    ids: tuple[str, ...] = ()
    """Of everything that was selected."""
    aside: int = 0
    """Checks on recipes that were not."""
    refused: str | None = None
    """Why no worker could begin."""
    looked: float | None = None
    """When their log was last written."""


def _directory(config: pytest.Config) -> Path:
    return catalog_of(config).options.run_dir / config.stash[_SHARED].run


@pytest.hookimpl(trylast=True)  # after the workers are gone
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Join what the workers left into one log, and write its report."""
    from vision_evals.plugin.scheduler import scope

    config = session.config
    shared = config.stash.get(_SHARED, None)
    if shared is None or not any(map(scope, shared.ids)):
        return
    if shared.refused is not None:
        session.exitstatus = pytest.ExitCode.USAGE_ERROR
    from vision_evals.core.run_dirs import point_latest
    from vision_evals.engine.merge.workers import gather
    from vision_evals.engine.publish import publish

    directory = _directory(config)
    through = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
    with said_if_unwritten(session):
        run = gather(directory, command_of(config), interrupted=exitstatus not in through)
        if run is None:
            return
        config.stash[RUN] = run
        config.stash[ASIDE] = shared.aside
        point_latest(directory)
        options, warn = catalog_of(config).options, config.stash[TROUBLE].append
        config.stash[REPORT] = publish(run.log, directory, options, warn)
    if RUN in config.stash:
        tell(config, interrupted=exitstatus not in through)
        hold(session, exitstatus, only_checks=all(map(scope, shared.ids)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep each classifier in one worker, where xdist is left to choose and there are suites."""
    if config.getoption("dist") != "load":
        return None
    from vision_evals.core.worker import lose
    from vision_evals.plugin.scheduler import Waiting

    def lost(item: str) -> None:
        lose(_directory(config), item)

    return Waiting(config, log, lost)


def pytest_configure_node(node: Any) -> None:
    """Tell a worker which run it works for: all write for one."""
    from vision_evals.core.run_dirs import new_name

    shared = node.config.stash.setdefault(_SHARED, _Shared(new_name()))
    node.workerinput["evals"] = shared.run


def pytest_xdist_node_collection_finished(node: Any, ids: Sequence[str]) -> None:
    """Note what the workers have collected; the controller itself collects nothing."""
    node.config.stash[_SHARED].ids = tuple(ids)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write now and then what the workers have finished: a killed run leaves a readable log."""
    node = getattr(report, "node", None)  # set by xdist in the controller
    if node is None or report.when != "teardown":
        return
    from vision_evals.plugin.scheduler import scope

    shared, now = node.config.stash[_SHARED], time.monotonic()
    if scope(report.nodeid) is None or now - (shared.looked or -LOOK) < LOOK:
        return
    from vision_evals.core.run_dirs import point_latest
    from vision_evals.engine.merge.workers import look

    shared.looked = now
    directory = _directory(node.config)
    with contextlib.suppress(OSError, UserError):  # said at the end, where it counts
        look(directory, command_of(node.config))
        point_latest(directory)


def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker says at its end."""
    said = getattr(node, "workeroutput", {}).get("evals")
    if said is not None:
        shared = node.config.stash[_SHARED]
        shared.aside = max(shared.aside, said["aside"])
        shared.refused = shared.refused or said["refused"]
