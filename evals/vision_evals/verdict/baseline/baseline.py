"""The run that checkpoints are held against: what every check of a run asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.suite.options import Options
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.paths import NumericPath, fast_path_names, paths
from vision_evals.verdict.baseline.provenance import Side
from vision_evals.verdict.baseline.reference import (
    BaselineEntry,
    baseline_entry,
    require_comparable,
)
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.baseline.thumbnails import thumbnails
from vision_evals.verdict.check_input import CheckInput
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import unjudged


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """What this run is, beside the numbers of its checks."""

    settings: log.Settings
    classifiers: Mapping[str, log.Classifier]
    """By alias, as far as they are loaded."""
    passes: Sequence[log.PassRecord] | None = None
    """As far as they went: they say by which path numbers came. None: nobody says, so that
    precisions must be equal."""

    def side(self, job: Job, images: Sequence[log.ImageSet]) -> Side:
        """Return what an entry will be about.

        Args:
            job: what was selected.
            images: those of the check, and those that it compares with where it does.
        """
        entry = unjudged(job, Verdict.RECORDED, "", images[0].role if images else None)
        card = self.classifiers.get(job.alias)
        return Side(entry, card, self.settings, tuple(images), self._paths(job.alias, images))

    def _paths(self, alias: str, images: Sequence[log.ImageSet]) -> tuple[NumericPath, ...]:
        if self.passes is None:
            return ()
        called = fast_path_names(alias, self.classifiers.get(alias))
        return paths(self.passes, self.settings, [one.role for one in images], called)


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """A run to hold others against."""

    stored: StoredRun
    same_is_skipped: bool
    """Whether a network that is held against itself is no mistake."""

    def require_comparable(self, job: Job, now: CurrentRun, images: Sequence[log.ImageSet]) -> None:
        """Find what can be known of a gate before anything is measured.

        Raises:
            UserError: there is no such check, or it differs in more than the network.
        """
        if job.check.on_baseline(job.alias):
            require_comparable(self.stored, now.side(job, images))

    def entry(
        self, check_input: CheckInput, now: CurrentRun, images: Sequence[log.ImageSet]
    ) -> BaselineEntry | None:
        """Return the same check of that run; None where it has none."""
        side, rows = now.side(check_input.job, images), check_input.measured[0].rows
        return baseline_entry(self.stored, side, rows, same_is_skipped=self.same_is_skipped)

    def with_comparison(self, item: log.Item, check_input: CheckInput, now: CurrentRun) -> log.Item:
        """Add what changed, and which images flipped, to an entry that was judged."""
        found, rows = check_input.baseline, check_input.measured[0].rows
        if found is None or not item.metrics or rows.empty:
            return item
        sides = found.side, Side(item, now.classifiers.get(item.classifier), now.settings, ())
        tables = found.rows, rows
        told = comparison(
            self.stored.run.id, check_input.measure, sides, tables, found.differs, found.gaps
        )
        if len(check_input.measured) > 1:  # of a recipe's seeds no one stands for the others
            told = told.model_copy(update={"flips": None})
        return item.model_copy(update={"comparison": told})


LIBRARIES = ("vision-evals", "torch", "torchvision", "pillow")
"""Those whose other version is said: a difference may be theirs."""


def remarks(baseline: BaselineRun, run: log.Run) -> Iterator[str]:
    """Yield what else differs between the two runs: it refuses no gate, and may explain one."""
    then, now = baseline.stored.run, run
    versions = then.environment.versions, now.environment.versions
    pairs = [(name, *(known.get(name) for known in versions)) for name in LIBRARIES]
    pairs.append(("device", then.settings.device_name, now.settings.device_name))
    for name, before, after in pairs:
        if before != after:
            yield f"the baseline was computed with {name} {before}, this run with {after}"


def read(options: Options) -> BaselineRun | None:
    """Return what ``--evals-baseline`` names, if it names anything.

    Raises:
        UserError: no such run, a damaged or newer one, or one without that classifier.
    """
    if options.baseline is None:
        return None
    try:
        found = stored.load(*options.baseline)
    except UserError as error:
        raise UserError(
            f"--evals-baseline: {error}; `evals accept RUN` stores a run to compare with"
        ) from None
    return BaselineRun(found, options.table.same == "skip")


def with_thumbnails(item: log.Item, paths: Mapping[str, Path], directory: Path) -> log.Item:
    """Give each flip that is shown its thumbnail, written below ``directory/pictures``."""
    told = item.comparison
    if told is None or told.flips is None:
        return item
    drawn = told.model_copy(update={"flips": thumbnails(told.flips, paths, directory)})
    return item.model_copy(update={"comparison": drawn})
