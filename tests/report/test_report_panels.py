"""Panels: what a network said of one, and what stands before and after."""

from __future__ import annotations

import pytest

from vision_evals import log
from vision_evals.report.panels import Pair, Said, pair, said


@pytest.mark.parametrize(
    ("title", "text", "found"),
    [
        ("image", "bull mastiff 0.31", Said("bull mastiff", 0.31)),
        ("image", "airliner 1.00", Said("airliner", 1.0)),
        ("eval mode: bull mastiff 0.31", "of 10 masks: bull mastiff 5", Said("bull mastiff", 0.31)),
        ("eval mode: class: of two words 0.50", "", Said("class: of two words", 0.5)),
        ("image", "airliner", None),
        ("image", "0.31", None),
        ("image", "", None),
        ("image", "airliner 31", None),
    ],
)
def test_an_answer_is_a_class_and_a_confidence(title: str, text: str, found: Said | None) -> None:
    assert said(log.Panel(title=title, said=text)) == found


def test_a_title_of_any_length_is_read_once() -> None:
    assert said(log.Panel(title="a: " * 100_000 + "0.5", said="")) == Said(
        "a: " * 99_998 + "a:", 0.5
    )


def test_before_is_the_image_and_after_the_last() -> None:
    titles = ("epsilon -4/255", "image", "epsilon 4/255")
    assert pair([log.Panel(title=title) for title in titles]) == Pair(1, 2)
    assert pair([log.Panel(title="image")]) is None
