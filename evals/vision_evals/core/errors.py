"""Errors with a message that a person can act on.

Every message names the file, the key, the value and the repair. Nothing here is a programming
error: those stay ordinary exceptions and keep their traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
