"""A run as Python sees it: verdict, exit code, and its numbers as pandas frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.log import frames
from vision_evals.log.disk import read as read_log
from vision_evals.log.item import Item
from vision_evals.log.outcome import exit_code
from vision_evals.log.run import Run as Log
from vision_evals.log.verdicts import Verdict
from vision_evals.report import notebook

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class Run:
    """The result of a run. Frames are read anew each time, so they may be changed."""

    log: Log
    """The whole log, as in ``run.json``."""
    path: Path
    """The run directory."""
    report: Path | None
    """The HTML report; None where there is none."""
    exit_code: int
    """As pytest has it: 0 passed, 1 a check failed, 2 interrupted, 5 nothing was judged."""
    warnings: tuple[str, ...] = ()
    """Warnings of the run, and files that could not be written."""

    @property
    def passed(self) -> bool:
        """Whether something was judged and no check failed: the exit code is 0."""
        return self.exit_code == 0

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of all checks; None where there are none."""
        return min((i.verdict for i in self.items), key=list(Verdict).index, default=None)

    @property
    def items(self) -> tuple[Item, ...]:
        """Each check on each classifier, with metrics, judgements and validity checks."""
        return self.log.items

    @property
    def metrics(self) -> pd.DataFrame:
        """One row for each metric and threshold: suite, check, model, metric, value, low, ..."""
        return frames.metrics(self.log)

    @property
    def images(self) -> pd.DataFrame:
        """One row for each image of each image set: label, class name, why it was unreadable.

        Raises:
            UserError: a table cannot be read.
        """
        return frames.images(self.log, self.path)

    def rows(
        self, check: str, model: str | None = None, *, suite: str | None = None
    ) -> pd.DataFrame:
        """Return the values of a check on each image, class names next to class indices.

        Args:
            check: its name.
            model: alias of a classifier; None: all, one below the other.
            suite: path or file name of the suite, where several have a check of this name.

        Raises:
            UserError: there is no such check or classifier, it has no rows, or they cannot be read.
        """
        import pandas as pd

        items = self.select(check, model, suite=suite)
        tables = [frames.rows(self.log, self.path, item) for item in items if item.table]
        if not tables:
            raise UserError(f"{items[0].id} has no rows: {items[0].sentence}")
        return pd.concat(tables, ignore_index=True)

    def select(
        self, check: str, model: str | None = None, *, suite: str | None = None
    ) -> tuple[Item, ...]:
        """Return the items of a check; arguments and errors are those of `rows`."""
        items = _matching(self.items, "check", check, self.path)
        suites = list(dict.fromkeys(item.suite for item in items))
        if suite is not None:
            matches = [path for path in suites if suite in {path, Path(path).name}]
            if not matches:
                raise UserError(
                    f'{self.path}: no suite "{suite}" has a check "{check}"'
                    f"{did_you_mean(suite, suites)}"
                )
            items, suites = [item for item in items if item.suite in matches], matches
        if len(suites) > 1:
            raise UserError(
                f'{self.path}: several suites have a check "{check}": {", ".join(suites)}; '
                "say which suite"
            )
        return tuple(items if model is None else _matching(items, "classifier", model, self.path))

    def __repr__(self) -> str:
        """Return verdicts, the first failures and the report, in a few lines."""
        return notebook.text(self.log, self.path, self.report, self.exit_code)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: verdict, numbers, thumbnails, a link to the report."""
        return notebook.html(self.log, self.path, self.report)


def read(path: str | os.PathLike[str]) -> Run:
    """Read a run directory, its ``run.json``, or a baseline.

    Raises:
        UserError: no such run, a damaged one, or one written by a newer version.
    """
    text = os.fspath(path)
    try:
        place = Path(text).expanduser().resolve()  # `runs/latest` may point elsewhere tomorrow
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{text!r}: not a readable path: {error}") from None
    run = read_log(place)
    directory = place if place.is_dir() else place.parent
    report = directory / "report.html"
    return Run(run, directory, report if report.is_file() else None, exit_code(run), run.warnings)


def _matching(items: Sequence[Item], key: str, name: str, path: Path) -> list[Item]:
    matches = [item for item in items if getattr(item, key) == name]
    if not matches:
        names = {getattr(item, key) for item in items}
        raise UserError(f'{path}: there is no {key} "{name}"{did_you_mean(name, names)}')
    return matches
