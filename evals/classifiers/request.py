"""What ``--evals-model`` says: ``[ALIAS=]NAME[@PATH]``. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evals.errors import UserError

_WORD = re.compile(r"[A-Za-z0-9._:-]+")


@dataclass(frozen=True)
class Request:
    """One classifier that somebody named."""

    alias: str
    """In ids, thresholds, colours, baselines and trends; never the path."""
    name: str
    """Of a card, a packaged or published network."""
    checkpoint: Path | None
    """Put into that card instead of its own weights."""


def parse_request(text: str, base: Path) -> Request:
    """Read ``[ALIAS=]NAME[@PATH]``.

    Args:
        text: what was typed.
        base: what a relative PATH is relative to.

    Raises:
        UserError: an alias or a name that cannot stand in a test id, or an empty part.
    """
    head, at, path = text.partition("@")
    alias, equals, name = head.partition("=")
    if not equals:
        alias = name = head
    for word, part in ((alias, "alias"), (name, "name")):
        if not _WORD.fullmatch(word):
            raise UserError(
                f'classifier "{text}": the {part} "{word}" must be made of letters, digits, '
                "'.', '_', ':' and '-'; write [ALIAS=]NAME[@PATH], "
                "such as alexnet or mine=alexnet@runs/epoch_12.safetensors"
            )
    if at and not path:
        raise UserError(f'classifier "{text}": no path after "@"; write {head}@PATH or {head}')
    return Request(alias, name, base / Path(path).expanduser() if at else None)


def unique(requests: Iterable[Request]) -> tuple[Request, ...]:
    """Return the requests, each alias once.

    Raises:
        UserError: two classifiers of one alias, whose results nobody could tell apart.
    """
    seen: dict[str, Request] = {}
    for request in requests:
        if first := seen.get(request.alias):
            raise UserError(
                f'two classifiers are called "{request.alias}": {_shown(first)} and '
                f"{_shown(request)}; name one of them with ALIAS={_shown(request)}"
            )
        seen[request.alias] = request
    return tuple(seen.values())


def _shown(request: Request) -> str:
    return request.name + (f"@{request.checkpoint}" if request.checkpoint else "")
