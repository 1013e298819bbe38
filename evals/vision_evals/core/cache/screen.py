"""``evals cache``: what is kept, for the terminal."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vision_evals.core.cache.shelves import Line, kept, lines
from vision_evals.core.errors import printable


def show(folder: Path, console: Console) -> None:
    """Print a line for each kind, classifier and measure, and the sum."""
    found = list(kept(folder))
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("kind", "classifier", "measure"):
        shown.add_column(name, overflow="fold")
    for name in ("entries", "size", "unused for"):
        shown.add_column(name, justify="right", no_wrap=True)
    for line in lines(found):
        shown.add_row(*(Text(printable(cell)) for cell in _cells(line)))
    if found:
        console.print(shown)
    total = sum(one.size for one in found)
    console.print(f"{folder}: {len(found):,} entries, {size(total)}", highlight=False, markup=False)


def size(number: float) -> str:
    """Return ``12 kB``, ``3.4 MB``."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def _cells(line: Line) -> tuple[str, ...]:
    days = max(time.time() - line.oldest, 0) / 86400
    unused = f"{days:.0f} d" if days >= 1 else f"{days * 24:.0f} h"
    return (
        line.kind,
        line.classifier,
        line.measure,
        f"{line.entries:,}",
        size(line.size),
        unused,
    )
