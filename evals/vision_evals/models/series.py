"""A pattern of checkpoints: which files it means, in which order, and what each is called.

Imports no torch.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.images.image_set import NaturalKey, natural

_NOT_IN_ALIAS = re.compile(r"[^A-Za-z0-9._:-]+")
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_NAMED = re.compile(rf"(?:epoch|step|iter(?:ation)?)s?[=_. -]?({_NUMBER})", re.IGNORECASE)


def files(text: str, pattern: Path, base: Path) -> list[Path]:
    """Return the files that a pattern means, epoch 2 before epoch 10.

    Args:
        text: what was typed, for messages.
        pattern: with ``*``, ``?`` and ``[...]``; ``**`` stands for any folders.
        base: what a relative pattern is relative to.

    Raises:
        UserError: there are none; folder, pattern and what lies there instead.
    """
    root = glob.escape(str(base))  # brackets in the folder's own name are no pattern
    found = glob.glob(str(Path(root) / pattern), recursive=True)  # noqa: PTH207 - see above
    there = sorted((path for path in map(Path, found) if path.is_file()), key=_order)
    if there:
        return there
    folder, rest = base, list(pattern.parts)
    while len(rest) > 1 and not glob.has_magic(rest[0]):
        folder /= rest.pop(0)
    if not folder.is_dir():
        raise UserError(f'classifier "{text}": there is no folder {folder}')
    beside = sorted((file.name for file in folder.iterdir() if file.is_file()), key=natural)
    holds = f"holds no file {Path(*rest)}" if beside else "holds no file at all"
    near = did_you_mean(rest[-1], beside)
    raise UserError(f'classifier "{text}": the folder {folder} {holds}{near}')


def aliases(found: Sequence[Path], prefix: str) -> list[str]:
    """Return what each file is called: its stem, in letters that a test id may have."""
    return [_NOT_IN_ALIAS.sub("-", prefix + file.stem) for file in found]


def places(found: Sequence[Path]) -> list[float]:
    """Return the place of each file on the axis of its series.

    That is the number behind "epoch", "step" or "iteration" in the file's name, else the last
    number in it. Where some file has none, or two have the same, it is the position from 1.
    """
    numbers = [_number(file.stem) for file in found]
    known = [number for number in numbers if number is not None]
    if len(known) == len(found) == len(set(known)):
        return known
    return [float(position) for position in range(1, len(found) + 1)]


def _number(stem: str) -> float | None:
    written = _NAMED.findall(stem)[-1:] or re.findall(_NUMBER, stem)[-1:]
    return float(written[0]) if written else None


def _order(path: Path) -> NaturalKey:
    return natural(path.as_posix())
