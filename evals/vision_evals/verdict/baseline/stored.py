"""A stored run that another run is compared with; it is read only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.paths import user_path
from vision_evals.log import tables

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run directory with its log."""

    run: log.Run
    directory: Path
    source: str
    """As the user wrote it."""
    alias: str | None = None
    """Its classifier to compare every classifier with; None: the one of equal alias, else the only
    one."""

    @property
    def record(self) -> log.Baseline:
        """Its record in the log of another run."""
        return log.Baseline(
            id=self.run.id,
            source=self.source,
            started=self.run.started,
            commit=self.run.environment.commit,
            alias=self.alias,
        )


def load(text: str, base: Path) -> StoredRun:
    """Read ``RUN[:ALIAS]``.

    Args:
        text: a run directory or its ``run.json``, and perhaps one of its classifiers.
        base: what a relative RUN is relative to.

    Raises:
        UserError: no such run, a damaged or newer one, or one without that classifier.
    """
    path, alias = user_path(text, base), None
    if not path.exists() and ":" in text:
        place, _, alias = text.rpartition(":")
        path = user_path(place, base)
    try:
        path = path.resolve()  # `runs/latest` may change before its rows are read
    except (OSError, ValueError) as error:
        raise UserError(f"{text}: cannot be read: {error}") from None
    run = log.read(path)
    aliases = dict.fromkeys(item.classifier for item in run.items)
    if alias is not None and alias not in aliases:
        raise UserError(f'{text}: that run judged no "{alias}"{did_you_mean(alias, aliases)}')
    return StoredRun(run, path if path.is_dir() else path.parent, text, alias)


def find_entry(stored: StoredRun, suite: str, check: str, alias: str) -> log.Item:
    """Return the entry of the same check on the classifier to compare with.

    The path of the suite may differ, because a run may start in another folder. Where several
    suites have a check of this name, the one of the same path is taken, else the one of the same
    file name.

    Args:
        stored: the run to search.
        suite: path of the check's suite.
        check: its name.
        alias: of the classifier here.

    Raises:
        UserError: there is none, or there are several.
    """
    aliases = dict.fromkeys(item.classifier for item in stored.run.items)
    networks = [c.alias for c in stored.run.classifiers if c.alias in aliases and not c.unavailable]
    only = networks[0] if len(networks) == 1 and alias not in aliases else alias
    wanted = stored.alias or only
    items = [item for item in stored.run.items if item.classifier == wanted]
    if not items:
        raise UserError(
            f'{stored.source}: that run judged no "{wanted}"{did_you_mean(wanted, aliases)}; say '
            f"which of its classifiers to compare with, {stored.source}:ALIAS, or name a run that "
            f'judged "{wanted}"'
        )
    named = [item for item in items if item.check == check]
    if not named:
        checks = dict.fromkeys(item.check for item in items)
        raise UserError(
            f'{stored.source}: that run has no check "{check}" on {wanted}'
            f"{did_you_mean(check, checks)}; name one that was made with this suite"
        )
    for near in (lambda path: path == suite, lambda path: Path(path).name == Path(suite).name):
        same = [item for item in named if near(item.suite)]
        if len(same) == 1:
            return same[0]
    if len(named) > 1:
        suites = ", ".join(item.suite for item in named)
        raise UserError(f'{stored.source}: several suites have a check "{check}": {suites}')
    return named[0]


def read_rows(stored: StoredRun, item: log.Item) -> pd.DataFrame:
    """Return the rows of an entry.

    Raises:
        UserError: it has none, they cannot be read, or are not those that were measured.
    """
    where = f"{stored.source}: {item.id}"
    rows: pd.DataFrame = tables.read_rows(stored.run, stored.directory, item, where).to_pandas()
    return rows
