"""Which validity checks a measure depends on, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vision_evals.core.errors import InvalidError, NotApplicableError
from vision_evals.log import Depth, Validity
from vision_evals.validity.check import CheckResult, Evidence, ValidityCheck, attacking, undecided

MASKING_IDS = {"S4", "S6", "S7", "S8"}
"""Where one of these falls, an attack that fails has shown nothing."""


@dataclass
class Examiner:
    """Asks each check once where one answer serves several measures."""

    checks: Sequence[ValidityCheck]
    homes: dict[str, str] = field(default_factory=dict)
    """Classifier to the images it was first asked about."""
    _results: dict[tuple[str, ...], CheckResult] = field(default_factory=dict)

    def examine(self, evidence: Evidence, depth: Depth) -> tuple[Validity, ...]:
        """Return what the checks of a measure say, the cheap ones or all."""
        found = tuple(self._check_all(evidence, depth))
        return (*found, *_masking_verdict(evidence, found))

    def _check_all(self, evidence: Evidence, depth: Depth) -> Iterator[Validity]:
        for check in self.checks:
            wanted = check.cost == "cheap" or depth == "thorough"
            if wanted and check.guards(evidence.measure):
                yield _as_validity(check, self._result(check, evidence))

    def _result(self, check: ValidityCheck, evidence: Evidence) -> CheckResult:
        if check.scope == "measure":
            return _run_check(check, evidence)
        key: tuple[str, ...] = (check.name, evidence.classifier.name)
        if check.scope == "images":
            key = (*key, evidence.image_set.source)
        known = self._results.get(key)
        if known is None or known.outcome == "undecided":  # other images may say more
            self._results[key] = _run_check(check, evidence)
        return self._results[key]


def _run_check(check: ValidityCheck, evidence: Evidence) -> CheckResult:
    try:
        return check.run(evidence)
    except (NotApplicableError, InvalidError) as error:
        return undecided(str(error))
    except Exception as error:  # noqa: BLE001 - a network may be of any kind; it is shown
        return undecided(f"could not be asked: {type(error).__name__}: {error}")


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


def _masking_verdict(evidence: Evidence, found: Sequence[Validity]) -> tuple[Validity, ...]:
    """Return S28: no attack is believed that a masked gradient may have stopped."""
    if not attacking(evidence.measure):
        return ()
    asked = [v for v in found if v.id in MASKING_IDS]
    fallen, unsure = (
        "; ".join(f"{v.id} {v.name} {outcome}" for v in asked if v.outcome == outcome)
        for outcome in ("failed", "undecided")
    )
    ids = ", ".join(dict.fromkeys(v.id for v in asked))
    return (
        Validity(
            id="S28",
            name="no sign of a masked gradient",
            outcome="failed" if fallen else "undecided" if unsure or not asked else "passed",
            evidence=f"{fallen}: an upper bound on robustness, unreliable"
            if fallen
            else unsure or f"none of {ids} falls",
            meaning="An attack that follows a masked gradient fails without the network being "
            "robust.",
            source="Carlini et al. 2019; Tramer et al. 2020",
        ),
    )
