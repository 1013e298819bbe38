"""The end of a run: its report, and its results for GitHub and MLflow."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.paths import REPORT
from vision_evals.suite.options import Options


@dataclass(frozen=True, slots=True)
class ReportPlaces:
    """Where the report of a run is; None for a form that the options do not ask for."""

    page: Path | None = None
    """As one file."""
    folder: Path | None = None
    """The page in a folder that also has the pictures."""

    @property
    def where(self) -> Path | None:
        """What to open."""
        return self.page or self.folder


def publish(
    run: log.Run, directory: Path, options: Options, warn: Callable[[str], None]
) -> ReportPlaces:
    """Write the report of a run where and how the options say.

    If the user's templates cannot be filled, a warning says why, and the shipped ones are used:
    every run has its report.

    Args:
        run: finished.
        directory: with its tables and pictures.
        options: of the run.
        warn: called with the reason.

    Raises:
        UserError: it could not be written.
    """
    instead = "the report uses the shipped templates, not those of --evals-templates"
    try:
        if options.templates is not None:
            try:
                return _written(run, directory, options, options.templates)
            except UserError as error:
                warn(f"{instead}: {error}")
        return _written(run, directory, options, None)
    except OSError as error:
        raise UserError(
            f"{error.filename or options.report or directory / REPORT}: cannot be written "
            f"({error.strerror or error}); free some space, or name another place with "
            "--evals-report"
        ) from None


def announce(
    run: log.Run, directory: Path, published: ReportPlaces, options: Options, *, interrupted: bool
) -> list[str]:
    """Report a run to GitHub and MLflow, and return what went wrong.

    No verdict depends on either. An interrupted run is not sent to MLflow.
    """
    from vision_evals.report.export.files import write_markdown
    from vision_evals.report.export.tracking import track

    trouble = [*write_markdown(run, directory, published.where, options.markdown, os.environ)]
    if options.table.mlflow is not None and not interrupted:
        trouble += filter(None, [track(options.table.mlflow, directory, published.page)])
    return trouble


def _written(
    run: log.Run, directory: Path, options: Options, templates: Path | None
) -> ReportPlaces:
    from vision_evals import report

    page = folder = None
    if options.reporting:
        page = report.write(run, directory, options.report or directory / REPORT, templates)
    if options.report_dir is not None:
        folder = report.write_folder(run, directory, options.report_dir, templates)
    return ReportPlaces(page, folder)
