"""Commands about networks: list them, classify a picture, fool one, inspect a file of weights."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.cli.args import add_options, catalog_from_args, catalog_with_networks
from vision_evals.core.errors import UserError

if TYPE_CHECKING:
    from vision_evals.models.card import Card

MAX_REASONS = 5
"""Unavailable classifiers for which a listing prints the reason."""

AS_MEASURED = "as in the measure `targeted`"
"""The measure owns these defaults; reading them here would import torch for every command."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    models = commands.add_parser("models", help="list classifiers, and which are available here")
    models.add_argument("name", nargs="*", help="show only names that contain one of these")
    add_options(models, "models")
    models.set_defaults(run=_models)

    predict = commands.add_parser("predict", help="print the five likeliest classes of a picture")
    predict.add_argument("picture", nargs="+", help="picture, or folder of pictures")
    add_options(predict, "predict")
    predict.set_defaults(run=_predict)

    fool = commands.add_parser("fool", help="change a picture into a class of your choice")
    fool.add_argument("picture", type=Path, help="one picture")
    fool.add_argument("--target", required=True, help="class by exact name, synset or index")
    fool.add_argument("--out", type=Path, default=Path(), help="folder for the results")
    fool.add_argument("--budget", default="4/255", help="pixel scale [0, 1] (default: %(default)s)")
    fool.add_argument("--steps", type=int, help=f"at most so many (default: {AS_MEASURED})")
    fool.add_argument("--until", type=float, help=f"stop confidence (default: {AS_MEASURED})")
    add_options(fool, "fool")
    fool.set_defaults(run=_fool)

    check_file = commands.add_parser(
        "check-file", help="inspect a file of weights without running code from it"
    )
    check_file.add_argument("path", nargs="+", type=Path, help="file of weights")
    add_options(check_file, "check-file")
    check_file.add_argument("--json", action="store_true", help="one JSON list, for programs")
    check_file.set_defaults(run=_check_file)


def _models(options: argparse.Namespace) -> None:
    from rich.console import Console

    from vision_evals.cli.terminal import plain_table
    from vision_evals.models.listing import list_models

    parts = options.name or [""]
    rows = [
        row
        for row in list_models(catalog_from_args(options).registry)
        if any(part in row.name for part in parts)
    ]
    if not rows:
        raise UserError(f"no classifier's name contains {' or '.join(parts)}; try evals models")
    table = plain_table(("name", "here", "top-1", "top-5", "input"))
    for row in rows:
        percent = ["" if value is None else f"{value:.1%}" for value in (row.top1, row.top5)]
        table.add_row(row.name, "no" if row.unavailable else "yes", *percent, row.input)
    console = Console()
    console.print(table)
    missing = [row for row in rows if row.unavailable]
    for row in missing[:MAX_REASONS]:
        console.print(f"{row.name}: {row.unavailable}", style="dim", highlight=False, markup=False)
    if len(missing) > MAX_REASONS:
        console.print(
            f"{len(missing)} are not here; `evals models NAME` says why", style="dim", markup=False
        )


def _predict(options: argparse.Namespace) -> None:
    from vision_evals.cli.predict import predict

    predict(catalog_with_networks(options), options.picture)


def _fool(options: argparse.Namespace) -> None:
    from vision_evals.cli.fool import fool
    from vision_evals.core.tables import validate
    from vision_evals.measures.targeted import Parameters

    values = {"budgets": (options.budget,)}
    values |= {key: getattr(options, key) for key in ("target", "steps", "until")}
    typed = {key: value for key, value in values.items() if value is not None}
    parameters = validate(Parameters, typed, "evals fool")
    fool(catalog_with_networks(options), options.picture, parameters, options.out)


def _check_file(options: argparse.Namespace) -> int:
    from vision_evals.models.inspection.inspect_file import inspect_file
    from vision_evals.models.inspection.terminal import text
    from vision_evals.models.registry import Registry

    cards: Mapping[str, tuple[Card, Path]] = {}
    if options.evals_cards is not None:  # those of pyproject.toml would run code
        named = Path(options.evals_cards).expanduser()
        cards = Registry.read({}, named, named.parent).cards
    files = [inspect_file(path, cards) for path in options.path]
    print(text(files, as_json=options.json))
    return 0 if all(file.judged for file in files) else 1
