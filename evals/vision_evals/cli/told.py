"""What a command line says, in the terms of pytest's options."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.suite.declared_options import declared

if TYPE_CHECKING:
    from vision_evals.engine.jobs import Catalog
    from vision_evals.suite.options import Options


def add_options(command: argparse.ArgumentParser, name: str) -> None:
    """Let a command take the options that are declared for it, as ``--evals-X`` and ``--X``."""
    for option in declared():
        if name in option.commands:
            short = option.flag.replace("--evals-", "--")
            command.add_argument(short, option.flag, dest=_dest(option.key), **option.arguments())


def told(options: argparse.Namespace) -> Options:
    """Return the options that were given, joined with ``[tool.evals]``."""
    from vision_evals.suite.options import read

    given = {option.key: getattr(options, _dest(option.key), None) for option in declared()}
    return read({key: value for key, value in given.items() if value is not None}, Path.cwd())


def catalog(options: argparse.Namespace) -> Catalog:
    """Return what can be selected from, by the options that were given."""
    from vision_evals.engine.jobs import Catalog

    return Catalog.read(told(options))


def networks(options: argparse.Namespace) -> Catalog:
    """Return what can be selected from, with the default networks where none is named."""
    from vision_evals.engine.jobs import DEFAULTS, Catalog

    asked = told(options)
    models = asked.models or tuple((name, asked.root) for name in DEFAULTS)
    return Catalog.read(replace(asked, models=models))


def _dest(key: str) -> str:
    return f"evals_{key}"
