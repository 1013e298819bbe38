"""``evals cache``: what is kept of earlier runs, shown and pruned."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from vision_evals.cli.args import add_options, options_from_args
from vision_evals.core.cache import contents
from vision_evals.core.errors import UserError


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    cache = commands.add_parser("cache", help="show what is kept of earlier runs, and prune it")
    cache.add_argument("action", nargs="?", choices=["prune"], help="remove what is not needed")
    add_options(cache, "cache")
    cache.add_argument("--older-than", metavar="30d", help="prune what was not used for so long")
    cache.add_argument("--larger-than", metavar="5GB", help="prune down to this size")
    cache.add_argument("--all", action="store_true", help="prune everything")
    cache.set_defaults(run=_cache)


def _cache(options: argparse.Namespace) -> None:
    folder = options_from_args(options).cache
    older, larger = options.older_than, options.larger_than
    if options.action is None:
        if options.all or older or larger:
            raise UserError("write `evals cache prune` to remove something")
        _show(folder)
        return
    if options.all == any((older, larger)):
        raise UserError("say what to prune: --older-than 30d, --larger-than 5GB, or --all")
    removed = contents.prune(
        list(contents.cache_files(folder)),
        older_than=None if older is None else contents.seconds(older),
        larger_than=None if larger is None else contents.size(larger),
    )
    freed = _size(sum(file.size for file in removed))
    print(f"{folder}: {len(removed):,} entries removed, {freed}")


def _show(folder: Path) -> None:
    """Print a line for each kind, classifier and measure, and the sum."""
    from rich.console import Console

    from vision_evals.cli.terminal import add_row, plain_table

    console = Console(width=None if sys.stdout.isatty() else 160)
    files = list(contents.cache_files(folder))
    table = plain_table(("kind", "classifier", "measure"), ("entries", "size", "unused for"))
    for summary in contents.summaries(files):
        days = max(time.time() - summary.oldest, 0) / 86400
        add_row(
            table,
            *(summary.kind, summary.classifier, summary.measure, f"{summary.entries:,}"),
            *(_size(summary.size), f"{days:.0f} d" if days >= 1 else f"{days * 24:.0f} h"),
        )
    if files:
        console.print(table)
    total = _size(sum(file.size for file in files))
    console.print(f"{folder}: {len(files):,} entries, {total}", highlight=False, markup=False)


def _size(number: float) -> str:
    """Return ``12 kB``, ``3.4 MB``."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
