"""Runs the validity checks that a measure depends on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vision_evals.core.errors import InvalidError, NotApplicableError, contained, words
from vision_evals.log import Depth, Validity
from vision_evals.validity.check import CheckResult, Evidence, ValidityCheck, attacking, undecided

MASKING_IDS = {"S4", "S6", "S7", "S8"}
"""Where one of these fails, an attack without success proves nothing."""


@dataclass
class Examiner:
    """Runs a check once where one result serves several measures."""

    checks: Sequence[ValidityCheck]
    homes: dict[str, str] = field(default_factory=dict)
    """Classifier to the image set of its first pass."""
    results: dict[tuple[str, ...], CheckResult] = field(default_factory=dict)
    """Those that serve several measures, by check, classifier and, if they differ, images."""

    def examine(self, evidence: Evidence, depth: Depth) -> tuple[Validity, ...]:
        """Return the results of a measure's checks, the cheap ones or all."""
        results = tuple(self._check_all(evidence, depth))
        return (*results, *_masking_verdict(evidence, results))

    def results_of(self, classifier: str) -> dict[tuple[str, ...], CheckResult]:
        """Return the results on a classifier that serve several measures."""
        return {key: result for key, result in self.results.items() if key[1] == classifier}

    def _check_all(self, evidence: Evidence, depth: Depth) -> Iterator[Validity]:
        for check in self.checks:
            selected = check.cost == "cheap" or depth == "thorough"
            if selected and check.guards(evidence.measure):
                yield _as_validity(check, self._result(check, evidence))

    def _result(self, check: ValidityCheck, evidence: Evidence) -> CheckResult:
        if check.scope == "measure":
            return _run_check(check, evidence)
        key: tuple[str, ...] = (check.name, evidence.classifier.name)
        if check.scope == "images":
            key = (*key, evidence.image_set.source)
        known = self.results.get(key)
        if known is None or known.outcome == "undecided":  # other images may decide it
            self.results[key] = _run_check(check, evidence)
        return self.results[key]


def _run_check(check: ValidityCheck, evidence: Evidence) -> CheckResult:
    try:
        with contained():
            return check.run(evidence)
    except (NotApplicableError, InvalidError) as error:
        return undecided(str(error))
    except Exception as error:  # noqa: BLE001 - a network may raise anything; the message shows it
        return undecided(f"stopped with an error: {words(error)}")


def _as_validity(check: ValidityCheck, finding: CheckResult) -> Validity:
    return Validity(
        id=check.id,
        name=check.name,
        outcome=finding.outcome,
        severity=check.severity,
        cost=check.cost,
        evidence=finding.evidence,
        meaning=check.meaning,
        source=check.source,
    )


def _masking_verdict(evidence: Evidence, results: Sequence[Validity]) -> tuple[Validity, ...]:
    """Return S28: a masked gradient may be the reason why an attack fails."""
    if not attacking(evidence.measure):
        return ()
    masking = [v for v in results if v.id in MASKING_IDS]
    failed, unsure = (
        "; ".join(f"{v.id} {v.name} {outcome}" for v in masking if v.outcome == outcome)
        for outcome in ("failed", "undecided")
    )
    ids = ", ".join(dict.fromkeys(v.id for v in masking))
    return (
        Validity(
            id="S28",
            name="no sign of a masked gradient",
            outcome="failed" if failed else "undecided" if unsure or not masking else "passed",
            evidence=f"{failed}: an upper bound on robustness, unreliable"
            if failed
            else unsure or f"none of {ids} failed",
            meaning="An attack that follows a masked gradient fails although the network is not "
            "robust.",
            source="Carlini et al. 2019; Tramer et al. 2020",
        ),
    )
