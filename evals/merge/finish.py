"""What ends a run: its report."""

from __future__ import annotations

from pathlib import Path

from evals import log
from evals.options import Options

REPORT = "report.html"


def publish(run: log.Run, directory: Path, options: Options) -> Path | None:
    """Write the report of a run where the options say, and return its path if there is one.

    Raises:
        OSError: it could not be written.
    """
    if not options.reporting:
        return None
    from evals import report

    return report.write(run, directory, options.report or directory / REPORT)
