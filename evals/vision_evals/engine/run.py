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
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.publish import Published, announce
from vision_evals.log.outcome import FAILED, PASSED, exit_code, fails
from vision_evals.log.result import Run
from vision_evals.report.export.escape import without_password
from vision_evals.suite import options
from vision_evals.suite.declared_options import declared
from vision_evals.suite.suite import Suite, is_suite
from vision_evals.verdict.job import Job

if TYPE_CHECKING:
    from vision_evals.engine.session import Session

Place: TypeAlias = "str | os.PathLike[str]"

NOT_SEARCHED = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
"""Folders that pytest looks for no suites in, unless they are named."""

NAMES = frozenset(option.key for option in declared()) - {"model"}
"""Options, but those that say which classifiers: that is `models` here."""


def run(suites: Place | Iterable[Place], models: str | Iterable[str] = (), **more: Any) -> Run:
    """Judge suites as `pytest SUITES` does: the same checks, run directory, log and report.

    Progress goes to stderr. Interrupted (Ctrl-C), it leaves a readable log and report, and raises
    KeyboardInterrupt.

    Args:
        suites: TOML files, folders that are searched for them, or ids as in the log, such as
            ``suites/accuracy.toml::photographs[alexnet]``.
        models: as ``--evals-model``: ``[ALIAS=]NAME[@PATH]``; those of the suites without.
        more: every other option of ``--evals-...`` by its name, with underscores: ``limit=100``,
            ``images={"art": "my_art"}``, ``no_cache=True``. None: as if it was not there.

    Raises:
        UserError: a mistake in options, cards or suites, each in one line.
    """
    asked = [suites] if isinstance(suites, str | os.PathLike) else list(suites)
    given = _given(models, more)
    catalog = Catalog.read(options.read(given, Path.cwd()))
    found = dict(_collected(asked, catalog))
    catalog.unused_roles({job.suite.path: job.suite for job in found.values()}.values())
    jobs = [job for job in found.values() if not catalog.aside(job)]
    if not jobs:
        raise UserError(
            f"all {len(found)} checks are on recipes, which are left out where models are named; "
            "recipes=True runs them, too"
            if found
            else "the suites have no checks"
        )
    from vision_evals.engine.session import Session

    session = Session(catalog, jobs, _typed(asked, given), _progress())
    try:
        failed = [_fails(session, job, catalog) for job in jobs]
    except BaseException:
        _finished(session, catalog, interrupted=True)
        raise
    published, trouble = _finished(session, catalog, interrupted=False)
    code = exit_code(session.log, lenient=_lenient(catalog))
    whole = published is not None
    if any(failed) or (code == PASSED and not whole):
        code = FAILED
    if aside := len(found) - len(jobs):
        trouble.append(f"{aside} checks on recipes were left out; recipes=True runs them, too")
    report = None if published is None else published.where
    return Run(session.log, session.directory, report, code, (*session.log.warnings, *trouble))


def _given(models: str | Iterable[str], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the command line would give them."""
    for name in more:
        if name not in NAMES:
            raise UserError(f'run() has no option "{name}"{did_you_mean(name, {*NAMES, "models"})}')
    given = {"model": models, **more}
    images = given.get("images")
    if isinstance(images, Mapping):
        given["images"] = [f"{role}={os.fspath(source)}" for role, source in images.items()]
    for name in ("model", "images"):
        one = given.get(name)
        given[name] = [one] if isinstance(one, str | os.PathLike) else list(one or ())
    plain = {
        name: [os.fspath(one) if isinstance(one, os.PathLike) else one for one in value]
        if isinstance(value, list)
        else os.fspath(value)
        if isinstance(value, os.PathLike)
        else value
        for name, value in given.items()
    }
    return {name: value for name, value in plain.items() if value not in (None, [])}


def _typed(suites: Sequence[Place], given: Mapping[str, Any]) -> str:
    """Return the call for the log, without passwords in addresses."""
    words = {"models" if name == "model" else name: value for name, value in given.items()}
    words = {name: without_password(v) if isinstance(v, str) else v for name, v in words.items()}
    arguments = [repr([os.fspath(one) for one in suites])]
    arguments += [f"{name}={value!r}" for name, value in words.items()]
    return f"vision_evals.run({', '.join(arguments)})"


def _collected(asked: Sequence[Place], catalog: Catalog) -> Iterator[tuple[str, Job]]:
    """Yield the jobs of suites by id, in order; every mistake that can be known now is said now."""
    mistakes: list[str] = []
    known: dict[Path, tuple[Suite, list[Job]]] = {}
    for one in asked:
        place, _, name = os.fspath(one).partition("::")
        for file in _files(place):
            try:
                if file not in known:
                    suite = catalog.suite(file, _path(file, Path(place)))
                    known[file] = suite, list(catalog.jobs(suite, file.parent))
            except UserError as error:
                mistakes.append(str(error))
                continue
            suite, jobs = known[file]
            chosen = [job for job in jobs if name in {"", job.name, job.check.name}]
            if name and not chosen:
                near = did_you_mean(name, [n for job in jobs for n in (job.check.name, job.name)])
                mistakes.append(f'{suite.path}: no check is called "{name}"{near}')
            yield from ((job.id, job) for job in chosen)
    if mistakes:
        raise UserError("\n".join(dict.fromkeys(mistakes)))


def _files(place: str) -> list[Path]:
    """Return the suite of that name, or those in the folder."""
    path = Path(place).expanduser().absolute()
    if not path.exists():
        raise UserError(f"{place}: there is no such file or folder")
    found = list(_below(path)) if path.is_dir() else [path] * _marked(path)
    if not found:
        raise UserError(f"{place}: no suite; a suite is a TOML file that begins with evals = 1")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            hidden = any(fnmatch(path.name, pattern) for pattern in NOT_SEARCHED)
            if not hidden and not (path / "pyvenv.cfg").is_file():
                yield from _below(path)
        elif _marked(path):
            yield path


def _marked(path: Path) -> bool:
    try:
        return path.suffix == ".toml" and is_suite(path.read_bytes().decode("utf-8", "replace"))
    except OSError:
        return False


def _path(file: Path, named: Path) -> str:
    """Return the path of a suite in ids, as pytest has it: below the folder of pyproject.toml."""
    here = Path.cwd()
    root = next((f for f in (here, *here.parents) if (f / "pyproject.toml").is_file()), here)
    folder = named.expanduser().absolute()
    for base in (root, folder):
        if file != base and file.is_relative_to(base):
            return file.relative_to(base).as_posix()
    return file.name


def _fails(session: Session, job: Job, catalog: Catalog) -> bool:
    """Judge a job, and return whether it fails the run; the log says why."""
    prepared = False
    try:
        session.prepare(job)
        prepared = True
        return fails(session.judge(job).verdict, lenient=_lenient(catalog))
    except NotApplicableError:
        return False
    except UnavailableError:
        return prepared or (job.named and job.missing is None)
    except (Exception, SystemExit):  # noqa: BLE001 - of a user's code: that check alone is lost
        return True


def _lenient(catalog: Catalog) -> bool:
    return catalog.options.table.inconclusive == "skip"


def _finished(
    session: Session, catalog: Catalog, *, interrupted: bool
) -> tuple[Published | None, list[str]]:
    """Write log and report; return where it is, None where it could not be, and what went wrong."""
    trouble: list[str] = []
    try:
        published = session.close(interrupted=interrupted, warn=trouble.append)
    except (OSError, UserError) as error:
        return None, [*trouble, f"log or report could not be written: {error}"]
    directory, made = session.directory, catalog.options
    trouble += announce(session.log, directory, published, made, interrupted=interrupted)
    return published, trouble


def _progress() -> progress.Progress:
    """Return a bar on a terminal, else lines."""
    if sys.stderr.isatty():
        return progress.bar
    return progress.lines(lambda line: print(line, file=sys.stderr))  # noqa: T201 - as pytest does
