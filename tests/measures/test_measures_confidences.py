"""Bins of confidences against loops, fractions and NumPy's own histogram."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.log import Line, Plot
from vision_evals.measures.confidences import bin_indices, histograms, reliability
from vision_evals.measures.measure import Subject

SUBJECT = Subject("a", None, 0)
ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson 1927, as it is printed."""
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return middle - half, middle + half


def diagram(confidence: list[float], correct: list[bool]) -> Line:
    plot = reliability(np.array(confidence), np.array(correct, dtype=bool), SUBJECT)
    assert plot.share
    measured, diagonal = plot.lines
    assert (diagonal.x, diagonal.y, diagonal.reference) == ((0, 1), (0, 1), True)
    assert not measured.reference
    return measured


def bars(plot: Plot) -> dict[str, tuple[float | None, ...]]:
    assert all(line.steps for line in plot.lines)
    return {line.name: line.y for line in plot.lines}


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
def test_a_confidence_on_an_edge_lies_below_it(bins: int) -> None:
    edges = np.array([k / bins for k in range(1, bins + 1)])
    assert bin_indices(edges, bins).tolist() == list(range(bins))
    assert bin_indices(np.nextafter(edges[:-1], 1) + 1e-15, bins).tolist() == list(range(1, bins))
    assert bin_indices(np.array([0.0, 1e-300, 1.0, 1.0000001]), bins).tolist() == [
        0, 0, bins - 1, bins - 1,
    ]  # fmt: skip


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=50), st.sampled_from([5, 10, 15, 20]))
def test_bins_equal_exact_fractions(tenths: list[int], bins: int) -> None:
    exact = [max(-(-Fraction(t, 10_000) * bins // 1) - 1, 0) for t in tenths]
    assert bin_indices(np.array(tenths) / 10_000, bins).tolist() == exact


@given(ANSWERS)
def test_the_diagram_equals_a_loop(answers: list[tuple[float, bool]]) -> None:
    line = diagram(*map(list, zip(*answers, strict=True)))
    seen: dict[int, list[tuple[float, bool]]] = {}
    for one in answers:
        below = sum(other < one[0] for other, _ in answers)
        seen.setdefault(below * 10 // len(answers), []).append(one)
    for rank, place in enumerate(sorted(seen)):
        members = seen[place]
        hits, n = sum(right for _, right in members), len(members)
        assert line.x[rank] == pytest.approx(sum(c for c, _ in members) / n)
        assert line.y[rank] == pytest.approx(hits / n)
        assert line.n[rank] == n
        assert (line.low[rank], line.high[rank]) == pytest.approx(wilson(hits, n), abs=1e-6)
    assert len(line.x) == len(seen)
    assert sum(line.n) == len(answers)


def test_equal_confidences_are_one_point_of_the_diagram() -> None:
    line = diagram([1.0] * 4, [True, True, True, False])
    assert (line.x, line.y, line.n) == ((1.0,), (0.75,), (4,))
    assert diagram([1 / 15] * 3, [False] * 3).y == (0.0,)


def test_without_an_image_there_is_only_the_diagonal() -> None:
    line = diagram([], [])
    assert (line.x, line.y, line.low, line.high, line.n) == ((), (), (), (), ())


@pytest.mark.parametrize(
    ("n", "bins"), [(0, 5), (1, 5), (18, 5), (124, 5), (125, 10), (999, 10), (1000, 20), (9999, 20)]
)
def test_a_histogram_has_no_more_bins_than_rice_allows(n: int, bins: int) -> None:
    """Twice the cube root of n, rounded down to 5, 10 or 20; 5 at least."""
    (line,) = histograms("t", {"art": np.linspace(0, 1, n)}).lines
    assert line.x == tuple(np.arange(bins + 1) / bins)
    assert bins == 5 or bins <= 2 * np.cbrt(n) + 1e-9


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=200),
    st.lists(st.floats(0, 1), min_size=1, max_size=200),
)
def test_a_histogram_equals_numpys(these: list[float], others: list[float]) -> None:
    plot = histograms("t", {"art": np.array(these), "photographs": np.array(others)})
    for line, values in zip(plot.lines, (these, others), strict=True):
        # NumPy's bins are closed below, ours above: both mirrored are the same
        mirrored = 1 - np.array(values)
        bins = len(line.x) - 1
        on_edge = np.isclose(mirrored * bins, np.round(mirrored * bins), atol=1e-9)
        if not on_edge.any():
            counts, _ = np.histogram(mirrored, bins=bins, range=(0, 1))
            assert line.y[:-1] == pytest.approx(counts[::-1] / len(values))
        assert line.y[-1] is None
        assert sum(y for y in line.y if y is not None) == pytest.approx(1)
        assert set(line.n) == {len(values)}
    assert plot.lines[0].x == plot.lines[1].x, "the smaller set says how many bins"


def test_parts_of_one_set_add_up_to_it() -> None:
    parts = {"right": np.array([0.9, 1.0, 1.0]), "wrong": np.array([0.1])}
    found = bars(histograms("t", parts, 4))
    assert found == {"right": (0, 0, 0, 0, 0.75, None), "wrong": (0.25, 0, 0, 0, 0, None)}


def test_equal_confidences_are_one_bar() -> None:
    assert bars(histograms("t", {"art": np.full(7, 0.2)}))["art"] == (1, 0, 0, 0, 0, None)
    assert bars(histograms("t", {"art": np.ones(7)}))["art"] == (0, 0, 0, 0, 1, None)


def test_a_set_without_images_has_no_bars() -> None:
    found = bars(histograms("t", {"art": np.zeros(0), "photographs": np.array([0.5])}))
    assert found == {"art": (None,) * 6, "photographs": (0, 0, 1, 0, 0, None)}
    assert bars(histograms("t", {"right": np.zeros(0), "wrong": np.zeros(0)}, 0)) == {
        "right": (None,) * 6, "wrong": (None,) * 6,
    }  # fmt: skip
