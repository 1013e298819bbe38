"""Progress in words: what is said, and how often."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vision_evals.core import progress
from vision_evals.core.progress import Advance, encodable, lines, takes_bar, titled

FOREVER = 60.0
"""Seconds that a test waits for what must come."""


class Heard:
    """Lines as they are written; `wait` returns once there are that many."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def write(self, line: str) -> None:
        with self._changed:
            self.lines.append(line)
            self._changed.notify_all()

    def wait(self, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.lines) >= number, FOREVER)


def test_a_line_is_written_while_nothing_is_counted() -> None:
    heard = Heard()
    with lines(heard.write, seconds=0.01)("photographs", 20):
        heard.wait(3)
    assert set(heard.lines) == {"photographs: 0 of 20 images"}


def test_a_message_stands_in_place_of_title_and_counts() -> None:
    heard = Heard()
    with lines(heard.write, seconds=0.01)("photographs", 20) as advance:
        advance(0, "adversarial l2, efficientnet_lite0: image 8 of 20")
        heard.wait(len(heard.lines) + 2)
    assert heard.lines[-1] == "adversarial l2, efficientnet_lite0: image 8 of 20"


def test_the_time_left_is_that_of_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter took 30 s, so 90 s are left; 20 s later, with nothing counted since, 70 s are."""
    now, heard = 0.0, Heard()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with lines(heard.write, seconds=0.01)("photographs", 20) as advance:
        now = 30.0
        advance(5)
        heard.wait(len(heard.lines) + 2)
        assert heard.lines[-1] == "photographs: 5 of 20 images, 90 s left"
        now = 50.0
        heard.wait(len(heard.lines) + 2)
        assert heard.lines[-1] == "photographs: 5 of 20 images, 70 s left"
        now = 130.0  # later than it was expected to end
        heard.wait(len(heard.lines) + 2)
        assert heard.lines[-1] == "photographs: 5 of 20 images"


def test_what_is_soon_over_says_nothing() -> None:
    heard = Heard()
    show = lines(heard.write, seconds=FOREVER)
    for _ in range(90):
        with show("net", 3, "steps") as advance:
            advance(3)
    assert heard.lines == []


def test_short_trainings_share_one_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ninety trainings of two seconds: a line when thirty have passed since the last one."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    heard = Heard()
    show = lines(heard.write, seconds=30)
    for seed in range(90):
        with show(f"net, seed {seed}", 3, "steps") as advance:
            advance(1)
            if now >= 30 * (len(heard.lines) + 1):
                heard.wait(len(heard.lines) + 1)
        now += 2
    assert [line.split(":")[0] for line in heard.lines] == [
        f"net, seed {seed}" for seed in (15, 30, 45, 60, 75)
    ]


def test_an_error_ends_the_lines() -> None:
    heard = Heard()
    before = threading.active_count()

    def interrupted() -> None:
        with lines(heard.write, seconds=0.01)("net", 3):
            heard.wait(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert threading.active_count() == before


def test_an_unknown_total_shows_the_title_alone() -> None:
    heard = Heard()
    with lines(heard.write, seconds=0.01)("validity of photographs", 0):
        heard.wait(1)
    assert heard.lines[0] == "validity of photographs"


def test_a_prefix_stands_before_titles_and_messages() -> None:
    told: list[str] = []

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        told.append(title)
        yield lambda n, message="": told.append(f"{n} {message}")

    with titled(show, "mutant 3")("photographs", 20) as advance:
        advance(4)
        advance(0, "fgsm one-step, net: image 4")
    assert told == ["mutant 3: photographs", "4 ", "0 mutant 3: fgsm one-step, net: image 4"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("term", "streams", "expected"),
    [
        ("xterm", [Terminal()], True),
        ("xterm", [Terminal(), io.StringIO()], False),
        ("dumb", [Terminal()], False),
    ],
)
def test_a_bar_needs_a_terminal_that_moves_its_cursor(
    monkeypatch: pytest.MonkeyPatch, term: str, streams: list[io.StringIO], expected: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    assert takes_bar(*streams) is expected


def test_the_bar_shows_messages_and_any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an ASCII terminal of 60 columns, with a name that rich would read as markup."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    with progress.bar("photographs", 20) as advance:
        advance(4, "fgsm [bold]r\N{LATIN SMALL LETTER E WITH ACUTE}seau: image 8 of 20")
    stream.seek(0)
    assert "fgsm [bold]r?seau: image 8" in stream.read()


@pytest.mark.parametrize(
    ("encoding", "expected"), [("ascii", "1?2"), ("utf-8", "1\u22122"), (None, "1\u22122")]
)
def test_what_cannot_be_encoded_is_a_question_mark(encoding: str | None, expected: str) -> None:
    assert encodable("1\u22122", encoding) == expected
