"""A limit on the time that code of a user's takes."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator

from vision_evals.core.errors import UserError

SECONDS_BETWEEN_SIGNALS = 1.0
"""Code that catches everything is told again."""

CAN_LIMIT = hasattr(signal, "setitimer")
"""Whether this system can interrupt code: not Windows."""


class TimeUpError(UserError):
    """Code of a user's took longer than ``--evals-timeout`` allows."""


class _Alarm(KeyboardInterrupt):
    """Ends the block; as Ctrl-C it is caught by no ``except Exception`` of a network."""


@contextlib.contextmanager
def time_limit(seconds: float, limit: float, what: str = "it") -> Iterator[None]:
    """End a block that takes too long.

    It ends where Python is: code that never returns to Python goes on, unless its process is ended.

    Args:
        seconds: that are left; infinite: no limit.
        limit: the whole limit, for the message.
        what: takes the time, for the message.

    Raises:
        TimeUpError: the block took longer.
    """
    if math.isinf(seconds) or threading.current_thread() is not threading.main_thread():
        yield
        return
    if seconds <= 0:
        raise TimeUpError(time_up(limit, what))
    fired = active = False

    def fire(*_: object) -> None:
        nonlocal fired
        fired |= active
        if active:
            raise _Alarm

    start = time.monotonic()
    left, interval = signal.getitimer(signal.ITIMER_REAL)  # pytest-timeout has a timer, too
    before = signal.signal(signal.SIGALRM, fire)
    try:
        try:
            active = True
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6), SECONDS_BETWEEN_SIGNALS)
            yield
        finally:
            active = False
    except BaseException as error:
        if fired:  # also where the code made another error of it
            raise TimeUpError(time_up(limit, what)) from error
        raise
    else:
        if fired:  # the code caught what was to end it
            raise TimeUpError(time_up(limit, what))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            rest = max(left - (time.monotonic() - start), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)


def limit_of(seconds: float) -> float:
    """Return the limit that a user wrote.

    Raises:
        ValueError: this system has no timers.
    """
    if not CAN_LIMIT:
        raise ValueError("this system cannot interrupt code; leave --evals-timeout out")
    return seconds


def time_up(limit: float, what: str = "it") -> str:
    """Return the sentence about code that took longer."""
    return f"{what} took longer than the {limit:g} s of --evals-timeout"
