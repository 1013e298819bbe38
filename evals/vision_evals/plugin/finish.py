"""Shared by pytest's session and the controller of its workers: options, and the end of a run.

As light as the plugin: it imports what a run needs when there is one.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.suite.declared_options import declared

if TYPE_CHECKING:
    from vision_evals.engine.isolated import Isolated
    from vision_evals.engine.jobs import Catalog
    from vision_evals.engine.merge.workers import Gathered
    from vision_evals.engine.publish import ReportPlaces
    from vision_evals.engine.session import Session

_CATALOG = pytest.StashKey["Catalog"]()
RUN: pytest.StashKey[Session | Isolated | Gathered] = pytest.StashKey()
REPORT: pytest.StashKey[ReportPlaces] = pytest.StashKey()
DESELECTED = pytest.StashKey[int]()
WARNINGS = pytest.StashKey[list[str]]()


def typed(config: pytest.Config) -> dict[str, Any]:
    """Return the options on the command line, by key."""
    options = {option.key: config.getoption(option.flag, None) for option in declared()}
    return {key: value for key, value in options.items() if value is not None}


def catalog_of(config: pytest.Config) -> Catalog:
    """Return the catalog, read once; UserError for a wrong option or card."""
    if _CATALOG not in config.stash:
        from vision_evals.engine.jobs import Catalog
        from vision_evals.suite.options import read

        named = [Path(str(arg).partition("::")[0]) for arg in config.args]
        options = read(typed(config), config.invocation_params.dir, named, config.rootpath)
        config.stash[_CATALOG] = Catalog.read(options)
    return config.stash[_CATALOG]


@contextlib.contextmanager
def warn_if_unwritten(session: pytest.Session) -> Iterator[None]:
    """Turn a log or report that cannot be written into a warning and a failed run."""
    from vision_evals.core.errors import UserError

    try:
        yield
    except (OSError, UserError) as error:
        # shown in the summary: as a warning it is an exception under filterwarnings = error
        session.config.stash[WARNINGS].append(f"log or report could not be written: {error}")
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def was_interrupted(exitstatus: int) -> bool:
    """Return whether pytest did not run all tests that were selected."""
    codes = pytest.ExitCode
    return exitstatus not in {codes.OK, codes.TESTS_FAILED, codes.NO_TESTS_COLLECTED}


def conclude(session: pytest.Session, exitstatus: int, *, only_checks: bool) -> None:
    """Report a finished run to GitHub and MLflow, and set the exit code.

    Exit code 0 becomes 5 if suites ran and nothing was judged.
    """
    from vision_evals.engine.publish import ReportPlaces, announce
    from vision_evals.log.outcome import nothing_judged

    config = session.config
    run, report = config.stash[RUN], config.stash.get(REPORT, ReportPlaces())
    if not hasattr(config, "workerinput"):  # of pytest-xdist: the controller reports once
        options, interrupted = catalog_of(config).options, was_interrupted(exitstatus)
        trouble = announce(run.log, run.directory, report, options, interrupted=interrupted)
        config.stash[WARNINGS] += trouble
    if exitstatus == pytest.ExitCode.OK and only_checks and nothing_judged(run.log):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def command_of(config: pytest.Config) -> str:
    """Return the command as typed, without passwords in addresses."""
    from vision_evals.report.export.tracking import scrubbed

    return scrubbed(shlex.join(["pytest", *map(str, config.invocation_params.args)]))
