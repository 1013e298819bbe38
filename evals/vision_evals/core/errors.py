"""Errors with a message that a person can act on.

Every message names the file, the key, the value and the repair. Nothing here is a programming
error: those stay ordinary exceptions and keep their traceback.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator

MAX_WORDS = 2_000
"""Characters of a text that code of a user's makes: an exception may print a whole tensor."""


class UserError(Exception):
    """A mistake the user can repair. Shown without a traceback."""


class UnavailableError(UserError):
    """Weights or packages are unavailable here. Skips a default, fails what the user named.

    Pictures that are not shipped always skip: a user who names them has them.
    """


class NotFetchedError(UnavailableError):
    """Weights are not here, and naming their network on the command line would fetch them."""


class UnreadableError(UserError):
    """One picture cannot be decoded. Counted and named; the other pictures go on."""


class NotApplicableError(UserError):
    """A check does not apply to this classifier or these images. Never a pass."""


class InvalidError(UserError):
    """A measure finds that its numbers of this network would be wrong: the verdict is INVALID."""


class ExitError(UserError):
    """Code of a user's would have ended the process."""


@contextlib.contextmanager
def contained() -> Iterator[None]:
    """Run code of a user's: what would end the process is an error like any other.

    Raises:
        ExitError: it raised ``SystemExit``, or anything else that is no ``Exception``. Ctrl-C
            stays what it is.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ExitError(f"it would end the process ({words(error)})") from error


def words(error: BaseException) -> str:
    """Return the class and the text of an error that a user's code raised."""
    if isinstance(error, ExitError):
        return str(error)
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - its class may be a user's own
        text = "its text cannot be read"
    return cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def cut(text: str) -> str:
    """Return a text; of one that is too long its beginning, and how long it is."""
    if len(text) <= MAX_WORDS:
        return text
    return f"{text[:MAX_WORDS]} ... (cut: {len(text):,} characters)"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'``, or the choices when none is near, or ``""`` without any."""
    words = sorted(set(choices))
    near = difflib.get_close_matches(word, words, n=3, cutoff=0.6)
    if near:
        return "; did you mean " + " or ".join(f'"{choice}"' for choice in near) + "?"
    if not words:
        return ""
    shown = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"; known are {shown}"


def printable(text: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
