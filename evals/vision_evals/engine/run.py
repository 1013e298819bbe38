"""`pytest SUITES` from Python: the same checks, log and report, without pytest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vision_evals.core import progress
from vision_evals.core.errors import NotApplicableError, UnavailableError, UserError, did_you_mean
from vision_evals.core.first_import import first_import_of
from vision_evals.core.paths import user_path
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.publish import ReportPlaces, announce
from vision_evals.log.outcome import FAILED, PASSED, exit_code, fails
from vision_evals.report.export.escape import without_password
from vision_evals.report.result import Run
from vision_evals.suite.declared_options import declared
from vision_evals.suite.options import read as read_options
from vision_evals.suite.suite import Suite, is_suite
from vision_evals.verdict.job import Job

if TYPE_CHECKING:
    from vision_evals.engine.isolated import Isolated
    from vision_evals.engine.session import Session

Place: TypeAlias = "str | os.PathLike[str]"

NOT_SEARCHED = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
"""Folders that pytest does not search, unless they are named."""

OPTION_NAMES = frozenset(option.key for option in declared()) - {"model"}
"""Names of options, except that of the classifiers: it is `models` here."""


def run(suites: Place | Iterable[Place], models: str | Iterable[str] = (), **options: Any) -> Run:
    """Judge suites as `pytest SUITES` does: the same checks, run directory, log and report.

    Progress goes to stderr. Interrupted (Ctrl-C), it leaves a readable log and report, and raises
    KeyboardInterrupt.

    Args:
        suites: TOML files, folders that are searched for them, or ids as in the log, such as
            ``suites/accuracy.toml::photographs[alexnet]``.
        models: as ``--evals-model``: ``[ALIAS=]NAME[@PATH]``; those of the suites without.
        options: every other option of ``--evals-...`` by its name, with underscores:
            ``limit=100``, ``images={"art": "my_art"}``, ``no_cache=True``. None: the default.

    Raises:
        UserError: a mistake in options, cards or suites, each in one line.
    """
    places = [suites] if isinstance(suites, str | os.PathLike) else list(suites)
    arguments = _option_arguments(models, options)
    named = [user_path(os.fspath(place).partition("::")[0], Path()) for place in places]
    catalog = Catalog.read(read_options(arguments, Path.cwd(), named))
    jobs_by_id = dict(_collect(places, catalog))
    catalog.refuse_unused_roles({j.suite.path: j.suite for j in jobs_by_id.values()}.values())
    jobs = [job for job in jobs_by_id.values() if not catalog.left_out(job)]
    if not jobs_by_id:
        raise UserError("the suites have no checks")
    if not jobs:
        raise UserError(
            f"all {len(jobs_by_id)} checks are on recipes, which are left out where models are "
            "named; recipes=True runs them, too"
        )
    with first_import_of("pandas"):
        from vision_evals.engine.isolated import start

    session = start(catalog, jobs, _call_text(places, arguments), _progress())
    try:
        failed = [_fails(session, job, catalog) for job in jobs]
    except BaseException:
        _finish(session, catalog, interrupted=True)
        raise
    report, trouble = _finish(session, catalog, interrupted=False)
    code = exit_code(session.log, lenient=_lenient(catalog))
    if any(failed) or (code == PASSED and report is None):
        code = FAILED
    if left_out := len(jobs_by_id) - len(jobs):
        trouble.append(f"{left_out} checks on recipes were left out; recipes=True runs them, too")
    page = None if report is None else report.where
    return Run(session.log, session.directory, page, code, (*session.log.warnings, *trouble))


def _option_arguments(models: str | Iterable[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the command line would give them."""
    for name in options:
        if name not in OPTION_NAMES:
            hint = did_you_mean(name, {*OPTION_NAMES, "models"})
            raise UserError(f'run() has no option "{name}"{hint}')
    arguments = {"model": models, **options}
    images = arguments.get("images")
    if isinstance(images, Mapping):
        arguments["images"] = [f"{role}={os.fspath(source)}" for role, source in images.items()]
    for name in ("model", "images"):
        value = arguments.get(name)
        arguments[name] = [value] if isinstance(value, str | os.PathLike) else list(value or ())
    texts = {name: _path_as_text(value) for name, value in arguments.items()}
    return {name: value for name, value in texts.items() if value not in (None, [])}


def _path_as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_path_as_text(element) for element in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _call_text(suites: Sequence[Place], arguments: Mapping[str, Any]) -> str:
    """Return the call for the log, without passwords in addresses."""
    words = [repr([os.fspath(suite) for suite in suites])]
    for name, value in arguments.items():
        shown = without_password(value) if isinstance(value, str) else value
        words.append(f"{'models' if name == 'model' else name}={shown!r}")
    return f"vision_evals.run({', '.join(words)})"


def _collect(places: Sequence[Place], catalog: Catalog) -> Iterator[tuple[str, Job]]:
    """Yield the jobs of suites by id, in order; one error lists every mistake in them."""
    mistakes: list[str] = []
    suites: dict[Path, tuple[Suite, list[Job]]] = {}
    for place in places:
        file_or_folder, _, name = os.fspath(place).partition("::")
        for file in _files(file_or_folder):
            try:
                if file not in suites:
                    suite = catalog.suite(file, _suite_path(file, Path(file_or_folder)))
                    suites[file] = suite, list(catalog.jobs(suite, file.parent))
            except UserError as error:
                mistakes += error.args
                continue
            suite, jobs = suites[file]
            chosen = [job for job in jobs if name in {"", job.name, job.check.name}]
            if name and not chosen:
                hint = did_you_mean(name, [n for job in jobs for n in (job.check.name, job.name)])
                mistakes.append(f'{suite.path}: no check is called "{name}"{hint}')
            yield from ((job.id, job) for job in chosen)
    if mistakes:
        raise UserError(*dict.fromkeys(mistakes))


def _files(place: str) -> list[Path]:
    """Return the suite at a path, or those in a folder."""
    path = user_path(place, Path()).absolute()
    if not path.exists():
        raise UserError(f"{place}: there is no such file or folder")
    files = list(_suites_in(path)) if path.is_dir() else [path] * _is_suite_file(path)
    if not files:
        raise UserError(f"{place}: no suite; a suite is a TOML file that begins with evals = 1")
    return files


def _suites_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = any(fnmatch(path.name, pattern) for pattern in NOT_SEARCHED)
            if not hidden and not (path / "pyvenv.cfg").is_file():
                yield from _suites_in(path)
        elif _is_suite_file(path):
            yield path


def _is_suite_file(path: Path) -> bool:
    try:
        return path.suffix == ".toml" and is_suite(path.read_bytes().decode("utf-8", "replace"))
    except OSError:
        return False


def _suite_path(file: Path, named: Path) -> str:
    """Return the path of a suite in ids, as in pytest: below the folder of pyproject.toml."""
    cwd = Path.cwd()
    root = next((f for f in (cwd, *cwd.parents) if (f / "pyproject.toml").is_file()), cwd)
    folder = named.expanduser().absolute()
    for base in (root, folder):
        if file != base and file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return file.name


def _fails(session: Session | Isolated, job: Job, catalog: Catalog) -> bool:
    """Judge a job, and return whether it fails the run; the log has the reason."""
    prepared = False
    try:
        session.prepare(job)
        prepared = True
        return fails(session.judge(job).verdict, lenient=_lenient(catalog))
    except NotApplicableError:
        return False
    except UnavailableError:
        return prepared or (job.named and job.missing is None)
    except Exception:  # noqa: BLE001 - of a user's code: only that check fails
        return True


def _lenient(catalog: Catalog) -> bool:
    return catalog.options.table.inconclusive == "skip"


def _finish(
    session: Session | Isolated, catalog: Catalog, *, interrupted: bool
) -> tuple[ReportPlaces | None, list[str]]:
    """Write log and report; return where they are (None if that failed), and what went wrong."""
    trouble: list[str] = []
    try:
        published = session.close(interrupted=interrupted, warn=trouble.append)
    except (OSError, UserError) as error:
        return None, [*trouble, f"log or report could not be written: {error}"]
    directory, options = session.directory, catalog.options
    trouble += announce(session.log, directory, published, options, interrupted=interrupted)
    return published, trouble


def _progress() -> progress.Progress:
    """Return a bar on a terminal, else lines."""
    if progress.takes_bar(sys.stderr):
        return progress.bar
    return progress.lines(lambda line: print(line, file=sys.stderr))  # noqa: T201 - as pytest does
