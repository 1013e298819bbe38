"""What ends a run: its report, and who is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.run_dirs import REPORT
from vision_evals.suite.options import Options


@dataclass(frozen=True, slots=True)
class Published:
    """Where the report of a run is; None where nobody wants it so."""

    page: Path | None = None
    """As one file."""
    folder: Path | None = None
    """The page of the folder that has the pictures beside it."""

    @property
    def where(self) -> Path | None:
        """What to open."""
        return self.page or self.folder


def publish(
    run: log.Run, directory: Path, options: Options, warn: Callable[[str], None]
) -> Published:
    """Write the report of a run where and how the options say.

    Where the templates of a user's own cannot be filled, ours are, and what is wrong is a warning:
    no run goes without its report.

    Args:
        run: finished.
        directory: with its tables and pictures.
        options: what was asked for.
        warn: told of such templates.

    Raises:
        OSError: it could not be written.
    """
    if options.templates is not None:
        try:
            return _written(run, directory, options, options.templates)
        except UserError as error:
            warn(f"the report looks as it comes, not as --evals-templates says: {error}")
    return _written(run, directory, options, None)


def announce(
    run: log.Run, directory: Path, published: Published, options: Options, *, interrupted: bool
) -> list[str]:
    """Tell GitHub and MLflow of a run whose report is written, and return what went wrong.

    No verdict depends on either, and MLflow hears of no run that was interrupted.
    """
    from vision_evals.report.export.files import write_markdown
    from vision_evals.report.export.tracking import track

    trouble = [*write_markdown(run, directory, published.where, options.markdown, os.environ)]
    if options.table.mlflow is not None and not interrupted:
        trouble += filter(None, [track(options.table.mlflow, directory, published.page)])
    return trouble


def _written(run: log.Run, directory: Path, options: Options, templates: Path | None) -> Published:
    from vision_evals import report

    page = folder = None
    if options.reporting:
        page = report.write(run, directory, options.report or directory / REPORT, templates)
    if options.report_dir is not None:
        folder = report.write_folder(run, directory, options.report_dir, templates)
    return Published(page, folder)
