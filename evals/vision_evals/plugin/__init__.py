"""The pytest plugin: its hooks, which pytest finds in this module.

Nothing heavier than the standard library is imported until a suite is collected: a project that
merely has the package installed pays nothing.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.measures import MEASURES
from vision_evals.plugin import finish
from vision_evals.plugin.items import (
    CHECK_LINES,
    REFUSED,
    SESSION,
    SUITES,
    CheckItem,
    SuiteFile,
    UnmarkedSuiteFile,
)
from vision_evals.suite.declared_options import declared

if TYPE_CHECKING:
    from vision_evals.core.progress import Progress
    from vision_evals.core.worker import Worker


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each also a key of ``[tool.evals]``."""
    group = parser.getgroup("evals", "vision networks (vision-evals)")
    for option in declared():
        group.addoption(option.flag, **option.arguments())


def pytest_configure(config: pytest.Config) -> None:
    """Register a marker for each shipped measure."""
    config.stash[finish.WARNINGS] = []
    for name in MEASURES:
        config.addinivalue_line("markers", f"{name}: checks that measure {name} (vision-evals)")
    if config.getoption("dist", "no") != "no":
        from vision_evals.plugin import controller

        config.pluginmanager.register(controller, "vision_evals.plugin.controller")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Check the options on the command line before anything is collected."""
    if not finish.typed(session.config):
        return
    from vision_evals.core.errors import UserError

    try:
        finish.catalog_of(session.config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    """Collect TOML files that say ``evals = 1`` or look as if they should; leave others alone."""
    if file_path.suffix != ".toml":
        return None
    try:
        with file_path.open("rb") as file:
            text = file.read(1_000_001)  # a larger one is refused
    except OSError:
        return None
    if b"evals" in text:
        from vision_evals.suite.suite import is_suite

        if is_suite(text.decode("utf-8", errors="replace")):
            return SuiteFile.from_parent(parent, path=file_path)
    if all(re.search(line, text, re.MULTILINE) for line in CHECK_LINES):
        return UnmarkedSuiteFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a skip point at the check in its suite, and show a user's mistake as a sentence."""
    if not isinstance(item, CheckItem):
        return (yield)
    item.add_properties()
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        path, line, _ = item.reportinfo()
        report.longrepr = (str(path), line + 1, report.longrepr[2])
    if report.failed and call.when == "setup" and call.excinfo is not None:
        from vision_evals.core.errors import UserError

        if isinstance(call.excinfo.value, UserError):  # pytest asks repr_failure for calls only
            report.longrepr = str(call.excinfo.value)
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect checks on recipes where the command line names classifiers to judge."""
    if SUITES not in config.stash:
        return
    catalog = finish.catalog_of(config)
    deselected = [
        item for item in items if isinstance(item, CheckItem) and catalog.left_out(item.job)
    ]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]
        config.stash[finish.DESELECTED] = len(deselected)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start a run for the selected checks, unless items are only listed."""
    config = session.config
    if config.option.collectonly or SUITES not in config.stash:
        return
    from vision_evals.core.errors import UserError

    try:
        suites = config.stash[SUITES]
        finish.catalog_of(config).refuse_unused_roles(suites)
        jobs = [item.job for item in session.items if isinstance(item, CheckItem)]
        if jobs and (config.option.continue_on_collection_errors or not session.testsfailed):
            from vision_evals.core.first_import import first_import_of

            with first_import_of("pandas"):
                from vision_evals.engine.isolated import start

            worker = _worker(config)
            run = start(
                finish.catalog_of(config),
                jobs,
                finish.command_of(config),
                _progress(config),
                worker,
            )
            config.stash[SESSION] = run
    except UserError as error:
        if _worker(config) is None:
            raise pytest.UsageError(str(error)) from None
        # a worker that ends here looks like a crash: instead, each of its items fails
        config.stash[REFUSED] = error


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the run; exit code 5 if suites ran and nothing was judged."""
    config = session.config
    if (output := getattr(config, "workeroutput", None)) is not None:
        refused = config.stash.get(REFUSED, None)
        output["evals"] = {
            "deselected": config.stash.get(finish.DESELECTED, 0),
            "refused": None if refused is None else str(refused),
        }
    run = config.stash.get(SESSION, None)
    if run is None:
        return
    config.stash[finish.RUN] = run
    with finish.warn_if_unwritten(session):
        warn = config.stash[finish.WARNINGS].append
        config.stash[finish.REPORT] = run.close(
            interrupted=finish.was_interrupted(exitstatus), warn=warn
        )
    only_checks = all(isinstance(item, CheckItem) for item in session.items)
    finish.conclude(session, exitstatus, only_checks=only_checks)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Keep pytest's own lists short, and print where the report is below all of them."""
    if finish.RUN not in terminalreporter.config.stash:
        return (yield)
    from vision_evals.plugin.screen import shortened, write_report

    with shortened(terminalreporter):
        yield
    write_report(terminalreporter)


@pytest.hookimpl(specname="pytest_terminal_summary", tryfirst=True)
def pytest_evals_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of verdicts, between pytest's failures and its short summary."""
    if finish.RUN in terminalreporter.config.stash:
        from vision_evals.plugin.screen import summarise

        summarise(terminalreporter)


def _worker(config: pytest.Config) -> Worker | None:
    """Return this process as a worker of pytest-xdist, if it is one."""
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        return None
    from vision_evals.core.worker import Worker

    return Worker(*(worker_input[key] for key in ("workerid", "evals", "workercount")))


def _progress(config: pytest.Config) -> Progress:
    """Return what shows passes and trainings; a worker's are shown by its controller."""
    from vision_evals.plugin.screen import progress_of_worker, progress_on

    worker, screen = _worker(config), config.pluginmanager.get_plugin("terminalreporter")
    if worker is None and screen is not None:
        return progress_on(screen)
    run_dir = finish.catalog_of(config).options.run_dir
    return progress_of_worker(None if worker is None else worker.directory(run_dir))
