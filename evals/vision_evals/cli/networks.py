"""Commands about networks: which there are, what they see, what a file of weights is."""

from __future__ import annotations

import argparse
from pathlib import Path

from vision_evals.cli.told import add_options, catalog, networks
from vision_evals.core.errors import UserError

MAX_LISTED = 5
"""Classifiers for which a listing says why they are not here."""

AS_MEASURED = "as in the measure `targeted`"
"""Its parameters own their defaults, and reading them here would load them for every command."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    models = commands.add_parser("models", help="list classifiers, and whether they are here")
    models.add_argument("name", nargs="*", help="show only names that contain one of these")
    add_options(models, "models")
    models.set_defaults(run=_models)

    predict = commands.add_parser("predict", help="what a network sees in a picture: its top-5")
    predict.add_argument("picture", nargs="+", help="picture, or folder of pictures")
    add_options(predict, "predict")
    predict.set_defaults(run=_predict)

    fool = commands.add_parser("fool", help="turn a picture into a class of your choice")
    fool.add_argument("picture", type=Path, help="one picture")
    fool.add_argument("--target", required=True, help="class by exact name, synset or index")
    fool.add_argument("--out", type=Path, default=Path(), help="folder for the pictures")
    fool.add_argument("--budget", default="4/255", help="pixel scale [0, 1] (default: %(default)s)")
    fool.add_argument("--steps", type=int, help=f"at most so many (default: {AS_MEASURED})")
    fool.add_argument("--until", type=float, help=f"confidence wanted (default: {AS_MEASURED})")
    add_options(fool, "fool")
    fool.set_defaults(run=_fool)

    check_file = commands.add_parser(
        "check-file", help="look into a file of weights, without running anything in it"
    )
    check_file.add_argument("path", nargs="+", type=Path, help="file of weights")
    add_options(check_file, "check-file")
    check_file.add_argument("--json", action="store_true", help="one JSON list, for programs")
    check_file.set_defaults(run=_check_file)


def _models(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from vision_evals.models.listing import list_models

    wanted = options.name or [""]
    rows = [
        row
        for row in list_models(catalog(options).registry)
        if any(part in row.name for part in wanted)
    ]
    if not rows:
        raise UserError(f"no classifier's name contains {' or '.join(wanted)}; try evals models")
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "here", "top-1", "top-5", "input"):
        shown.add_column(name, overflow="fold")
    for row in rows:
        percent = ["" if value is None else f"{value:.1%}" for value in (row.top1, row.top5)]
        shown.add_row(row.name, "no" if row.unavailable else "yes", *percent, row.input)
    console = Console()
    console.print(shown)
    missing = [row for row in rows if row.unavailable]
    for row in missing[:MAX_LISTED]:
        console.print(f"{row.name}: {row.unavailable}", style="dim", highlight=False, markup=False)
    if len(missing) > MAX_LISTED:
        console.print(
            f"{len(missing)} are not here; `evals models NAME` says why", style="dim", markup=False
        )


def _predict(options: argparse.Namespace) -> None:
    from vision_evals.cli.predict import predict

    predict(networks(options), options.picture)


def _fool(options: argparse.Namespace) -> None:
    from vision_evals.cli.fool import Wish, fool
    from vision_evals.core.tables import validate
    from vision_evals.measures.targeted import Parameters

    asked = {"target": options.target, "budgets": (options.budget,)}
    given = {"steps": options.steps, "until": options.until}
    asked |= {key: value for key, value in given.items() if value is not None}
    wish = Wish(options.picture, validate(Parameters, asked, "evals fool"), options.out)
    fool(networks(options), wish)


def _check_file(options: argparse.Namespace) -> int:
    from vision_evals.models.inspection.inspect_file import inspect_file
    from vision_evals.models.inspection.terminal import text

    cards = catalog(options).registry.cards
    found = [inspect_file(path, cards) for path in options.path]
    print(text(found, as_json=options.json))
    return 0 if all(one.judged for one in found) else 1
