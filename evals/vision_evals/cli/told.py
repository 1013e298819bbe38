"""What a command line says, in the terms of pytest's options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vision_evals.engine.jobs import Catalog
    from vision_evals.suite.options import Options


def judge_by(command: argparse.ArgumentParser, suites: str, options: Mapping[str, str]) -> None:
    """Let a command take suites, and options of pytest's by their names there."""
    command.add_argument("suite", nargs="*", type=Path, help=suites)
    command.add_argument(
        "--evals-model", action="append", metavar="[ALIAS=]NAME[@PATH]", help="as for pytest"
    )
    command.add_argument(
        "--evals-images", action="append", metavar="[ROLE=]SOURCE", help="as for pytest"
    )
    for name, shown in options.items():
        command.add_argument(f"--evals-{name}", metavar=shown, help="as for pytest")


def judged_by(options: argparse.Namespace) -> Catalog:
    """Return what can be selected from, by options of pytest's names."""
    from vision_evals.engine.jobs import Catalog

    return Catalog.read(told(options))


def told(options: argparse.Namespace) -> Options:
    """Return options of pytest's names, joined with ``[tool.evals]``."""
    from vision_evals.suite.options import read

    given = {
        key.removeprefix("evals_"): tuple(value) if isinstance(value, list) else value
        for key, value in vars(options).items()
        if key.startswith("evals_") and value is not None
    }
    return read(given, Path.cwd())


def catalog(options: argparse.Namespace, models: Sequence[str] = ()) -> Catalog:
    """Return what can be selected from, by the options of a command of its own."""
    from vision_evals.engine.jobs import Catalog
    from vision_evals.suite.options import read

    given = {"model": tuple(models), "cards": options.cards}
    return Catalog.read(read({key: value for key, value in given.items() if value}, Path.cwd()))
