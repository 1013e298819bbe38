"""The pytest plugin: options, collection, items, summary.

Only this room imports pytest, and pytest-xdist where it is used. Nothing heavier than the standard library is imported until a suite is collected: a project that
merely has the package installed pays nothing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from vision_evals.measures import MEASURES

if TYPE_CHECKING:
    from vision_evals.core.errors import UserError
    from vision_evals.core.progress import Progress
    from vision_evals.core.worker import Worker
    from vision_evals.engine.jobs import Catalog, Job
    from vision_evals.engine.merge.workers import Gathered
    from vision_evals.engine.publish import Published
    from vision_evals.engine.session import Session
    from vision_evals.log import Item
    from vision_evals.suite.suite import Suite

OPTIONS = (
    ("model", "[ALIAS=]NAME[@PATH]", "judge this classifier; several times, or PATH_*.pth"),
    ("cards", "FILE", "TOML file with model cards of your own"),
    ("images", "[ROLE=]SOURCE", "what a role stands for; photographs without a role"),
    ("limit", "N", "only N images of each set, chosen by hash of their ids"),
    ("device", "auto|DEVICE", "cpu, cuda:1, mps, ... (default: auto)"),
    ("precision", "fp32|tf32|bf16", "of convolutions and matrix products (default: fp32)"),
    ("batch-size", "auto|N", "images in one forward (default: auto)"),
    ("seed", "N", "every generator derives from it (default: 0)"),
    ("run-dir", "DIR", "where runs are kept (default: runs)"),
    ("report", "PATH|none", "HTML report (default: report.html beside the run log)"),
    ("report-dir", "DIR", "the report as a folder too, with pictures beside it"),
    ("templates", "DIR", "templates of your own that go before the report's of the same names"),
    ("markdown", "PATH", "summary in Markdown; also appended to $GITHUB_STEP_SUMMARY if set"),
    ("mlflow", "URI", "log the run to this MLflow server or store"),
    ("pictures", "N|none", "pictures a check and classifier in the report, up to 8 (default: 8)"),
    ("baseline", "RUN[:ALIAS]", "hold gates against this run, image by image"),
    ("same", "fail|skip", "what a gate does that compares a network with itself (default: fail)"),
    ("validity", "cheap|thorough", "which validity checks run (default: cheap)"),
    ("inconclusive", "fail|skip", "what an inconclusive verdict does (default: fail)"),
    ("keep-adversarials", None, "keep every image's smallest adversarial as an 8-bit PNG"),
    ("recipes", None, "train and judge recipes also where --evals-model names classifiers"),
    ("profile", None, "say where the time went: decoding, forwards, attacks, rows, report, ..."),
    ("trace", "DIR", "write torch profiler traces of the first batches of each pass"),
    ("shard", "K/N", "look at part K of N of every image set; `evals merge` joins the parts"),
    ("cache", "DIR", "where finished shards and trainings are kept (default: .evals_cache)"),
    ("no-cache", None, "compute everything anew, and keep nothing"),
)

_CATALOG = pytest.StashKey["Catalog"]()
_SESSION = pytest.StashKey["Session"]()
RUN: pytest.StashKey[Session | Gathered] = pytest.StashKey()
REPORT: pytest.StashKey[Published] = pytest.StashKey()
ASIDE = pytest.StashKey[int]()
TROUBLE = pytest.StashKey[list[str]]()
_SUITES: pytest.StashKey[list[Suite]] = pytest.StashKey()
_REFUSED: pytest.StashKey[UserError] = pytest.StashKey()


class CheckFailedError(Exception):
    """A verdict that fails its item; the entry in the log says why."""

    def __init__(self, item: Item) -> None:
        super().__init__(item.sentence)
        self.item = item


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each also a key of ``[tool.evals]``."""
    group = parser.getgroup("evals", "vision networks (vision-evals)")
    for name, metavar, text in OPTIONS:
        if metavar is None:
            group.addoption(f"--evals-{name}", help=text, action="store_true", default=None)
            continue
        action = "append" if name in {"model", "images"} else "store"
        group.addoption(f"--evals-{name}", metavar=metavar, help=text, action=action)


def pytest_configure(config: pytest.Config) -> None:
    """Register a marker for each shipped measure."""
    config.stash[TROUBLE] = []
    for name in MEASURES:
        config.addinivalue_line("markers", f"{name}: checks that measure {name} (vision-evals)")
    if config.getoption("dist", "no") != "no":
        from vision_evals.plugin import controller

        config.pluginmanager.register(controller, "vision_evals.plugin.controller")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Hold what was typed against what there is, before anything is collected."""
    if not _typed(session.config):
        return
    from vision_evals.core.errors import UserError

    try:
        catalog_of(session.config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> SuiteFile | None:
    """Collect TOML files that say ``evals = 1``; leave every other file alone."""
    if file_path.suffix != ".toml":
        return None
    try:
        text = file_path.read_bytes()
    except OSError:
        return None
    if b"evals" not in text:
        return None
    from vision_evals.suite.suite import is_suite

    if not is_suite(text.decode("utf-8", errors="replace")):
        return None
    return SuiteFile.from_parent(parent, path=file_path)


class SuiteFile(pytest.File):
    """A suite; every mistake that can be known now is said now."""

    def collect(self) -> Iterator[CheckItem]:
        """Yield an item for each check and classifier."""
        from vision_evals.core.errors import UserError

        path = self.nodeid or self.path.name
        try:
            catalog = catalog_of(self.config)
            suite = catalog.suite(self.path, path)
            self.config.stash.setdefault(_SUITES, []).append(suite)
            for job in catalog.jobs(suite, self.path.parent):
                # the id is a string: with anything else --lf reruns everything
                yield CheckItem.from_parent(self, name=job.name, nodeid=job.id, job=job)
        except UserError as error:
            raise self.CollectError(str(error)) from None


class CheckItem(pytest.Item):
    """One check on one classifier."""

    def __init__(self, *, job: Job, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.job = job
        marker = job.check.spec.name
        self.config.addinivalue_line("markers", f"{marker}: checks that measure {marker}")
        self.add_marker(marker)

    def setup(self) -> None:
        """Load classifier and images; what cannot be loaded is an error, not a verdict."""
        from vision_evals.core.errors import NotApplicableError, UnavailableError

        if _REFUSED in self.config.stash:
            raise self.config.stash[_REFUSED]
        try:
            self._session.prepare(self.job)
        except NotApplicableError as error:
            pytest.skip(f"not applicable: {error}")
        except UnavailableError as error:
            if self.job.named and self.job.missing is None:
                raise
            pytest.skip(f"unavailable: {error}")

    def runtest(self) -> None:
        """Judge; the first item of a pass waits for all of it."""
        from vision_evals.core.errors import NotApplicableError
        from vision_evals.log import Verdict
        from vision_evals.verdict.verdict import excused

        try:
            item = self._session.judge(self.job)
        except NotApplicableError as error:
            pytest.skip(f"not applicable: {error}")
        match item.verdict:
            case Verdict.NOT_APPLICABLE:
                pytest.skip(f"not applicable: {item.sentence}")
            case Verdict.INCONCLUSIVE if (
                catalog_of(self.config).options.table.inconclusive == "skip"
            ):
                pytest.skip(f"inconclusive: {item.sentence}")
            case Verdict.INVALID | Verdict.FAILED | Verdict.INCONCLUSIVE:
                raise CheckFailedError(item)
        known = [j.known for j in item.judgements if excused(j) and j.known is not None]
        if known and self.config.option.runxfail:
            raise CheckFailedError(item)
        if known:
            pytest.xfail("; ".join(known))

    def tell(self) -> None:
        """Give pytest's reports, and so JUnit's, what the log says of this item."""
        session = self.config.stash.get(_SESSION, None)
        entry = session and session.entry(self.job)
        if entry:
            from vision_evals.report.export.junit import properties

            told = properties(entry)
            names = {name for name, _ in told}
            self.user_properties[:] = [p for p in self.user_properties if p[0] not in names]
            self.user_properties += told

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what fell, numbers first; a user's mistake has no traceback."""
        from vision_evals.core.errors import UserError

        match excinfo.value:
            case CheckFailedError() as failed:
                return _explained(failed.item)
            case UserError() as error:
                return str(error)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Point at the check's header in the suite."""
        return self.path, self.job.check.line - 1, self.name

    @property
    def _session(self) -> Session:
        return self.config.stash[_SESSION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a skip point at the check in its suite, and a user's mistake be a sentence."""
    if not isinstance(item, CheckItem):
        return (yield)
    item.tell()
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
    if _SUITES not in config.stash:
        return
    catalog = catalog_of(config)
    aside = [item for item in items if isinstance(item, CheckItem) and catalog.aside(item.job)]
    if aside:
        config.hook.pytest_deselected(items=aside)
        items[:] = [item for item in items if item not in aside]
        config.stash[ASIDE] = len(aside)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open a run for what was selected, unless items are only listed."""
    config = session.config
    if config.option.collectonly or _SUITES not in config.stash:
        return
    from vision_evals.core.errors import UserError

    try:
        suites = config.stash[_SUITES]
        catalog_of(config).unused_roles(suites)
        jobs = [item.job for item in session.items if isinstance(item, CheckItem)]
        if jobs and (config.option.continue_on_collection_errors or not session.testsfailed):
            from vision_evals.engine.session import Session

            worker = _worker(config)
            run = Session(catalog_of(config), jobs, command_of(config), _progress(config), worker)
            config.stash[_SESSION] = run
    except UserError as error:
        if _worker(config) is None:
            raise pytest.UsageError(str(error)) from None
        # a worker that ends here would be taken for a crash: it refuses its items, one by one
        config.stash[_REFUSED] = error


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Close the run; exit code 5 when suites were run and nothing was judged."""
    config = session.config
    if (output := getattr(config, "workeroutput", None)) is not None:
        refused = config.stash.get(_REFUSED, None)
        output["evals"] = {
            "aside": config.stash.get(ASIDE, 0),
            "refused": None if refused is None else str(refused),
        }
    through = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}
    interrupted = exitstatus not in through
    run = config.stash.get(_SESSION, None)
    if run is None:
        return
    config.stash[RUN] = run
    with said_if_unwritten(session):
        warn = config.stash[TROUBLE].append
        config.stash[REPORT] = run.close(interrupted=interrupted, warn=warn)
    publish(config, interrupted=interrupted)
    only = all(isinstance(item, CheckItem) for item in session.items)
    hold(session, exitstatus, only_checks=only)


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
    run = session.config.stash[RUN]
    judged = any(item.verdict.judged for item in run.log.items)
    # a part leaves that to others, and a change that touches no checkpoint has nothing to judge
    aside = run.log.settings.shard is not None or run.log.compares_with_itself
    if exitstatus == pytest.ExitCode.OK and only_checks and not judged and not aside:
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of verdicts, and where the report is."""
    config = terminalreporter.config
    run = config.stash.get(RUN, None)
    if run is None:
        return
    from vision_evals.core.errors import printable
    from vision_evals.report.export.annotations import commands
    from vision_evals.report.terminal import counts, profile, remarks, table

    screen = terminalreporter
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


def publish(config: pytest.Config, *, interrupted: bool) -> None:
    """Tell GitHub and MLflow of a run whose report is written; no verdict depends on either."""
    if hasattr(config, "workerinput"):  # of pytest-xdist: the controller tells it once
        return
    from vision_evals.report.export.files import tell
    from vision_evals.report.export.tracking import track

    run, published = config.stash[RUN], config.stash.get(REPORT, None)
    options, trouble = catalog_of(config).options, config.stash[TROUBLE]
    where, page = (published.where, published.page) if published is not None else (None, None)
    trouble += tell(run.log, run.directory, where, options.markdown, os.environ)
    if options.table.mlflow is not None and not interrupted:
        trouble += filter(None, [track(options.table.mlflow, run.directory, page)])


def command_of(config: pytest.Config) -> str:
    """Return the command as somebody typed it, without passwords in addresses."""
    from vision_evals.report.export.tracking import scrubbed

    return scrubbed(shlex.join(["pytest", *map(str, config.invocation_params.args)]))


def _worker(config: pytest.Config) -> Worker | None:
    """Return which worker of pytest-xdist's this process is, if it is one."""
    given: dict[str, str] | None = getattr(config, "workerinput", None)
    if given is None:
        return None
    from vision_evals.core.worker import Worker

    return Worker(given["workerid"], given["evals"])


def _typed(config: pytest.Config) -> dict[str, Any]:
    names = [name.replace("-", "_") for name, _, _ in OPTIONS]
    typed = {name: config.getoption(f"evals_{name}", None) for name in names}
    return {name: value for name, value in typed.items() if value is not None}


def catalog_of(config: pytest.Config) -> Catalog:
    """Return what can be selected from, read once; UserError for a wrong option or card."""
    if _CATALOG not in config.stash:
        from vision_evals.engine.jobs import Catalog
        from vision_evals.suite.options import read

        options = read(_typed(config), config.invocation_params.dir)
        config.stash[_CATALOG] = Catalog.read(options)
    return config.stash[_CATALOG]


def _explained(item: Item) -> str:
    fallen = [j.sentence for j in item.judgements if j.verdict == item.verdict]
    evidence = [f"{v.name} falls: {v.evidence}. {v.meaning}" for v in item.validity]
    kept = [line for line, v in zip(evidence, item.validity, strict=True) if v.invalidates]
    return "\n".join([item.sentence, *(kept or (fallen if len(fallen) > 1 else []))])


def _progress(config: pytest.Config) -> Progress:
    """Return a bar on a terminal, else lines, shown past pytest's capturing of output."""
    from vision_evals.core import progress

    screen: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if screen is None or _worker(config) is not None:  # the controller speaks for all
        return progress.lines(lambda _: None)
    show = progress.bar if screen.isatty else progress.lines(screen.write_line)

    @contextlib.contextmanager
    def shown(title: str, total: int, unit: str = "images") -> Iterator[progress.Advance]:
        screen.ensure_newline()
        paused = capture.global_and_fixture_disabled() if capture else contextlib.nullcontext()
        with paused, show(title, total, unit) as advance:
            yield advance

    return shown
