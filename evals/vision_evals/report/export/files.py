"""Where the Markdown of a run goes: a file that the user names, and GitHub's job summary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vision_evals.core.paths import whole_file
from vision_evals.log import Run
from vision_evals.report.export.markdown import render

SUMMARY = "GITHUB_STEP_SUMMARY"
"""Environment variable that names the file GitHub shows on the page of a job."""

MAX_SUMMARY_BYTES = 1024 * 1024
"""Bytes: of a longer summary GitHub shows nothing."""

MAX_COMMENT_BYTES = 65_000
"""Bytes: a comment on a pull request has at most 65,536 characters."""


def write_markdown(
    run: Run,
    directory: Path,
    report: Path | None,
    path: Path | None,
    environment: Mapping[str, str],
) -> tuple[str, ...]:
    """Write the Markdown of a finished run, and return what went wrong, in sentences.

    Args:
        run: its log.
        directory: where the log is.
        report: the HTML report, if there is one.
        path: of ``--evals-markdown``, if the user named one.
        environment: of the process.
    """
    where, problems = _where(directory, report), []
    if path is not None:
        try:
            with whole_file(path) as partial:
                partial.write_text(render(run, where, MAX_COMMENT_BYTES), encoding="utf-8")
        except OSError as error:
            problems.append(f"--evals-markdown {path} could not be written: {error.strerror}")
    if summary := environment.get(SUMMARY):
        try:
            _append(run, where, Path(summary))
        except OSError as error:
            problems.append(f"the job summary could not be written: {summary}: {error.strerror}")
    return tuple(problems)


def _append(run: Run, where: str, summary: Path) -> None:
    """Append to what stands there already, all of it together short enough."""
    before = summary.stat().st_size if summary.exists() else 0
    text = ("\n" if before else "") + render(run, where, MAX_SUMMARY_BYTES - before - 1)
    if before + len(text.encode()) > MAX_SUMMARY_BYTES:
        raise OSError(0, "its present content leaves no room below GitHub's limit of 1 MiB")
    with summary.open("a", encoding="utf-8") as file:
        file.write(text)


def _where(directory: Path, report: Path | None) -> str:
    files = [f"Log: {_short(directory / 'run.json')}"]
    files += [] if report is None else [f"report: {_short(report)}"]
    return "; ".join(files)


def _short(path: Path) -> str:
    folder = Path.cwd()
    return os.fspath(path.relative_to(folder) if path.is_relative_to(folder) else path)
