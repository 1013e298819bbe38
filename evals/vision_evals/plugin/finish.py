"""What pytest's session and the controller of its workers share: options, and the end of a run.

As light as the plugin: it imports what a run needs when there is one.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.suite.declared_options import declared

if TYPE_CHECKING:
    from vision_evals.engine.jobs import Catalog
    from vision_evals.engine.merge.workers import Gathered
    from vision_evals.engine.publish import Published
    from vision_evals.engine.session import Session

_CATALOG = pytest.StashKey["Catalog"]()
RUN: pytest.StashKey[Session | Gathered] = pytest.StashKey()
REPORT: pytest.StashKey[Published] = pytest.StashKey()
ASIDE = pytest.StashKey[int]()
TROUBLE = pytest.StashKey[list[str]]()


def typed(config: pytest.Config) -> dict[str, Any]:
    """Return the options on the command line, by key."""
    options = {option.key: config.getoption(option.flag, None) for option in declared()}
    return {key: value for key, value in options.items() if value is not None}


def catalog_of(config: pytest.Config) -> Catalog:
    """Return what can be selected from, read once; UserError for a wrong option or card."""
    if _CATALOG not in config.stash:
        from vision_evals.engine.jobs import Catalog
        from vision_evals.suite.options import read

        options = read(typed(config), config.invocation_params.dir)
        config.stash[_CATALOG] = Catalog.read(options)
    return config.stash[_CATALOG]


@contextlib.contextmanager
def said_if_unwritten(session: pytest.Session) -> Iterator[None]:
    """Let a log or report that cannot be written be a warning, and no pass without its evidence."""
    from vision_evals.core.errors import UserError

    try:
        yield
    except (OSError, UserError) as error:
        # said in the summary: as a warning it would be an exception under filterwarnings = error
        session.config.stash[TROUBLE].append(f"log or report could not be written: {error}")
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def hold(session: pytest.Session, exitstatus: int, *, only_checks: bool) -> None:
    """Turn 0 into 5 where suites were run and nothing was judged."""
    from vision_evals.log.outcome import nothing_judged

    run = session.config.stash[RUN].log
    if exitstatus == pytest.ExitCode.OK and only_checks and nothing_judged(run):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def publish(config: pytest.Config, *, interrupted: bool) -> None:
    """Tell GitHub and MLflow of a run whose report is written; no verdict depends on either."""
    if hasattr(config, "workerinput"):  # of pytest-xdist: the controller tells it once
        return
    from vision_evals.engine.publish import Published, announce

    run, published = config.stash[RUN], config.stash.get(REPORT, Published())
    options = catalog_of(config).options
    config.stash[TROUBLE] += announce(
        run.log, run.directory, published, options, interrupted=interrupted
    )


def command_of(config: pytest.Config) -> str:
    """Return the command as somebody typed it, without passwords in addresses."""
    from vision_evals.report.export.tracking import scrubbed

    return scrubbed(shlex.join(["pytest", *map(str, config.invocation_params.args)]))


def summarise(screen: pytest.TerminalReporter) -> None:
    """Print the table of verdicts, and where the report is."""
    from vision_evals.core.errors import printable
    from vision_evals.report.export.annotations import commands
    from vision_evals.report.terminal import counts, profile, remarks, table

    config = screen.config
    run = config.stash[RUN]
    screen.section("vision networks")
    for line in table(run.log.items, color=screen.hasmarkup).splitlines():
        screen.write_line(line)
    for line in (*remarks(run.log), counts(run.log), *profile(run.log)):
        screen.write_line(line)
    if aside := config.stash.get(ASIDE, 0):
        screen.write_line(f"{aside} checks on recipes deselected; --evals-recipes runs them, too")
    screen.write_line(f"log: {run.directory / 'run.json'}")
    published = config.stash.get(REPORT, None)
    if published is not None and published.page is not None:
        screen.write_line(f"report: {published.page}")
    if published is not None and published.folder is not None:
        screen.write_line(f"report: {published.folder}")
    for trouble in config.stash[TROUBLE]:
        screen.write_line(f"warning: {printable(trouble)}", yellow=True)
    lenient = catalog_of(config).options.table.inconclusive == "skip"
    for command in commands(run.log, config.rootpath, os.environ, lenient=lenient):
        screen.write_line(command)
