"""``evals``: the commands next to the test run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from vision_evals import __version__
from vision_evals.cli import cache, export, networks, reports, runs, suites
from vision_evals.core.errors import UserError, printable

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with one clear sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except BrokenPipeError:  # the reader, such as `head`, has stopped reading
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, OSError) as error:
        message = error if isinstance(error, UserError) else printable(str(error))
        print(f"evals: {message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evals", description="pytest for vision networks; checks run with `pytest SUITE`"
    )
    parser.add_argument("--version", action="version", version=f"vision-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (networks, suites, reports, runs, cache, export):
        group.add(commands)
    return parser
