"""Panels: what a network said of one in words, and what stands before and after."""

from __future__ import annotations

import pytest

from vision_evals import log
from vision_evals.report.facets import Pair, pair


@pytest.mark.parametrize(
    ("panel", "heading", "below"),
    [
        (log.Panel(title="image", answer="mastiff", confidence=0.314), "image", "mastiff 0.31"),
        (log.Panel(title="image", answer="airliner", confidence=1.0), "image", "airliner 1.00"),
        (log.Panel(title="image", answer="airliner"), "image", "airliner nan"),
        (log.Panel(title="image"), "image", ""),
        (log.Panel(title="image", note="not attacked"), "image", "not attacked"),
        (
            log.Panel(title="eval mode", answer="7", confidence=0.5, note="of 10 masks: 7 5"),
            "eval mode: 7 0.50",
            "of 10 masks: 7 5",
        ),
    ],
)
def test_a_panel_in_words(panel: log.Panel, heading: str, below: str) -> None:
    assert (panel.heading, panel.subtitle) == (heading, below)


@pytest.mark.parametrize(
    ("titles", "found"),
    [
        (("image", "perturbation x 36", "adversarial"), Pair(0, 2)),
        (("epsilon -1", "image", "epsilon 1"), Pair(1, 2)),
        (("epsilon -1", "image"), None),
        (("image",), None),
        (("one", "two"), None),
        ((), None),
    ],
)
def test_before_is_the_image_and_after_the_last(
    titles: tuple[str, ...], found: Pair | None
) -> None:
    assert pair([log.Panel(title=title, original=title == "image") for title in titles]) == found
