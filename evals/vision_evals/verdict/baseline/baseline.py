"""The run that checkpoints are compared with, and its entry for each check of this run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.log.identity import Likeness
from vision_evals.suite.options import Options
from vision_evals.verdict.baseline import stored
from vision_evals.verdict.baseline.comparison import comparison
from vision_evals.verdict.baseline.numeric_gap import gaps
from vision_evals.verdict.baseline.paths import NumericPath, fast_path_names, paths
from vision_evals.verdict.baseline.provenance import (
    Side,
    differences,
    networks,
    other_images,
    side_of,
)
from vision_evals.verdict.baseline.stored import StoredRun
from vision_evals.verdict.check_input import BaselineEntry, CheckInput
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import unjudged

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """Settings, classifiers and passes of this run."""

    settings: log.Settings
    classifiers: Mapping[str, log.Classifier]
    """By alias, those that are loaded."""
    passes: Sequence[log.PassRecord] | None = None
    """So far: they record by which numeric path numbers were computed. None: unknown, so that
    precisions must be equal."""

    def side(self, job: Job, images: Sequence[log.ImageSet]) -> Side:
        """Return the side that an entry of this run will be.

        Args:
            job: what was selected.
            images: those of the check, and those that it compares with where it does.
        """
        item = unjudged(job, Verdict.RECORDED, "", images[0].role if images else None)
        card = self.classifiers.get(job.alias)
        return Side(item, card, self.settings, tuple(images), self._paths(job.alias, images))

    def _paths(self, alias: str, images: Sequence[log.ImageSet]) -> tuple[NumericPath, ...]:
        if self.passes is None:
            return ()
        aliases = fast_path_names(alias, self.classifiers.get(alias))
        return paths(self.passes, self.settings, [image_set.role for image_set in images], aliases)


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """A run that others are compared with."""

    stored: StoredRun
    same_is_skipped: bool
    """Whether a network may be compared with itself."""

    def require_comparable(
        self, job: Job, now: CurrentRun, images: Sequence[log.ImageSet]
    ) -> str | None:
        """Refuse a gate that cannot be decided, before anything is measured.

        Returns:
            What is to be said of the two networks; None where nothing is.

        Raises:
            UserError: there is no such check, or it differs in more than the network.
        """
        if not job.check.on_baseline(job.alias):
            return None
        side = now.side(job, images)
        found = networks(require_comparable(self.stored, side), side)
        if found is None or not found.remark or found.changed_unseen:
            return None
        return f"{job.alias} and the baseline's network: {found.remark}; judged image by image"

    def entry(
        self, check_input: CheckInput, now: CurrentRun, images: Sequence[log.ImageSet]
    ) -> BaselineEntry | None:
        """Return the same check of that run; None without one."""
        side, rows = now.side(check_input.job, images), check_input.measured[0].rows
        return baseline_entry(self.stored, side, rows, same_is_skipped=self.same_is_skipped)

    def with_comparison(self, item: log.Item, check_input: CheckInput, now: CurrentRun) -> log.Item:
        """Add what changed, and which images flipped, to an entry that was judged."""
        entry, rows = check_input.baseline, check_input.measured[0].rows
        if entry is None or not item.metrics or rows.empty:
            return item
        side = Side(item, now.classifiers.get(item.classifier), now.settings, ())
        compared = comparison(
            self.stored.run.id,
            check_input.measure,
            (entry.side, side),
            (entry.rows, rows),
            entry.differs,
            entry.gaps,
        )
        if len(check_input.measured) > 1:  # one seed of a recipe does not represent the others
            compared = compared.model_copy(update={"flips": None})
        return item.model_copy(update={"comparison": compared})


SAME_NETWORK = (
    "the baseline is the very same network (equal fingerprints and answers), so nothing is "
    "compared; name the new checkpoint, or --evals-same=skip where a change touches none"
)

CHANGED_UNSEEN = (
    "something the fingerprint does not see changed since the baseline, such as a file that the "
    "network reads or a patched library; make it a buffer or an attribute of the network, or "
    "accept a new baseline"
)


def baseline_entry(
    baseline: StoredRun, now: Side, rows: pd.DataFrame, *, same_is_skipped: bool = False
) -> BaselineEntry | None:
    """Return the same check of the baseline; None without one.

    Args:
        baseline: the run that checkpoints are compared with.
        now: the entry to judge, after the pass over its images.
        rows: of this run.
        same_is_skipped: whether the network may be the same on both sides.
    """
    try:
        item = stored.find_entry(baseline, now.item.suite, now.item.check, now.item.classifier)
        table = stored.read_rows(baseline, item)
    except UserError:
        return None  # `require_comparable` has reported it
    then = side_of(baseline.run, item)
    differs = differences(then, now)
    entry = BaselineEntry(then, table, differs, gaps(then.paths, now.paths))
    if item.verdict is Verdict.INVALID and not item.metrics:
        return replace(entry, refused=f"the baseline's own numbers are invalid: {item.sentence}")
    reasons = [*differs, *filter(None, [other_images(table, rows)])]
    if reasons:
        return replace(entry, refused=f"not comparable with the baseline, {'; '.join(reasons)}")
    refused = _refused_as_same(networks(then, now), same_is_skipped=same_is_skipped)
    return entry if refused is None else replace(entry, refused=refused[0], verdict=refused[1])


def _refused_as_same(
    found: Likeness | None, *, same_is_skipped: bool
) -> tuple[str, Verdict] | None:
    """Return why two networks are not compared, and the verdict of a gate; None where they are.

    Where nobody knows the answers, the same fingerprint is refused, and never skipped.
    """
    if found is None or not found.fingerprint:
        return None
    if found.changed_unseen:
        return f"{CHANGED_UNSEEN}: {found.remark}", Verdict.INVALID
    if same_is_skipped:
        return (SAME_NETWORK, Verdict.NOT_APPLICABLE) if found.answers else None
    return None if found.answers is False else (SAME_NETWORK, Verdict.INVALID)


def require_comparable(baseline: StoredRun, now: Side) -> Side:
    """Return the side of the baseline, unless the check cannot be compared with it.

    Args:
        baseline: the run that checkpoints are compared with.
        now: the entry as it will be, without fingerprints of images.

    Raises:
        UserError: the baseline has no such check, cannot be read, or differs in more than weights.
    """
    item = stored.find_entry(baseline, now.item.suite, now.item.check, now.item.classifier)
    stored.read_rows(baseline, item)
    then = side_of(baseline.run, item)
    if differs := differences(then, now):
        raise UserError(
            f"{baseline.source}: not comparable with this check, {'; '.join(differs)}; run it as "
            "the baseline was, or accept a new baseline"
        )
    return then


LIBRARIES = ("vision-evals", "torch", "torchvision", "pillow")
"""Libraries whose versions are compared: they may cause a difference."""


def remarks(baseline: BaselineRun, run: log.Run) -> Iterator[str]:
    """Yield what else differs between two runs: it refuses no gate, but may explain its verdict."""
    then, now = baseline.stored.run, run
    versions = then.environment.versions, now.environment.versions
    pairs = [(name, *(installed.get(name) for installed in versions)) for name in LIBRARIES]
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
        baseline = stored.load(*options.baseline)
    except UserError as error:
        raise UserError(
            f"--evals-baseline: {error}; `evals accept RUN` stores a run to compare with"
        ) from None
    return BaselineRun(baseline, options.table.same == "skip")
