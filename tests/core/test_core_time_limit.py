"""A limit on code: where it ends, what it says, and what it leaves as it was."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Callable

import pytest

from vision_evals.core.time_limit import CAN_LIMIT, TimeUpError, limit_of, time_limit

needs_timer = pytest.mark.skipif(not CAN_LIMIT, reason="needs timers")


def ring() -> None:
    """The timer rings now, however long the limit is."""
    signal.raise_signal(signal.SIGALRM)


def swallow() -> None:
    with contextlib.suppress(BaseException):
        ring()


def mistake() -> None:
    try:
        ring()
    except BaseException as error:
        raise ValueError("another") from error


def catch_what_it_can() -> None:
    try:
        ring()
    except Exception:  # noqa: BLE001 - as networks do
        raise AssertionError from None


@needs_timer
@pytest.mark.parametrize("code", [catch_what_it_can, swallow, mistake])
def test_code_that_takes_longer_is_a_sentence(code: Callable[[], None]) -> None:
    said = r"^it took longer than the 3600 s of --evals-timeout$"
    with pytest.raises(TimeUpError, match=said), time_limit(3600, 3600):
        code()


@needs_timer
def test_the_timer_rings_by_itself() -> None:
    said = r"^loading net took longer than the 0\.5 s of "
    with pytest.raises(TimeUpError, match=said), time_limit(0.01, 0.5, "loading net"):
        signal.pause()


@needs_timer
def test_nothing_begins_without_time_left() -> None:
    done = []
    with pytest.raises(TimeUpError), time_limit(0, 5):
        done.append(1)
    assert done == []


@needs_timer
def test_the_timer_and_the_handler_of_others_are_put_back() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 3000)
        with time_limit(10, 10):
            assert signal.getitimer(signal.ITIMER_REAL)[0] <= 10
        with pytest.raises(KeyError), time_limit(10, 10):
            raise KeyError
        assert 2000 < signal.getitimer(signal.ITIMER_REAL)[0] <= 3000
        ring()
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_without_a_limit_nothing_is_set() -> None:
    before = signal.getsignal(signal.SIGALRM) if CAN_LIMIT else None
    with time_limit(math.inf, math.inf):
        assert not CAN_LIMIT or signal.getsignal(signal.SIGALRM) is before


@needs_timer
def test_a_thread_has_no_limit() -> None:
    done: list[int] = []

    def work() -> None:
        with time_limit(1e-6, 1e-6):
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]


def test_a_system_without_timers_refuses_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_evals.core.time_limit.CAN_LIMIT", False)
    with pytest.raises(ValueError, match="leave --evals-timeout out"):
        limit_of(3.0)
