"""Which checks notice which mutant: behaviour by metrics alone, structure by validity alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from vision_evals import log
from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.core.errors import UserError
from vision_evals.engine.evaluate import Evaluation
from vision_evals.log import Notice, Verdict
from vision_evals.models.classifier import Classifier
from vision_evals.validity.check import ValidityCheck
from vision_evals.verdict.job import Job

NOT_PASSED = {Verdict.FAILED, Verdict.INCONCLUSIVE}
"""Verdicts that a gate does not let pass."""

Evaluations = Mapping[str, Evaluation]
"""By id of the item."""


@dataclass(frozen=True, slots=True)
class SuiteRound:
    """The jobs of one suite."""

    suite: str
    jobs: tuple[Job, ...]
    limit: int | None = None
    """How many images of each set it is judged on; None for all."""


Before = Callable[[SuiteRound], Evaluations]
"""Returns the outcomes of the unbroken classifier."""

Judge = Callable[[SuiteRound, Classifier, bool], Evaluations]
"""Judges a round with a classifier; the last argument says whether validity checks run."""


@dataclass
class OpenChecks:
    """Validity checks without an answer yet; only they are worth a pass without metrics."""

    checks: Sequence[ValidityCheck]
    _measures: set[str] = field(default_factory=set)
    _passed: set[str] = field(default_factory=set)

    def add(self, one_round: SuiteRound, outcomes: Evaluations) -> None:
        """Add the answers of a round."""
        self._measures |= {job.measure.name for job in one_round.jobs}
        for outcome in outcomes.values():
            self._passed |= {v.name for v in outcome.item.validity if v.outcome == "passed"}

    def of(self, one_round: SuiteRound) -> SuiteRound:
        """Return the first job of each measure that a check without an answer guards."""
        first = {job.measure.name: job for job in reversed(one_round.jobs)}
        jobs = (job for job in one_round.jobs if job is first[job.measure.name])
        return replace(one_round, jobs=tuple(job for job in jobs if self._is_open(job)))

    def _is_open(self, job: Job) -> bool:
        measure = job.measure
        return any(
            check.name not in self._passed
            if check.scope != "measure"
            else measure.name not in self._measures
            for check in self.checks
            if check.guards(measure)
        )


def sound(outcomes: Evaluations) -> None:
    """Refuse a classifier that does not pass its suites unbroken.

    Raises:
        UserError: it does not pass, or no check applies to it, so that its mutants show nothing.
    """
    judged = {Verdict.PASSED, Verdict.RECORDED, Verdict.INVALID, *NOT_PASSED}
    items = [outcome.item for outcome in outcomes.values()]
    if not any(item.verdict in judged for item in items):
        raise UserError(
            "no check of these suites applies, so none can notice anything:", *_lines(items)
        )
    bad = [item for item in items if item.verdict in {*NOT_PASSED, Verdict.INVALID}]
    if bad:
        raise UserError(
            "the network does not pass as it is, so its mutants would show nothing:",
            *_lines(bad),
            "name suites that it passes",
        )


def _lines(items: Sequence[log.Item]) -> list[str]:
    return [f"  {item.id}: {item.sentence}" for item in items]


def attempt(
    mutant: Mutant,
    classifier: Classifier,
    rounds: Sequence[SuiteRound],
    unbroken: Before,
    judge: Judge,
    checks: Sequence[ValidityCheck] = (),
) -> log.Mutant:
    """Return what noticed a mutant.

    The rounds end when both behaviour and structure did, or one of them where that is enough.

    Args:
        mutant: the mistake.
        classifier: unbroken.
        rounds: in the order in which they are tried.
        unbroken: called with a round that was judged.
        judge: judges the broken one.
        checks: validity checks that run.
    """
    entry = log.Mutant(name=mutant.name, about=mutant.about, classifier=classifier.alias)
    if (reason := mutant.applies(classifier)) is not None:
        return entry.model_copy(update={"inapplicable": reason})
    started = time.perf_counter()
    try:
        broken = mutant.make(classifier)
    except Exception as error:  # noqa: BLE001 - a network may be of any kind, and refuse a copy
        reason = f"it cannot be made: {type(error).__name__}: {error}"
        return entry.model_copy(update={"inapplicable": reason})
    enough = 1 if mutant.one_is_enough else 2
    noticed = _noticed(broken, rounds, unbroken, judge, OpenChecks(checks), enough)
    seconds = time.perf_counter() - started
    return entry.model_copy(update={**noticed._asdict(), "seconds": seconds})


class _Noticed(NamedTuple):
    behaviour: Notice | None
    structure: Notice | None
    suites: tuple[str, ...]
    """Those that were tried."""


def _noticed(
    broken: Classifier,
    rounds: Sequence[SuiteRound],
    unbroken: Before,
    judge: Judge,
    open_checks: OpenChecks,
    enough: int,
) -> _Noticed:
    """Return what noticed a broken classifier; the rounds end with enough notices."""
    behaviour: Notice | None = None
    structure: Notice | None = None
    suites: list[str] = []
    for suite_round in rounds:
        current = suite_round if behaviour is None else open_checks.of(suite_round)
        if not current.jobs:
            continue
        suites.append(suite_round.suite)
        try:
            after = judge(current, broken, structure is None)
        except UserError as error:  # a run refuses it, and ends
            structure = structure or _refusal(current.jobs[0], error)
            break
        open_checks.add(current, after)
        before = unbroken(suite_round)
        behaviour = behaviour or next(_behaviour(before, after), None)
        structure = structure or next(_structure(before, after), None)
        if (behaviour is not None) + (structure is not None) >= enough:
            break
    return _Noticed(behaviour, structure, tuple(suites))


def _behaviour(before: Evaluations, after: Evaluations) -> Iterator[Notice]:
    """Yield every expectation that failed in an item that passed before."""
    for name, outcome in after.items():
        if before[name].behaviour.verdict is not Verdict.PASSED:
            continue
        verdict = outcome.behaviour.verdict
        for judgement in outcome.behaviour.judgements if verdict in NOT_PASSED else ():
            if judgement.verdict is verdict and not judgement.excused:
                yield _notice(outcome, judgement.metric, judgement.sentence)


def _structure(before: Evaluations, after: Evaluations) -> Iterator[Notice]:
    """Yield every validity check that failed and had not failed before."""
    for name, outcome in after.items():
        failed = {check.name for check in before[name].item.validity if check.invalidates}
        for check in outcome.item.validity:
            if check.invalidates and check.name not in failed:
                title = f"{check.id} {check.name}".strip()
                yield _notice(outcome, title, check.evidence)


def _refusal(job: Job, error: UserError) -> Notice:
    return Notice(
        item=job.id, check=job.check.name, classifier=job.alias, name="refused", sentence=str(error)
    )


def _notice(outcome: Evaluation, name: str, sentence: str) -> Notice:
    item = outcome.item
    return Notice(
        item=item.id, check=item.check, classifier=item.classifier, name=name, sentence=sentence
    )


def verdict(mutants: Sequence[log.Mutant], untried: int = 0) -> str:
    """Return the line that sums up what these suites notice.

    Args:
        mutants: those that were tried, or do not apply.
        untried: how many were left after an interrupt.
    """
    applied = [mutant for mutant in mutants if mutant.inapplicable is None]
    killed = [mutant for mutant in applied if mutant.killed]
    line = f"killed {len(killed)} of {len(applied)} applicable"
    survivors = [f"{m.name} ({m.excuse or 'no check noticed'})" for m in applied if not m.killed]
    line += f"; interrupted, {untried} not tried" if untried else ""
    if survivors:
        return f"{line}; survivors: {', '.join(survivors)}"
    return line if untried else f"{line}; no survivors"
