"""Dates of runs, as short as tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

FORMATS = ("%d %b", "%d %b %Y", "%d %b %H:%M", "%d %b %Y %H:%M")


def short(dates: Sequence[str]) -> tuple[str, ...]:
    """Return names for moments: the first of the formats that gives each its own, or the last.

    Args:
        dates: ISO 8601; what is none keeps its text.
    """
    moments = [_moment(text) for text in dates]
    years = len({moment.year for moment in moments if isinstance(moment, datetime)})
    named: tuple[str, ...] = ()
    for form in FORMATS:
        if years > 1 and "%Y" not in form:
            continue
        named = tuple(m if isinstance(m, str) else m.strftime(form).lstrip("0") for m in moments)
        if len(set(named)) == len(set(dates)):
            break
    return named


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text
