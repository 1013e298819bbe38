"""A network as it was judged, and how it was trained here."""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field

from vision_evals.log.record import Record


class Epoch(Record):
    """One epoch of a training, measured when it ended."""

    epoch: int
    """From 1; 0 is the network before its first step."""
    steps: int
    """Steps of the optimiser so far."""
    losses: tuple[float, ...] = ()
    """Cross-entropy in nats of each step's batch, in training mode, without penalties."""
    train_loss: float | None = None
    """Mean of ``losses``; null before the first step."""
    train_accuracy: float | None = None
    """Of the same batches, in training mode; null before the first step."""
    validation_loss: float | None = None
    """Cross-entropy in nats on the validation images, in eval mode; null when not finite."""
    validation_accuracy: float | None = None
    """On the validation images, in eval mode."""
    dead_fraction: float | None = None
    """Share of rectified units never above 0 on the validation images; null without rectifiers."""
    dead_by_layer: dict[str, float] = Field(default_factory=dict)
    """The same by rectifier call, in the order of the forward."""
    died: int = 0
    """Units dead now and alive an epoch ago."""
    revived: int = 0
    """Units alive now and dead an epoch ago."""
    saturated_fraction: float | None = None
    """Share of activations whose slope is under 1 % of their function's steepest, on the
    validation images; null without activation functions."""
    gradient_ratio: float | None = None
    """Norm of the loss's gradient in the first layer's weights over that in the last's, mean over
    the epoch's steps; null before the first step."""


class Training(Record):
    """One training of a recipe, from one seed."""

    seed: int
    """Of initialisation, order of images, augmentation and dropout."""
    data: str
    """What it was trained on."""
    train_images: int
    """Images that a step may be made on."""
    validation_images: int
    """Images held out to validate; no step is made on them."""
    epochs: tuple[Epoch, ...] = ()
    """From 0, before the first step; a stopped or diverged training has fewer."""
    returned_epoch: int | None = None
    """Whose weights were returned; null when it diverged."""
    stopped_early: bool = False
    """Whether early stopping ended it before its last epoch."""
    diverged: str | None = None
    """Where the loss or a weight stopped being finite; null when it did not."""
    small_weight_fraction: float | None = None
    """Share of the returned weights of convolutions and dense layers below 1e-3 of the largest in
    their layer, in absolute value."""
    seconds: float = 0.0
    """Of the training itself, also where the cache had it."""
    cached: bool = False
    """Whether it was trained in an earlier run."""


class ProbeAnswers(Record):
    """What a classifier answers to eight fixed inputs of its own size, in fp32.

    They show what no fingerprint sees: a file that a forward reads, a variable of the environment,
    a function of a library that was replaced.
    """

    inputs: str = ""
    """sha256 of the inputs; empty without answers."""
    logits: tuple[str, ...] = ()
    """Of each seed of a recipe, or of the one network: float32, little-endian, input by input, as
    base64. Of more than 1,000 classes those whose indices leave one rest are added up."""
    noise: float | None = None
    """How far a logit may be from another run's on this machine: three times its largest distance
    between a batch of eight and one of two, or twelve roundings in fp32 where they are more."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Where they were computed: device, threads, and versions."""
    unknown: str | None = None
    """Why there are none."""


class Classifier(Record):
    """A network as it was judged: everything that changes its numbers."""

    alias: str
    """Its name in ids, thresholds and colours."""
    network: str
    """Such as ``torchvision:alexnet``."""
    weights: str | None = None
    """Where the weights came from: a published name, a package, a file name without folders."""
    sha256: str | None = None
    """Of the weights' file."""
    fingerprint: str | None = None
    """Of weights, preprocessing, class map, hooks, network and source; null when not loaded."""
    answers: ProbeAnswers | None = None
    """What it answers to eight fixed inputs; null when not loaded, and in older logs."""
    input: str = ""
    """The preprocessing in words: ``resize 256 bilinear, crop 224, mean ..., std ..., rgb``."""
    class_map: str = ""
    """Which classes it knows, such as ``imagenet``; empty in older logs."""
    class_count: int | None = None
    """How many classes it knows."""
    class_names: tuple[str, ...] = ()
    """By index, so that rows can be read without the network."""
    synsets: tuple[str, ...] = ()
    """By index; empty where they are not known, or those of `imagenet` that the package holds."""
    parameters: int | None = None
    """How many weights it has."""
    published: dict[str, float] = Field(default_factory=dict)
    """Published metrics by name."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it was trained here, defaults written out; empty for a network that was not."""
    trainings: tuple[Training, ...] = ()
    """One for each seed of its recipe."""
    series: str | None = None
    """Name of the series of checkpoints that it is one of; null where it stands alone."""
    place: float | None = None
    """Its place in that series, such as its epoch."""
    epoch: float | None = None
    """The epoch after which it was saved, where its file's name says so."""
    unavailable: str | None = None
    """Why it was not judged, if it was not."""
    fetchable: bool = False
    """Whether naming it on the command line would fetch what is missing."""
    load_seconds: float = 0.0
    """Reading, checking and building."""

    @property
    def classes(self) -> str:
        """Its classes in words: ``imagenet (1000)``."""
        count = "" if self.class_count is None else f" ({self.class_count})"
        return f"{self.class_map}{count}"


def epoch_of(alias: str, place: float | None) -> float | None:
    """Return the place of a checkpoint where that is the number behind "epoch" in its alias."""
    if place is None:
        return None
    number = re.escape(f"{place:.15g}")
    named = re.search(rf"epochs?[._-]?0*{number}(?!\d)", alias, re.IGNORECASE)
    return place if named else None
