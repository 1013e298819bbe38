"""Which checks notice which mutant: behaviour by metrics alone, structure by validity alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vision_evals import log
from vision_evals.cli.selftest.mutant import Mutant
from vision_evals.core.errors import UserError
from vision_evals.engine.evaluate import Evaluation
from vision_evals.log import Notice, Verdict
from vision_evals.models.classifier import Classifier
from vision_evals.validity.check import ValidityCheck
from vision_evals.verdict.job import Job

FELL = {Verdict.FAILED, Verdict.INCONCLUSIVE}
"""What is no pass in a gate."""

Evaluations = Mapping[str, Evaluation]
"""By id of the item."""


@dataclass(frozen=True, slots=True)
class Round:
    """The jobs of one suite."""

    suite: str
    jobs: tuple[Job, ...]


Judge = Callable[[Round, Classifier, bool], Evaluations]
"""Judges a round with a classifier; the last argument tells whether validity checks are asked."""


@dataclass
class Open:
    """Which validity checks have not answered yet; only they are worth a pass without metrics."""

    checks: Sequence[ValidityCheck]
    _measures: set[str] = field(default_factory=set)
    _held: set[str] = field(default_factory=set)

    def told(self, one: Round, outcomes: Evaluations) -> None:
        """Take what a round answered."""
        self._measures |= {job.measure.name for job in one.jobs}
        for outcome in outcomes.values():
            self._held |= {v.name for v in outcome.item.validity if v.outcome == "passed"}

    def of(self, one: Round) -> Round:
        """Return the first job of each measure that a check with no answer yet guards."""
        first = {job.measure.name: job for job in reversed(one.jobs)}
        return replace(
            one, jobs=tuple(j for j in one.jobs if j is first[j.measure.name] and self._new(j))
        )

    def _new(self, job: Job) -> bool:
        measure = job.measure
        return any(
            check.name not in self._held
            if check.scope != "measure"
            else measure.name not in self._measures
            for check in self.checks
            if check.guards(measure)
        )


def sound(outcomes: Evaluations) -> None:
    """Hold the unbroken classifier against its own suites.

    Raises:
        UserError: it does not pass, or is not asked anything, so that nothing it does when broken
            would mean anything.
    """
    judged = {Verdict.PASSED, Verdict.RECORDED, Verdict.INVALID, *FELL}
    if not any(one.item.verdict in judged for one in outcomes.values()):
        said = "".join(f"\n  {one.item.id}: {one.item.sentence}" for one in outcomes.values())
        raise UserError(f"no check of these suites applies, so none can notice anything:{said}")
    bad = [one.item for one in outcomes.values() if one.item.verdict in {*FELL, Verdict.INVALID}]
    if bad:
        said = "".join(f"\n  {item.id}: {item.sentence}" for item in bad)
        raise UserError(
            f"the network does not pass as it is, so its mutants would show nothing:{said}\n"
            "name suites that it passes"
        )


def attempt(
    mutant: Mutant,
    classifier: Classifier,
    rounds: Sequence[Round],
    before: Evaluations,
    judge: Judge,
    checks: Sequence[ValidityCheck] = (),
) -> log.Mutant:
    """Return what noticed a mutant; rounds end as soon as both behaviour and structure did.

    Args:
        mutant: the mistake.
        classifier: unbroken.
        rounds: in the order in which they are tried.
        before: what the unbroken classifier gave.
        judge: judges a broken one.
        checks: that it asks.
    """
    entry = log.Mutant(name=mutant.name, about=mutant.about, classifier=classifier.alias)
    reason = mutant.applies(classifier)
    if reason is not None:
        return entry.model_copy(update={"inapplicable": reason})
    started = time.perf_counter()
    try:
        broken = mutant.make(classifier)
    except Exception as error:  # noqa: BLE001 - a network may be of any kind, and refuse a copy
        reason = f"it cannot be made: {type(error).__name__}: {error}"
        return entry.model_copy(update={"inapplicable": reason})
    behaviour: Notice | None = None
    structure: Notice | None = None
    asked, left_open = list[str](), Open(checks)
    for one in rounds:
        this = one if behaviour is None else left_open.of(one)
        if not this.jobs:
            continue
        after = judge(this, broken, structure is None)
        left_open.told(this, after)
        asked.append(one.suite)
        behaviour = behaviour or next(_behaviour(before, after), None)
        structure = structure or next(_structure(before, after), None)
        if behaviour is not None and structure is not None:
            break
    return entry.model_copy(
        update={
            "behaviour": behaviour,
            "structure": structure,
            "suites": tuple(asked),
            "seconds": time.perf_counter() - started,
        }
    )


def _behaviour(before: Evaluations, after: Evaluations) -> Iterator[Notice]:
    """Yield every expectation that fell in an item that passed."""
    for name, outcome in after.items():
        if before[name].behaviour.verdict is not Verdict.PASSED:
            continue
        if outcome.behaviour.verdict in FELL:
            for judgement in outcome.behaviour.judgements:
                if judgement.verdict is outcome.behaviour.verdict and not judgement.excused:
                    yield _notice(outcome, judgement.metric, judgement.sentence)


def _structure(before: Evaluations, after: Evaluations) -> Iterator[Notice]:
    """Yield every validity check that fell and had not."""
    for name, outcome in after.items():
        fallen = {check.name for check in before[name].item.validity if check.invalidates}
        for check in outcome.item.validity:
            if check.invalidates and check.name not in fallen:
                title = f"{check.id} {check.name}".strip()
                yield _notice(outcome, title, check.evidence)


def _notice(outcome: Evaluation, name: str, sentence: str) -> Notice:
    item = outcome.item
    return Notice(
        item=item.id, check=item.check, classifier=item.classifier, name=name, sentence=sentence
    )


def verdict(mutants: Sequence[log.Mutant], untried: int = 0) -> str:
    """Return the line that says what a green gate of these suites means.

    Args:
        mutants: those that were tried, or do not apply.
        untried: how many were left when somebody interrupted.
    """
    applied = [mutant for mutant in mutants if mutant.inapplicable is None]
    killed = [mutant for mutant in applied if mutant.killed]
    said = f"killed {len(killed)} of {len(applied)} applicable"
    left = [f"{m.name} ({m.excuse or 'no check noticed'})" for m in applied if not m.killed]
    said += f"; interrupted, {untried} not tried" if untried else ""
    if left:
        return f"{said}; survivors: {', '.join(left)}"
    return said if untried else f"{said}; no survivors"
