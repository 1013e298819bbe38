"""A part of a run (`--evals-shard K/N`): its entries have rows and no verdict."""

from __future__ import annotations

from collections.abc import Iterator

from vision_evals import log
from vision_evals.core.errors import NotApplicableError
from vision_evals.core.worker import Partition
from vision_evals.log import Verdict
from vision_evals.verdict import verdict
from vision_evals.verdict.check_input import CheckInput, seed_of
from vision_evals.verdict.job import Job
from vision_evals.verdict.judge import gather_validity, unjudged

JUDGED_BY_MERGE = "judged by `evals merge`"


def elsewhere(job: Job, partition: Partition | None) -> None:
    """Leave measures without images to the first part: they cannot be partitioned.

    Raises:
        NotApplicableError: this is another part.
    """
    if partition is not None and partition.k > 1 and job.source is None:
        raise NotApplicableError(
            f"{partition.words}: {job.check.spec.name} looks at no images, and is left to part 1"
        )


def partial_item(
    check_input: CheckInput, role: str | None, against: str | None, partition: Partition
) -> log.Item:
    """Return the entry of a job in a part of a run: its rows, without metrics.

    Args:
        check_input: the job and its rows.
        role: name of the image set; None for a measure that looks at none.
        against: name of the second image set.
        partition: which part.
    """
    job = check_input.job
    validity = gather_validity([*check_input.measured, *check_input.against.get(job.alias, ())])
    invalid = any(check.invalidates for check in validity)
    outcome = Verdict.INVALID if invalid else Verdict.RECORDED
    message = f"{partition.words}, {JUDGED_BY_MERGE}"
    sentence = verdict.summary(outcome, (), validity) if invalid else message
    item = unjudged(job, outcome, sentence, role, validity, against)
    return item.model_copy(update={"rows": tuple(_rows(check_input, role, against))})


def _rows(check_input: CheckInput, role: str | None, against: str | None) -> Iterator[log.Rows]:
    """Yield an entry for each table that a metric of the job could read."""
    job = check_input.job
    named = {job.alias, *job.check.references(job.alias)}
    compared = set(check_input.others) if check_input.measure.compares else set()
    seed_results = {**check_input.others, job.alias: check_input.measured}
    for images, needed, seed_results_by_alias, second in (
        (role, named | compared, seed_results, False),
        (against, named, check_input.against, True),
    ):
        for alias in sorted(needed & set(seed_results_by_alias)):
            for member in seed_results_by_alias[alias]:
                yield log.Rows(
                    classifier=alias,
                    seed=seed_of(member),
                    against=second,
                    images=images,
                    n=member.images,
                    table=member.table,
                    validity=member.validity,
                )
