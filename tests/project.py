"""Small projects that tests judge: three classes named by colours, pictures, cards, a suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}

CLASSES = "".join(f"{name}\n" for name in COLORS)
"""The file that cards call ``classes.txt``."""

NETS = """
from torch import nn
class Color(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10
"""
"""A network that says which channel is brightest."""


def suite(title: str, expect: str, models: str = "") -> str:
    """Return a suite with the one check ``colors``: the accuracy on ``pictures``.

    Args:
        title: of the suite.
        expect: what the check expects, as inline tables.
        models: the suite's, quoted; none without it.
    """
    named = f"models = [{models}]\n" if models else ""
    return f"""
evals = 1
title = "{title}"
{named}[images]
photographs = "pictures"
[[check]]
name = "colors"
measure = "accuracy"
images = "photographs"
expect = [{expect}]
"""


SUITE = suite("Colours", '{ metric = "top1_accuracy", at_least = 0.9 }', '"color"')


def card(name: str, network: str, side: int = 16, classes: str = "classes.txt") -> str:
    """Return a card for ``pyproject.toml``: squares of ``side`` pixels, not normalised."""
    return f"""
[tool.evals.models.{name}]
network = "{network}"
classes = "{classes}"
input = {{ resize = {side}, crop = {side}, mean = [0, 0, 0], std = [1, 1, 1] }}
"""


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts into files of a folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def pictures(
    folder: Path, count: int, size: tuple[int, int], names: Iterable[str] = COLORS
) -> None:
    """Write pictures of one colour, in a folder for each class.

    Args:
        folder: the image set's.
        count: of pictures a class; each is a pixel wider than the one before it.
        size: of the first, width and height.
        names: of the classes.
    """
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture = Image.new("RGB", (size[0] + index, size[1]), COLORS[name])
            picture.save(folder / name / f"{index}.png")


def shades(folder: Path, leads: Iterable[int], side: int, file: str = "{index}.png") -> None:
    """Write grey pictures in which the channel of their class is brighter than the others.

    Args:
        folder: the image set's.
        leads: by how many levels of 255, for each picture of a class.
        side: of a picture.
        file: its name, from ``name`` of the class, ``index`` and ``lead``.
    """
    for channel, name in enumerate(COLORS):
        (folder / name).mkdir(parents=True)
        for index, lead in enumerate(leads):
            pixels = np.full((side, side, 3), 100, dtype=np.uint8)
            pixels[..., channel] += np.uint8(lead)
            place = folder / name / file.format(name=name, index=index, lead=lead)
            Image.fromarray(pixels).save(place)
