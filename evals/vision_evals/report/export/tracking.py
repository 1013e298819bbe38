"""A finished run sent to MLflow from a process of its own.

MLflow keeps its address, its log levels and its telemetry in globals, takes seconds to import, and
retries for minutes when a server does not answer. In a child process none of that reaches the
session, its warning filters or its screen, and a limit on its time can be enforced.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from vision_evals.report.export.escape import without_password

TIMEOUT_SECONDS = 120
"""That logging a run may take, the report's upload included; a new SQLite store needs about ten."""

MAX_MESSAGE_CHARS = 700
"""Characters of MLflow's words that are passed on."""

_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""Nothing about the run is sent to third parties."""

_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""Unless the user's environment says otherwise."""

_PYTHON = (sys.executable, "-P", "-W", "ignore", "-c")
_COMMAND = "from vision_evals.cli import main; raise SystemExit(main())"


def track(
    uri: str, directory: Path, report: Path | None, seconds: float = TIMEOUT_SECONDS
) -> str | None:
    """Log a run to MLflow; return None, or what went wrong and what to do, in a sentence.

    Args:
        uri: of the tracking server or store, as MLflow understands it.
        directory: of the run.
        report: the HTML report, if there is one.
        seconds: after which the attempt is given up.
    """
    arguments = [*_PYTHON, _COMMAND, "mlflow", os.fspath(directory)]
    arguments += [] if report is None else ["--report", os.fspath(report)]
    try:
        process = subprocess.run(  # noqa: S603 - our own interpreter and command
            arguments,
            env=_environment(uri, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"no answer within {seconds:g} s"
    except KeyboardInterrupt:  # who does not want to wait for it loses nothing else
        message = "given up"
    else:
        if process.returncode == 0:
            return None
        lines = process.stderr.strip().splitlines()
        last = next((n for n in reversed(lines) if n.startswith("evals: ")), (lines or ["?"])[-1])
        message = last.removeprefix("evals: ")[:MAX_MESSAGE_CHARS]
    where = without_password(uri)
    return (
        f"the run was not logged to MLflow at {where}: {without_password(message)}; the verdicts "
        f"stand, and `evals mlflow {directory} --to {where}` logs it later"
    )


def settled(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which MLflow sends no telemetry and gives up on a silent server."""
    return {**_PATIENCE, **environment, **_QUIET}


def _environment(uri: str, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the child's environment: the address is not on its command line, where ps shows it."""
    package = os.fspath(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package, ours.get("PYTHONPATH")]))
    return settled(ours) | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": path}


def scrubbed(command: str) -> str:
    """Return a command for the log, without the password of a tracking server."""
    return without_password(command) if "--evals-mlflow" in command else command
