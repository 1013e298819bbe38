"""Validity checks on the page: beside the numbers that need them, loud only where they warn."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from vision_evals import log, report
from vision_evals.log import Validity
from vision_evals.report.checks import validity_counts


def one(name: str, outcome: str, severity: str = "error") -> Validity:
    return Validity.model_validate(
        {
            "id": "S5", "name": name, "outcome": outcome, "severity": severity,
            "evidence": f"evidence of {name}", "meaning": f"Meaning of {name}.",
            "source": "Carlini et al. 2019",
        }
    )  # fmt: skip


def test_what_warns_is_on_the_first_screen_and_what_is_undecided_is_not(
    runs: ModuleType, tmp_path: Path
) -> None:
    found = (
        one("logits", "passed"),
        one("dice", "passed"),
        one("steps", "failed", "warn"),
        one("sample", "undecided"),
    )
    item = runs.accuracy_item(tmp_path, "a", validity=found)
    assert validity_counts(item) == "2 validity checks passed, 1 warns, 1 undecided"
    page = runs.Page(report.render(runs.make_run(item), tmp_path))
    assert "2 validity checks passed, 1 warns, 1 undecided" in page.text
    for check in found:
        assert f"{check.evidence}." in page.text
        assert f"{check.meaning} Carlini et al. 2019" in page.text, "in the glossary"
    head, _, rest = page.text.partition("2 validity checks")
    assert "evidence of steps" in head
    assert "evidence of sample" not in head
    assert "evidence of sample" in rest


def test_only_a_fall_that_is_an_error_invalidates() -> None:
    outcomes = [
        (outcome, severity, one("x", outcome, severity).invalidates)
        for outcome in ("passed", "failed", "undecided")
        for severity in ("error", "warn")
    ]
    assert [o[:2] for o in outcomes if o[2]] == [("failed", "error")]
    assert log.Validity.model_fields["severity"].default == "error"
