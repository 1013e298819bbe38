"""The check of each answer, whether it is a flag or typed; a wrong one is a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vision_evals.core.errors import UserError, did_you_mean, printable
from vision_evals.images import sources
from vision_evals.report.words import plural

FOLDERS = "folders"
"""Of `classes`: the names of the class folders, sorted as torchvision's ImageFolder sorts them."""

Numbers = tuple[float, float, float]
"""One for each channel."""


def network(text: str) -> str:
    """Check the name of a network."""
    if not re.fullmatch(r"[^\s:]+:[^\s:]+", text):
        raise UserError(
            f'--network {text}: must be "torchvision:NAME", "timm:NAME" or '
            '"module:function", such as my_pkg.nets:build'
        )
    source, _, name = text.partition(":")
    if source == "torchvision":
        from vision_evals.models.registry import torchvision_names

        if name not in torchvision_names():
            near = did_you_mean(name, torchvision_names())
            raise UserError(f'--network {text}: torchvision has no "{name}"{near}')
    return text


def existing(flag: str) -> Callable[[str], Path]:
    """Return a check that a path of a flag exists."""

    def check(text: str) -> Path:
        path = Path(text).expanduser()
        if not text.strip() or "\0" in text or not path.exists():
            raise UserError(f"{flag} {printable(text)}: there is no such file or folder")
        return path

    return check


def labelled(text: str) -> Path:
    """Check that images have labels."""
    path = existing("--images")(text)
    image_set = sources.load(str(path), Path.cwd())
    if not image_set.labelled:
        raise UserError(
            f"--images {path}: {plural(len(image_set.images), 'picture')} without labels, and a "
            "gate compares right answers; sort them into class folders, or list them in a manifest "
            'with a column "label"'
        )
    return path


def classes(text: str) -> str:
    """Check what the outputs are called."""
    return text if text in {"imagenet", FOLDERS} else str(existing("--classes")(text))


def numbers(flag: str, lowest: float) -> Callable[[str], Numbers]:
    """Return a check of three numbers for the channels."""

    def check(text: str) -> Numbers:
        try:
            red, green, blue = (float(part) for part in text.split(","))
        except ValueError:
            red = green = blue = -1.0
        if not all(lowest <= value <= 1 for value in (red, green, blue)):
            raise UserError(
                f"{flag} {printable(text)}: write three numbers for pixels from 0 to 1, such as "
                "0.485,0.456,0.406"
            )
        return red, green, blue

    return check


def size(text: str) -> int:
    """Check the side of a square."""
    if not re.fullmatch("[1-9][0-9]{0,4}", text):
        raise UserError(f"--size {printable(text)}: write a number of pixels, such as 224")
    return int(text)


def discordance(text: str) -> float:
    """Check a share of images."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.001 <= share <= 1:
        raise UserError(f"--discordance {printable(text)}: write a share from 0.001 to 1, as 0.1")
    return share


CHECKS: Mapping[str, Callable[[str], Any]] = {
    "network": network,
    "checkpoint": existing("--checkpoint"),
    "images": labelled,
    "classes": classes,
    "size": size,
    "mean": numbers("--mean", 0),
    "std": numbers("--std", 0.001),
    "discordance": discordance,
}
"""Of each answer, as a flag or typed."""
