"""Errors with a message that a person can act on.

Every message names the file, the key, the value and the repair. Nothing here is a programming
error: those stay ordinary exceptions and keep their traceback.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterable, Iterator

MAX_WORDS = 2_000
"""Characters of a text that code of a user's makes: an exception may print a whole tensor."""

REPLACED = "\N{REPLACEMENT CHARACTER}"
"""Stands for what a terminal would obey."""

MAX_LINES, MAX_LINE_CHARS = 50, 4000
"""Of a message: names, values and the words of other libraries may be of any length."""

MAX_WORD_CHARS = 100
"""Of words that are compared: difflib takes time by the square of it."""


class UserError(Exception):
    """A mistake the user can repair. Shown without a traceback."""

    def __init__(self, *lines: str) -> None:
        """Take the message line by line: no name or value in it can begin another line."""
        more = [f"... and {len(lines) - MAX_LINES:,} more"] if len(lines) > MAX_LINES else []
        shown = (cut(printable(line), MAX_LINE_CHARS) for line in (*lines[:MAX_LINES], *more))
        super().__init__(*shown)

    def __str__(self) -> str:
        """Return the message."""
        return "\n".join(self.args)


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
    return excerpt(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def excerpt(text: str) -> str:
    """Return a text; of one that is too long its beginning, and how long it is."""
    if len(text) <= MAX_WORDS:
        return text
    return f"{text[:MAX_WORDS]} ... (cut: {len(text):,} characters)"


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'``, or the choices when none is near, or ``""`` without any."""
    words = sorted({choice for choice in choices if len(choice) <= MAX_WORD_CHARS})
    near = difflib.get_close_matches(word[:MAX_WORD_CHARS], words, n=3, cutoff=0.6)
    if near:
        return "; did you mean " + " or ".join(f'"{choice}"' for choice in near) + "?"
    if not words:
        return ""
    shown = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"; known are {shown}"


def cut(text: str, most: int) -> str:
    """Return text of at most so many characters, with an ellipsis where it was longer."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def printable(text: str) -> str:
    r"""Return text as one line that no terminal and no CI obeys.

    Line breaks become spaces. Other controls, and orders to write backwards, become a replacement
    character; a byte of a file name that is not UTF-8 becomes ``\xfc``. What GitHub, Azure and
    TeamCity take for a command (``::error``, ``##[error]``) is broken.
    """
    shown = text if text.isprintable() else "".join(map(_shown, text))
    return disarmed(shown)


def disarmed(line: str) -> str:
    """Return a line that is no command to a CI."""
    return re.sub(r"##(?=\w*\[)", f"#{REPLACED}#", re.sub(r"^\s*::", f"{REPLACED}::", line))


def encodable(text: str) -> str:
    r"""Return text that UTF-8 can hold: a byte of a path that is not UTF-8 as ``\xfc``."""
    return re.sub("[\ud800-\udfff]", lambda half: _shown(half[0]), text)


def _shown(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python holds a byte that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character in "\t\n\r":
        return " "
    return character if character.isprintable() else REPLACED
