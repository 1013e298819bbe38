"""Tables that commands print."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from vision_evals.core.errors import printable


def plain_table(
    texts: Sequence[str], numbers: Sequence[str] = (), last: str = "", *, fold: bool = True
) -> Table:
    """Return a table without lines.

    Args:
        texts: columns of words.
        numbers: columns after them, aligned on the right and never folded.
        last: a column of words after those.
        fold: whether columns of words are folded where they do not fit, or cut.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in texts:
        table.add_column(name, overflow="fold" if fold else "ellipsis", no_wrap=not fold)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    if last:
        table.add_column(last, overflow="fold")
    return table


def add_row(table: Table, *cells: str) -> None:
    """Add a row of texts as they are, without control characters."""
    table.add_row(*(Text(printable(cell)) for cell in cells))
