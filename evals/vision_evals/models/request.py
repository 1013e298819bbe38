"""The value of ``--evals-model``: ``[ALIAS=]NAME[@PATH]``, one or a series. Imports no torch."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.images.image_set import natural
from vision_evals.log.classifier import epoch_of

_WORD = re.compile(r"[A-Za-z0-9._:-]+")
_NOT_IN_ALIAS = re.compile(r"[^A-Za-z0-9._:-]+")
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_NAMED = re.compile(rf"(?:epoch|step|iter(?:ation)?)s?[=_. -]?({_NUMBER})", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """One classifier that the user named."""

    alias: str
    """In ids, thresholds, colours, baselines and trends; never the path."""
    name: str
    """Of a card, a packaged or published network."""
    checkpoint: Path | None
    """Weights that replace those of the card."""
    series: str | None = None
    """Name of its series of checkpoints, if a pattern named several files."""
    place: float | None = None
    """Its place in that series, such as its epoch."""

    @property
    def epoch(self) -> float | None:
        """The epoch after which it was saved, if its place in a series is that."""
        return epoch_of(self.alias, self.place)


def parse_requests(text: str, base: Path) -> tuple[Request, ...]:
    """Read ``[ALIAS=]NAME[@PATH]``, where PATH may be a pattern such as ``runs/epoch_*.pth``.

    Each file of a pattern is a classifier: its alias is the file's stem, behind ``ALIAS-`` where
    one is given. A path that exists is one file, also if its name has stars or brackets.

    Args:
        text: as the user typed it.
        base: what a relative PATH is relative to.

    Raises:
        UserError: as ``parse_request`` does, or a pattern that no file matches.
    """
    request = parse_request(text, base)
    head, _, path = text.partition("@")
    # os.path accepts names that are too long or contain odd characters
    if not glob.has_magic(path) or os.path.exists(str(request.checkpoint)):  # noqa: PTH110
        return (request,)
    files = _files(text, Path(path).expanduser(), base)
    prefix = f"{request.alias}-" if "=" in head else ""
    members = zip(aliases(files, prefix), files, places(files), strict=True)
    return tuple(Request(a, request.name, file, request.alias, place) for a, file, place in members)


def parse_request(text: str, base: Path) -> Request:
    """Read ``[ALIAS=]NAME[@PATH]``.

    Args:
        text: as the user typed it.
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
        UserError: two classifiers have one alias, so their results could not be told apart.
    """
    by_alias: dict[str, Request] = {}
    for request in requests:
        if first := by_alias.get(request.alias):
            repair = f"name one of them with ALIAS={_shown(request)}"
            if request.series is not None and request.series == first.series:
                repair = "give each folder a series of its own, such as a=NAME@'FOLDER/*.pth'"
            raise UserError(
                f'two classifiers are called "{request.alias}": {_shown(first)} and '
                f"{_shown(request)}; {repair}"
            )
        by_alias[request.alias] = request
    return tuple(by_alias.values())


def _shown(request: Request) -> str:
    return request.name + (f"@{request.checkpoint}" if request.checkpoint else "")


def _files(text: str, pattern: Path, base: Path) -> list[Path]:
    """Return the files that a pattern means, epoch 2 before epoch 10.

    Args:
        text: what was typed, for messages.
        pattern: with ``*``, ``?`` and ``[...]``; ``**`` stands for any folders.
        base: what a relative pattern is relative to.

    Raises:
        UserError: there are none; with folder, pattern and the nearest file names.
    """
    root = glob.escape(str(base))  # brackets in the folder's own name are no pattern
    paths = map(Path, glob.glob(str(Path(root) / pattern), recursive=True))  # noqa: PTH207
    matching = sorted((p for p in paths if p.is_file()), key=lambda p: natural(p.as_posix()))
    if matching:
        return matching
    folder, rest = base, list(pattern.parts)
    while len(rest) > 1 and not glob.has_magic(rest[0]):
        folder /= rest.pop(0)
    if not folder.is_dir():
        raise UserError(f'classifier "{text}": there is no folder {folder}')
    names = sorted((file.name for file in folder.iterdir() if file.is_file()), key=natural)
    holds = f"holds no file {Path(*rest)}" if names else "holds no file at all"
    near = did_you_mean(rest[-1], names)
    raise UserError(f'classifier "{text}": the folder {folder} {holds}{near}')


def aliases(files: Sequence[Path], prefix: str) -> list[str]:
    """Return the alias of each file: its stem, in characters that a test id may have."""
    return [_NOT_IN_ALIAS.sub("-", prefix + file.stem) for file in files]


def places(files: Sequence[Path]) -> list[float]:
    """Return the place of each file on the axis of its series.

    That is the number behind "epoch", "step" or "iteration" in the file's name, else the last
    number in it. If a file has none, or two have the same, it is the position from 1.
    """
    numbers = [number for file in files if (number := _number(file.stem)) is not None]
    if len(numbers) == len(files) == len(set(numbers)):
        return numbers
    return [float(position) for position in range(1, len(files) + 1)]


def _number(stem: str) -> float | None:
    written = _NAMED.findall(stem)[-1:] or re.findall(_NUMBER, stem)[-1:]
    return float(written[0]) if written else None
