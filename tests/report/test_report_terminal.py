"""The terminal's table: judged expectations, as many as a screen holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from vision_evals.log import Item, Judgement, Metric, Verdict
from vision_evals.report.terminal import height, table

UNLIMITED = 1000


def judged(
    value: float,
    threshold: float,
    verdict: Verdict = Verdict.PASSED,
    name: str = "top1_accuracy",
    **more: Any,
) -> Judgement:
    return Judgement(
        metric=name, side="at_least", threshold=threshold, value=value, verdict=verdict,
        sentence=f"{value}, at least {threshold} wanted", **more,
    )  # fmt: skip


def item(*judgements: Judgement, **fields: object) -> Item:
    metrics = tuple(
        Metric(
            name=j.metric, value=j.value, unit="fraction", n=20, denominator="images",
            low=0.4, high=0.9, confidence=0.95,
        )
        for j in judgements
    )  # fmt: skip
    given: dict[str, object] = {
        "id": "suites/s.toml::c[a]", "suite": "suites/s.toml", "check": "c", "classifier": "a",
        "measure": "accuracy", "verdict": min(
            (j.verdict for j in judgements), key=list(Verdict).index, default=Verdict.RECORDED
        ),
        "sentence": "", "metrics": metrics, "judgements": judgements,
    }  # fmt: skip
    return Item.model_validate(given | fields)


def shown(items: Sequence[Item], width: int = 200, lines: int = UNLIMITED, **more: bool) -> str:
    return table(items, color=False, width=width, lines=lines, **more)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9167, "0.917"), (0.0, "0.000"), (0.00049, "0.00049"), (6.1e-5, "6.1e-05"), (1.0, "1.000")],
)
def test_a_small_number_never_looks_like_none(value: float, text: str) -> None:
    assert f" {text} " in shown([item(judged(value, 0.5))])
    metric = Metric(name="m", value=value, unit="fraction", n=14, denominator="images")
    assert f" {text} " in shown([item(metrics=(metric,))], verbose=True)


def test_a_value_never_looks_like_the_threshold_that_it_missed() -> None:
    assert " 0.99996 " in shown([item(judged(0.99996, 1.0, Verdict.FAILED))])


def test_a_median_over_seeds_says_how_far_they_spread() -> None:
    metric = Metric(
        name="dead_fraction", value=0.88, unit="fraction", n=224, denominator="units",
        spread=(0.88, 0.2316, 0.86, 0.9, 0.913), reason="the median of 5 trainings",
    )  # fmt: skip
    assert " 0.880 (0.232 to 0.913, 5 seeds)" in shown([item(metrics=(metric,))], verbose=True)
    alone = metric.model_copy(update={"spread": (0.88,)})
    assert " 0.880 (one seed, n = 224)" in shown([item(metrics=(alone,))], verbose=True)


def test_recorded_numbers_are_shown_on_request() -> None:
    recorded = Metric(name="nll", value=0.67, unit="nats", n=20, denominator="images")
    one = item(judged(0.85, 0.5))
    one = one.model_copy(update={"metrics": (*one.metrics, recorded)})
    assert "nll" not in shown([one])
    assert "recorded" in shown([one], verbose=True)
    assert shown([item(metrics=(recorded,))]) == ""


def test_columns_and_the_interval_where_there_is_room() -> None:
    header, row = shown([item(judged(0.85, 0.5))]).splitlines()
    assert header.split() == ["network", "check", "metric", "value", "threshold", "verdict"]
    cells = "a", "c", "top1_accuracy", "0.850 (0.400 to 0.900, n = 20)", "at least 0.5", "passed"
    assert [cell.strip() for cell in row.split("  ") if cell] == list(cells)
    assert "0.400" not in shown([item(judged(0.85, 0.5))], width=60)


def test_what_did_not_pass_comes_first_in_capitals_and_whole() -> None:
    items = [
        item(judged(0.9, 0.5), check="fine"),
        item(judged(0.6, 0.5, Verdict.INCONCLUSIVE, of="baseline", minus=0.01), check="unsure"),
        item(judged(0.4, 0.5, Verdict.FAILED), check="low"),
        item(check="untrue", verdict=Verdict.INVALID),
    ]
    rows = shown(items, lines=2).splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["INVALID", "FAILED", "INCONCLUSIVE", "passed"]
    assert "at least that of the baseline - 0.01 = 0.5" in rows[2]


def test_a_number_that_cannot_be_trusted_passes_nothing() -> None:
    text = shown([item(judged(0.9, 0.5), verdict=Verdict.INVALID)])
    assert "INVALID" in text
    assert "passed" not in text


def test_an_excused_failure_is_shown_and_not_in_capitals() -> None:
    warned = judged(0.4, 0.5, Verdict.FAILED, severity="warn", excused=True)
    text = shown([item(warned, verdict=Verdict.PASSED)], lines=1)
    assert "failed, only a warning" in text
    many = shown([item(*(warned for _ in range(9)), verdict=Verdict.PASSED)], lines=1)
    assert many.count("only a warning") == 5
    assert "And 4 more warnings; -v shows all." in many


def checks(suites: int, per_suite: int, networks: Sequence[str], check: str = "c") -> list[Item]:
    return [
        item(
            judged(0.5 + number / 1000, 0.4, name="top1_accuracy"),
            judged(0.9, 0.4, name="top5_accuracy"),
            suite=f"suites/{suite}.toml", check=f"{check}-{suite}-{number}", classifier=network,
        )
        for suite in range(suites)
        for number in range(per_suite)
        for network in networks
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "rows", "note", "more"),
    [
        (50, 48, "", ""),
        (30, 24, "Of each check and network, ", "passed, 1 more"),
        (20, 12, "Of each check, ", "passed, 3 more"),
        (8, 3, "Of each suite, ", "passed, 15 more"),
        (4, 2, "And 16 more expectations passed; -v shows all 48.", "passed, 15 more"),
    ],
)
def test_passed_expectations_are_folded_until_they_fit(
    lines: int, rows: int, note: str, more: str
) -> None:
    text = shown(checks(3, 4, ["a", "b"]), lines=lines).splitlines()
    assert len(text) <= lines
    assert [line for line in text if line.startswith(("Of", "And"))] == [
        line for line in text[-1:] if note
    ]
    assert text[-1].startswith(note)
    drawn = text[1 : len(text) - bool(note)]
    assert len(drawn) == rows
    if more:
        assert all(line.endswith(more) for line in drawn)
    # every expectation is counted once: in a row, behind one, or in the note
    behind = sum(int(line.split()[-2]) for line in drawn) if more else 0
    left = int(text[-1].split()[1]) if note.startswith("And") else 0
    assert len(drawn) + behind + left == 48


def test_the_row_that_stands_for_others_is_nearest_its_threshold() -> None:
    items = [item(judged(value, 0.4), classifier=f"net{value}") for value in (0.9, 0.41, 0.7)]
    invariant = item(judged(1.0, 1.0), classifier="exact")
    (row,) = shown([*items, invariant], lines=3).splitlines()[1:2]
    assert row.startswith("net0.41")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("lines", [6, 11, UNLIMITED])
def test_the_table_keeps_its_width_and_loses_no_name(width: int, lines: int) -> None:
    long = "a_checkpoint_of_a_network_with_a_long_name"
    items = checks(4, 3, [long, "b"], "a-check-with-a-long-name")
    failed = item(judged(0.3, 0.4, Verdict.FAILED), check="low", classifier=long)
    text = shown([*items, failed], width=width, lines=lines)
    assert max(map(len, text.splitlines())) <= max(width, len(text.splitlines()[-1]))
    head = text.splitlines()[:3]
    flat = head[0].split()[:2] == ["network", "check"]
    second_column = max(line.find("check" if flat else "metric") for line in head)
    pieces = [line[:second_column].strip() for line in text.splitlines()[1:]]
    assert long in "".join(pieces)


def test_height_counts_lines_of_the_terminal() -> None:
    assert height(["", "a" * 60, "a" * 61, "a" * 121], 60) == 1 + 1 + 2 + 3
