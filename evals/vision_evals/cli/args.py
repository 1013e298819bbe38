"""The options that commands share with pytest, read from a command line."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError
from vision_evals.suite.declared_options import declared

if TYPE_CHECKING:
    from vision_evals.engine.jobs import Catalog
    from vision_evals.suite.options import Options
    from vision_evals.verdict.job import Job


def add_options(command: argparse.ArgumentParser, name: str) -> None:
    """Add the options that are declared for a command, spelled as in pytest."""
    for option in declared():
        if name in option.commands:
            shared = {"dest": _dest(option.key), **option.arguments()}
            command.add_argument(option.flag, **shared)
            short = option.flag.replace("--evals-", "--")  # of before: taken, no longer shown
            command.add_argument(short, **{**shared, "help": argparse.SUPPRESS})


def options_from_args(options: argparse.Namespace) -> Options:
    """Return the options that were given, joined with ``[tool.evals]``."""
    from vision_evals.suite.options import read

    values = {option.key: getattr(options, _dest(option.key), None) for option in declared()}
    given = {key: value for key, value in values.items() if value is not None}
    return read(given, Path.cwd(), getattr(options, "suite", ()))


def catalog_from_args(options: argparse.Namespace) -> Catalog:
    """Return the catalog of classifiers, images and jobs for the options that were given."""
    from vision_evals.engine.jobs import Catalog

    return Catalog.read(options_from_args(options))


def catalog_with_networks(options: argparse.Namespace) -> Catalog:
    """Return the same catalog, with the default networks where none is named."""
    from vision_evals.engine.jobs import DEFAULTS, Catalog

    checked = options_from_args(options)
    models = checked.models or tuple((name, checked.root) for name in DEFAULTS)
    return Catalog.read(replace(checked, models=models))


def jobs_of(catalog: Catalog, file: Path, name: str) -> tuple[Job, ...]:
    """Return the jobs of a suite, which has this name in ids.

    Raises:
        UserError: there is no such file, or it cannot be used.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such suite; name a TOML file with evals = 1")
    return tuple(catalog.jobs(catalog.suite(file, name), file.absolute().parent))


def _dest(key: str) -> str:
    return f"evals_{key}"
