"""What ``--evals-model`` says: ``[ALIAS=]NAME[@PATH]``, one or a series. Imports no torch."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.log.classifier import epoch_of
from vision_evals.models import series

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
    series: str | None = None
    """What its series of checkpoints is called, where a pattern named several files."""
    place: float | None = None
    """Where it stands in that series, such as its epoch."""

    @property
    def epoch(self) -> float | None:
        """After which it was saved, where its place in a series is that."""
        return epoch_of(self.alias, self.place)


def parse_requests(text: str, base: Path) -> tuple[Request, ...]:
    """Read ``[ALIAS=]NAME[@PATH]``, where PATH may be a pattern such as ``runs/epoch_*.pth``.

    Each file of a pattern is a classifier: its alias is the file's stem, behind ``ALIAS-`` where
    one is given. A file whose name has stars or brackets is meant by that name.

    Args:
        text: what was typed.
        base: what a relative PATH is relative to.

    Raises:
        UserError: as ``parse_request`` does, or a pattern that no file matches.
    """
    request = parse_request(text, base)
    head, _, path = text.partition("@")
    # os.path: no name is too long or too odd to ask whether it is there
    if not glob.has_magic(path) or os.path.exists(str(request.checkpoint)):  # noqa: PTH110
        return (request,)
    found = series.files(text, Path(path).expanduser(), base)
    prefix = f"{request.alias}-" if "=" in head else ""
    every = zip(series.aliases(found, prefix), found, series.places(found), strict=True)
    return tuple(Request(a, request.name, file, request.alias, place) for a, file, place in every)


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
            repair = f"name one of them with ALIAS={_shown(request)}"
            if request.series is not None and request.series == first.series:
                repair = "give each folder a series of its own, such as a=NAME@'FOLDER/*.pth'"
            raise UserError(
                f'two classifiers are called "{request.alias}": {_shown(first)} and '
                f"{_shown(request)}; {repair}"
            )
        seen[request.alias] = request
    return tuple(seen.values())


def _shown(request: Request) -> str:
    return request.name + (f"@{request.checkpoint}" if request.checkpoint else "")
