"""The model card: the TOML table that describes a classifier. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from vision_evals.core.errors import UserError
from vision_evals.core.tables import NAME, PATTERNS, SHA256, Table, validate
from vision_evals.images.geometry import Geometry, Interpolation
from vision_evals.models.recipe import Recipe

MAX_SIDE = 4096
"""Pixels: a picture of that side takes 200 MB as numbers, and a batch many of them."""


def _size(value: object) -> object:
    if value is None or value == "none":  # TOML has no null
        return None
    sides = tuple(value) if isinstance(value, list | tuple) and len(value) == 2 else (value,)
    if not all(type(side) is int and 0 < side <= MAX_SIDE for side in sides):
        raise ValueError(
            f'must be a number of pixels from 1 to {MAX_SIDE:,}, [height, width] or "none"'
        )
    return sides if len(sides) == 2 else value


Size = Annotated[int | tuple[int, int] | None, BeforeValidator(_size)]
Number = Annotated[float, Field(strict=True)]
Numbers = tuple[Number, Number, Number]


class Input(Table):
    """From a picture to what the network is fed."""

    resize: Size = 256
    """Shorter side in pixels, or [height, width], or none."""
    crop: Size = 224
    """Side of the central crop in pixels, or [height, width], or none."""
    interpolation: Interpolation = "bilinear"
    """Of the resize."""
    mean: Numbers
    """Subtracted from each channel, in the network's order of channels and its ``range``."""
    std: Numbers
    """Divides each channel, in the network's order of channels and its ``range``."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order of the channels that the network was trained with."""
    range: Literal[1, 255] = 1
    """What white is before mean and std: 1 or 255."""

    @field_validator("std")
    @classmethod
    def _positive(cls, std: Numbers) -> Numbers:
        if min(std) <= 0:
            raise ValueError("must be three positive numbers")
        return std

    @model_validator(mode="after")
    def _consistent(self) -> Input:
        if self.range == 1 and max(self.mean) > 1:
            raise ValueError("mean counts 0 to 255 but range is 1; write range = 255")
        if self.range == 255 and 0 < max(self.mean) <= 1:
            raise ValueError("mean counts 0 to 1 but range is 255; leave range out")
        if self.crop is None and not isinstance(self.resize, tuple):
            raise ValueError(
                'crop = "none" leaves pictures of different sizes, which no batch holds; '
                "give a crop, or resize = [height, width]"
            )
        return self

    @property
    def geometry(self) -> Geometry:
        """What happens to a picture before it becomes pixels in [0, 1]."""
        return Geometry(self.resize, self.crop, self.interpolation)

    def __str__(self) -> str:
        """Return ``resize 256 bilinear, crop 224, mean ..., std ..., rgb`` for the report."""
        mean, std = (" ".join(f"{x:.4g}" for x in numbers) for numbers in (self.mean, self.std))
        scale = "" if self.range == 1 else f", range {self.range}"
        return f"{self.geometry}, mean {mean}, std {std}, {self.channels}{scale}"


class Card(Table):
    """How to build one classifier."""

    network: str = ""
    """``torchvision:NAME``, ``timm:NAME``, ``packaged:NAME`` or ``module:function``; with a recipe
    also ``small_cnn``, ``small_alexnet`` or a plain name of torchvision's."""
    start: str | None = None
    """With a recipe, instead of ``network``: the classifier that training starts from,
    ``NAME[@PATH]``; its last layer is replaced where the classes are others."""
    recipe: Recipe | None = None
    """How the network is trained here, instead of ``checkpoint``."""
    checkpoint: str | None = None
    """File of weights, relative to the file that holds the card."""
    weights: str | None = None
    """Name of published weights, such as IMAGENET1K_V1; by default the newest."""
    sha256: Annotated[str, Field(pattern=SHA256)] | None = None
    """Of the weights' file, 64 hexadecimal digits."""
    input: Input | None = None
    """Preprocessing; by default what the published weights say."""
    classes: str = "imagenet"
    """``imagenet``, or a file of class names relative to the file that holds the card: one a line,
    perhaps after number or synset, CSV, JSON, or a list of YAML."""
    published: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Published metrics as fractions in [0, 1], such as top1_accuracy."""

    @model_validator(mode="before")
    @classmethod
    def _one_origin(cls, keys: Any) -> Any:
        """Check which keys belong together, before the rest of the card is read."""
        trained = isinstance(keys, Mapping) and "recipe" in keys
        if not isinstance(keys, Mapping):
            return keys
        if not trained and "start" in keys:
            raise ValueError("start is where a training starts from: write a recipe, too")
        if "network" in keys and "start" in keys:
            raise ValueError("network and start are two networks; leave out one of them")
        if not trained and "network" not in keys:
            raise ValueError('key "network" is missing')
        if trained and not {"network", "start"} & set(keys):
            raise ValueError('key "network" is missing, or start = "NAME" to fine-tune one')
        for key in ("checkpoint", "weights", "sha256", "classes", "published"):
            if trained and key in keys:
                raise ValueError(f"a recipe makes its own weights and classes; leave out {key}")
        return keys

    @model_validator(mode="after")
    def _has_a_source(self) -> Card:
        if self.start is None and not (
            re.fullmatch(r"[^\s:]+:[^\s:]+", self.network)
            or (self.recipe is not None and re.fullmatch(r"[\w.-]+", self.network))
        ):
            raise ValueError(
                f"network = {self.network!r}: "
                'must be "torchvision:NAME", "timm:NAME", "packaged:NAME" or "module:function"'
            )
        return self

    @property
    def source(self) -> str:
        """What stands before the colon of ``network``."""
        return self.network.partition(":")[0]

    @property
    def name(self) -> str:
        """What stands behind the colon of ``network``."""
        return self.network.partition(":")[2]


def parse_cards(tables: Mapping[str, Any], where: str, table: str = "models") -> dict[str, Card]:
    """Turn the tables below ``[models]`` into cards.

    Args:
        tables: card name to its keys and values.
        where: the file, for messages.
        table: what the tables stand under in that file, for messages.

    Raises:
        UserError: every mistake in the first wrong card, with file, table, key, value and repair.
    """
    cards = {}
    for name, keys in tables.items():
        place = f"{where}, [{table}.{name}]"
        if not re.fullmatch(NAME, name):
            raise UserError(f"{place}: a name {PATTERNS[NAME]}")
        if not isinstance(keys, Mapping):
            raise UserError(f"{place}: must be a table")
        cards[name] = validate(Card, keys, place)
    return cards
