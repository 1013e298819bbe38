"""What no input may do, and a watch that sees it: run code, write elsewhere, take all of memory."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from vision_evals.core.errors import UserError, printable

SECONDS = 10.0
"""Of CPU that an input may take."""

MAX_KILOBYTES = 2**20
"""That the memory of the process may grow by, its highest mark less that at the start."""

MAX_MESSAGE_CHARS = 250_000

FORBIDDEN = re.compile(
    r"os\.(system|exec|fork|forkpty|kill|posix_spawn)|subprocess\.|socket\.(connect|bind)"
    r"|pty\.|ctypes\.(dlopen|cdata)|webbrowser|urllib|smtplib|shutil\.rmtree|pickle\.find_class"
)
"""Events of Python's audit: what only code from the input would do."""

CHANGES = {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod"}


class Fault(BaseException):
    """An input did what none may; not caught by code that catches every exception."""


class Watch:
    """Sees what one input after another does."""

    def __init__(self, folder: Path) -> None:
        """Watch this process from now on; only below ``folder`` may anything be written."""
        self.folder = os.path.realpath(folder)
        self.seen: list[str] = []
        self.armed = False
        self.start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGPROF, _too_long)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if FORBIDDEN.match(event):
            self.seen.append(f"{event} {str(arguments)[:200]}")
        elif event == "import" and arguments[0] == "canary":
            self.seen.append("imports canary")
        elif event in CHANGES or (event == "open" and _writes(arguments)):
            place = os.path.realpath(os.fsdecode(arguments[0])) if _named(arguments[0]) else ""
            if place and not place.startswith((self.folder, "/dev/null")):
                self.seen.append(f"{event} {place}")

    def fault(self, judge: Callable[[], object]) -> str | None:
        """Return what an input did that none may; None where it was judged or refused."""
        self.seen.clear()
        try:
            with self._armed():
                judge()
        except UserError as error:
            problem = _unfit(str(error))
        except Fault as fault:
            problem = str(fault)
        except BaseException:  # noqa: BLE001 - every one of them is what is looked for
            problem = traceback.format_exc()
        else:
            problem = None
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.start
        if grown > MAX_KILOBYTES:
            self.start += grown
            return f"memory grew by {grown / 2**20:.2f} GiB"
        return "; ".join(self.seen) or problem

    @contextlib.contextmanager
    def _armed(self) -> Iterator[None]:
        faulthandler.dump_traceback_later(1800, exit=True)  # where it waits, or is in C for ever
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        self.armed = True
        try:
            yield
        finally:
            self.armed = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()


def _too_long(_: int, frame: FrameType | None) -> None:
    place = "".join(traceback.format_stack(frame)[-6:])
    raise Fault(f"more than {SECONDS:g} s of CPU\n{place}")


def _named(place: object) -> bool:
    return isinstance(place, str | bytes | os.PathLike)


def _writes(arguments: tuple[Any, ...]) -> bool:
    return bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def _unfit(message: str) -> str | None:
    """Return what is wrong with a sentence."""
    if not message.strip():
        return "an error without a word"
    if len(message) > MAX_MESSAGE_CHARS or "Traceback" in message:
        return f"no sentence: {message[:500]}"
    return obeyed(message)


def obeyed(text: str) -> str | None:
    """Return the first line that a terminal or a CI would obey; None where there is none."""
    lines = (line for line in text.split("\n") if line != printable(line))
    return next((f"a line that is obeyed: {line!r}"[:500] for line in lines), None)
