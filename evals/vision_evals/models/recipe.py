"""A recipe: how a network is trained, declared in its model card. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vision_evals.core.tables import Table

Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
Positive = Annotated[float, Field(strict=True, gt=0)]
NotNegative = Annotated[float, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Pair = tuple[Annotated[float, Field(strict=True)], Annotated[float, Field(strict=True)]]

BUILT_IN_DATA = ("digits", "FashionMNIST", "CIFAR10")
"""Data by a name that is no path; a folder of that name is reached as ``./digits``."""

NETWORKS = ("small_cnn", "small_alexnet")
"""Networks for small pictures; every network of torchvision can be named, too."""


class Optimizer(Table):
    """An optimiser of ``torch.optim`` and what is added to the loss."""

    name: Literal["sgd", "adam", "adamw", "rmsprop", "adagrad"] = "sgd"
    """Its class in ``torch.optim``."""
    lr: Positive
    """Size of the step."""
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = 0.0
    """Share of the last step that is made again; of sgd and rmsprop."""
    weight_decay: NotNegative = 0.0
    """L2 penalty (ridge): torch.optim's ``weight_decay``."""
    l1: NotNegative = 0.0
    """L1 penalty (lasso): this times the sum of the absolute weights is added to the loss."""

    @model_validator(mode="after")
    def _has_momentum(self) -> Optimizer:
        if self.momentum and self.name not in {"sgd", "rmsprop"}:
            raise ValueError(f"{self.name} has no momentum of this kind; leave out momentum")
        return self


class Augment(Table):
    """Random crops and flips of the training images; validation is resized and cropped."""

    scale: Pair = (0.08, 1.0)
    """Share of the picture's area that a crop takes: lowest, highest."""
    ratio: Pair = (0.75, 1.33)
    """Width over height of a crop: lowest, highest."""
    flip: bool = True
    """Whether every second picture is mirrored, left to right."""

    @model_validator(mode="after")
    def _ordered(self) -> Augment:
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"scale = [{low:g}, {high:g}] must be rising shares in (0, 1]")
        low, high = self.ratio
        if not 0 < low <= high:
            raise ValueError(f"ratio = [{low:g}, {high:g}] must be rising and above 0")
        return self


class EarlyStopping(Table):
    """Stop when the validation loss no longer falls, and return its lowest point."""

    patience: Count
    """Epochs without a new lowest validation loss after which training stops."""


def _init(text: str) -> str:
    word, colon, number = text.partition(":")
    if word == "normal" and colon and re.fullmatch(r"[0-9]*[.]?[0-9]+(e-?[0-9]+)?", number):
        return text
    if text not in {"default", "kaiming", "xavier"}:
        raise ValueError('must be "default", "kaiming", "xavier" or "normal:STD"')
    return text


def _seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError("must hold one seed at least")
    if len(set(seeds)) < len(seeds):
        raise ValueError("holds a seed twice, and the same training twice adds nothing")
    return seeds


class Recipe(Table):
    """``[models.NAME.recipe]``: what a network is trained on, and how."""

    data: str
    """``digits``, ``FashionMNIST``, ``CIFAR10``, or a folder of class folders, relative to the
    file that holds the card; with ``train`` and ``val`` inside, those are used as they are."""
    root: str | None = None
    """Folder in which torchvision's data sets lie; by default ``datasets`` below torch's hub."""
    examples: Count | None = None
    """Only so many training images, by hash: what overfitting needs; by default all."""
    validation: Share = 0.2
    """Share of the images set aside to validate, by hash; ``val`` of a folder goes first."""
    size: Annotated[int, Field(strict=True, ge=8)] | None = None
    """Side in pixels of what the network is fed; by default 32, and 224 for folders."""
    optimizer: Optimizer
    """``{ name = "sgd", lr = 0.05, momentum = 0.9 }``."""
    epochs: Count
    """Passes over the training images, at most."""
    batch_size: Count = 64
    """Images in one step; the last, smaller batch of an epoch is a step, too."""
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0)], ...], AfterValidator(_seeds)
    ] = (0,)
    """One training each; a metric is the median over them, and the spread is shown."""
    activation: Literal["relu", "leaky_relu", "tanh", "sigmoid"] | None = None
    """Put in place of the network's ReLUs; by default they stay."""
    init: Annotated[str, AfterValidator(_init)] = "default"
    """First weights of convolutions and dense layers: ``default`` (torch's), ``kaiming``,
    ``xavier``, or ``normal:STD``."""
    bias_start: Annotated[float, Field(strict=True)] | None = None
    """First bias of every convolution and dense layer but the last; by default torch's."""
    dropout: Annotated[float, Field(strict=True, ge=0, lt=1)] | None = None
    """Probability of every dropout layer; by default the network's own."""
    augment: Augment | None = None
    """Random crops and flips, of folders."""
    early_stopping: EarlyStopping | None = None
    """By default all epochs run and the last weights are returned."""

    @model_validator(mode="after")
    def _augmented_folders(self) -> Recipe:
        if self.augment is not None and self.data in BUILT_IN_DATA:
            raise ValueError(f'augment is for folders; leave it out with data = "{self.data}"')
        return self
