"""The run on disk: ``run.json`` beside ``tables/*.parquet`` and ``pictures/*``.

The log is the artefact; the report, comparisons and gates are views of it. Absent values are null
with a reason, never NaN. Sizes are in pixels, epsilons and pixel values in [0, 1], times in
seconds.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 1
"""Format of ``run.json``. A loader refuses a newer one."""


Precision = Literal["fp32", "tf32", "bf16"]
"""Of convolutions and matrix products."""

Depth = Literal["cheap", "thorough"]
"""How far validity checks go: cheap ones with every check, thorough ones when somebody asks."""

Status = Literal["running", "finished", "interrupted"]
"""``running`` in a finished process means that it was killed."""


class Record(BaseModel):
    """Frozen, strict about its keys, and documented by the strings below its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class Verdict(StrEnum):
    """What a check says of a classifier, worst first."""

    INVALID = "invalid"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    PASSED = "passed"
    RECORDED = "recorded"
    NOT_APPLICABLE = "not applicable"
    UNAVAILABLE = "unavailable"

    @property
    def judged(self) -> bool:
        """Whether an expectation was held against a number (or the number was refused)."""
        return self in _JUDGED


_JUDGED = {Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE, Verdict.PASSED}


class Metric(Record):
    """A named number with unit, n, denominator, interval and direction."""

    name: str
    """Such as ``top5_accuracy``."""
    at: str | None = None
    """Value of the axis as the suite wrote it (``1/255``), null for metrics without an axis."""
    value: float | None
    """The number; null where it does not exist, and then ``reason`` says why."""
    unit: str
    """``fraction``, ``nats``, ``images``, ..."""
    n: int
    """How many observations it rests on: the size of the denominator."""
    denominator: str
    """What was counted, in words: ``images``, ``images correct when clean``."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""
    confidence: float | None = None
    """Two-sided confidence of the interval, such as 0.95."""
    method: str | None = None
    """How the interval was made: ``wilson``, ``bootstrap``; null without an interval."""
    reason: str | None = None
    """Why there is no value, or no interval."""
    lost: bool = False
    """Whether there should be a value and is none, as after a training that diverged: what is
    expected of it then fails. Where the question does not apply, it is not lost."""
    spread: tuple[float, ...] = ()
    """Of a recipe: the metric after training from each of its seeds; ``value`` is their median."""
    higher_is_better: bool = True
    """Direction, for thresholds, colours and trends."""
    about: str = ""
    """What it is, in a sentence: the glossary's."""


class Reference(Record):
    """A number from elsewhere shown beside a metric; never a pass mark."""

    label: str
    """Such as ``human annotator 1``."""
    metric: str
    """Which metric it stands beside."""
    value: float
    """In the metric's unit."""
    n: int | None = None
    """Observations behind it, where published."""
    low: float | None = None
    """Lower end of its 95 % interval."""
    high: float | None = None
    """Upper end of its 95 % interval."""
    source: str
    """Paper and section."""
    classes: str | None = None
    """Class map it is about, such as ``imagenet``; null for all."""


class Validity(Record):
    """Evidence that the evaluation itself can be trusted."""

    id: str = ""
    """Such as ``S5``; empty for what only one measure asks."""
    name: str
    """Such as ``output is logits``."""
    outcome: Literal["holds", "falls", "cannot tell"]
    """What cannot be told is shown, and decides nothing."""
    severity: Literal["error", "warn"] = "error"
    """A check that falls makes the verdict INVALID; one that warns is shown."""
    cost: Depth = "cheap"
    """Cheap ones run with every check, the others when somebody asks."""
    evidence: str
    """The numbers, in one sentence."""
    meaning: str
    """What it guards against, in one sentence."""
    source: str = ""
    """Paper and section, where it comes from one."""

    @property
    def invalidates(self) -> bool:
        """Whether no number that depends on it can be believed."""
        return self.outcome == "falls" and self.severity == "error"


class Judgement(Record):
    """One expectation held against one metric."""

    metric: str
    """Name of the metric."""
    at: str | None = None
    """Value of the axis."""
    wanted: str
    """The expectation in words: ``at least 0.9``, ``at most published + 0.01 = 0.58``."""
    threshold: float | None
    """The number it came to; null when the reference has none."""
    value: float | None
    """The metric's value."""
    verdict: Verdict
    """Of this expectation alone."""
    sentence: str
    """What a person reads, numbers first."""
    severity: Literal["error", "warn"] = "error"
    """``warn``: shown, never fails the check."""
    known: str | None = None
    """Reason why a fall is expected."""
    floor: float | None = None
    """By how much this machine moves the metric when only batch size, threads or device change, in
    its unit: a value that lies no further from its threshold is inconclusive. Null where it was
    not measured."""


class Line(Record):
    """One line of a plot."""

    name: str
    """What it is: ``validation loss``, ``airliner``, ``seed 3``."""
    x: tuple[float, ...]
    """In rising order."""
    y: tuple[float | None, ...]
    """As many as ``x``; null where there is none."""


class Mark(Record):
    """A place on the x axis worth pointing at."""

    x: float
    """Where on the axis."""
    label: str
    """Such as ``weights returned`` or ``crossing``."""


class Plot(Record):
    """Lines over one axis, drawn by the report as they stand here."""

    title: str
    """What is drawn: plots of several classifiers with one title share a frame."""
    about: str = ""
    """How to read it, in a sentence."""
    x_label: str
    """Quantity and unit of the x axis."""
    y_label: str
    """Quantity and unit of the y axis."""
    lines: tuple[Line, ...]
    """Drawn in this order."""
    ticks: tuple[str, ...] = ()
    """Names of x = 0, 1, 2, ... where these are places and not numbers, such as layers."""
    marks: tuple[Mark, ...] = ()
    """Upright lines with a word."""
    share: bool = False
    """Whether y is a share, drawn from 0 to 1."""


class Panel(Record):
    """One of the parts of a picture that stand side by side, all of one width."""

    title: str
    """What it is: ``image``, ``perturbation x 36``, ``adversarial at 2/255``."""
    said: str = ""
    """What the network says of it: ``gibbon 0.99``."""


class Picture(Record):
    """One picture that the report shows."""

    image: str
    """Id of the image in its set."""
    file: str
    """Path below the run directory: ``pictures/...webp``."""
    sample: Literal["worst", "fair"]
    """Why it was picked: among the worst, or by hash of id."""
    caption: str
    """What is seen, for the alt text: label and prediction."""
    panels: tuple[Panel, ...] = ()
    """From left to right, where there are several."""
    plot: Plot | None = None
    """What the network says of it along an axis, such as the logits over epsilon."""


class Item(Record):
    """One check on one classifier: one pytest item."""

    id: str
    """pytest's node id, which reproduces it: ``suites/accuracy.toml::photographs[alexnet]``."""
    suite: str
    """Path of the suite."""
    check: str
    """Name of the check."""
    classifier: str
    """Alias of the classifier."""
    measure: str
    """Name of the measure."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Every parameter of the measure, defaults written out."""
    images: str | None = None
    """Role of its image set, a key of ``image_sets``."""
    verdict: Verdict
    """The worst of its judgements and validity checks."""
    sentence: str
    """The verdict in one line, numbers first."""
    metrics: tuple[Metric, ...] = ()
    """Every metric of the measure."""
    references: tuple[Reference, ...] = ()
    """Numbers from elsewhere to show beside them."""
    judgements: tuple[Judgement, ...] = ()
    """One for each expectation."""
    validity: tuple[Validity, ...] = ()
    """Whether the numbers can be trusted."""
    table: str | None = None
    """Rows, below the run directory: ``tables/....parquet``."""
    pictures: tuple[Picture, ...] = ()
    """What the report shows."""
    plots: tuple[Plot, ...] = ()
    """What the report draws beside the numbers."""
    seconds: float = 0.0
    """Forward passes and rows of this item, as if it had been asked alone."""


class Suite(Record):
    """What a suite says of itself."""

    path: str
    """As in the node ids."""
    title: str
    """One line."""
    about: str = ""
    """What it asks and why, for a student."""


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
    """Where the loss or a weight stopped being a number; null when it did not."""
    small_weight_fraction: float | None = None
    """Share of the returned weights of convolutions and dense layers below 1e-3 of the largest in
    their layer, in absolute value."""
    seconds: float = 0.0
    """Of the training itself, also where it was found in the cache."""
    cached: bool = False
    """Whether it was trained in an earlier run."""


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
    """Of weights, preprocessing, class map, network and its source; null when not loaded."""
    input: str = ""
    """The preprocessing in words: ``resize 256 bilinear, crop 224, mean ..., std ..., rgb``."""
    classes: str = ""
    """Class map, such as ``imagenet (1000)``."""
    class_names: tuple[str, ...] = ()
    """By index, so that rows can be read without the network."""
    parameters: int | None = None
    """How many weights it has."""
    published: dict[str, float] = Field(default_factory=dict)
    """Published metrics by name."""
    recipe: dict[str, Any] = Field(default_factory=dict)
    """How it was trained here, defaults written out; empty for a network that was not."""
    trainings: tuple[Training, ...] = ()
    """One for each seed of its recipe."""
    unavailable: str | None = None
    """Why it was not judged, if it was not."""
    load_seconds: float = 0.0
    """Reading, checking and building."""


class Unreadable(Record):
    """A picture that could not be decoded."""

    image: str
    """Its id."""
    reason: str
    """What is wrong with it."""


class ImageSet(Record):
    """Which images a role stood for."""

    role: str
    """Such as ``photographs``."""
    source: str
    """What was asked for: ``imagenet_samples``, a folder, a manifest."""
    n: int
    """Images in it after the limit."""
    total: int
    """Images in it before the limit."""
    limit: int | None = None
    """``--evals-limit``; a limited run is never gated against a full one."""
    sample_of: str | None = None
    """Class map, such as ``imagenet``, that they are declared to be a random sample of: published
    accuracies are only held against such images."""
    fingerprint: str | None = None
    """Of ids, bytes and labels; null when the walk did not finish."""
    unreadable: tuple[Unreadable, ...] = ()
    """Pictures left out, with reasons."""
    about: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Image id to what is known of it: title, artist, year, shift, source."""
    oriented: int = 0
    """Pictures whose EXIF orientation was ignored, as in the published numbers."""


class Walk(Record):
    """Where the time of one pass went; decoding threads run beside the networks."""

    images: str
    """Role of the image set."""
    batch_size: int | None = None
    """Images in one forward; null in logs that did not say."""
    n: int
    """Images seen."""
    seconds: float
    """From first to last image."""
    decode_seconds: float
    """Reading, decoding and resizing, added over threads."""
    wait_seconds: float
    """How long the networks waited for pixels."""
    forward_seconds: float
    """Networks and measures."""
    rows_seconds: float
    """Moving rows to the host and to disk."""
    picture_seconds: float = 0.0
    """Drawing what the report shows, after the walk."""
    validity_seconds: float = 0.0
    """Asking classifiers and attacks whether their numbers can be trusted, after the walk."""


class Settings(Record):
    """What else changes a number."""

    seed: int = 0
    """Every generator derives from it."""
    device: str
    """Such as ``cpu`` or ``cuda:0``."""
    device_name: str
    """Such as the name of the processor or GPU."""
    precision: Precision = "fp32"
    """Of convolutions and matrix products."""
    batch_size: int
    """Images in one forward of 224 x 224 pixels; each walk says its own."""
    memory_layout: str = "contiguous"
    """Of the pixel tensors."""
    noise: str | None = None
    """File in the cache that the noise floors came from; null where none were measured."""


class Environment(Record):
    """Where it ran."""

    versions: dict[str, str]
    """Of Python and every library that changes a number."""
    platform: str
    """Operating system and processor architecture."""
    threads: int
    """Of torch on the CPU."""
    commit: str | None = None
    """git commit of the folder the run was started in."""
    dirty: bool | None = None
    """Whether that checkout had changes."""


class Notice(Record):
    """What noticed a mutant."""

    item: str
    """Id of the item."""
    name: str
    """Metric, or validity check."""
    sentence: str
    """What it said, numbers first."""


class Mutant(Record):
    """A classifier broken on purpose, and whether the suites noticed."""

    name: str
    """Such as ``bgr``."""
    about: str
    """What was broken, in words."""
    classifier: str
    """Alias of the classifier that was broken."""
    inapplicable: str | None = None
    """Why it cannot be broken this way, if it cannot: the mutant then leaves the rate."""
    behaviour: Notice | None = None
    """An expectation of a metric that held before and fell, every validity check set aside."""
    structure: Notice | None = None
    """A validity check that held before and fell."""
    suites: tuple[str, ...] = ()
    """Which were asked, in this order, until both had noticed."""
    excuse: str | None = None
    """Why it is known to survive."""
    required: bool = False
    """Whether ``suites/mutants.toml`` says that it must not survive."""
    seconds: float = 0.0
    """Spent on it."""

    @property
    def killed(self) -> bool:
        """Whether anything noticed."""
        return self.behaviour is not None or self.structure is not None


class Run(Record):
    """``run.json``: one execution."""

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    """Format of this file."""
    id: str
    """Name of the run directory."""
    status: Status
    """How far it came."""
    started: str
    """ISO 8601, UTC."""
    seconds: float = 0.0
    """From the first item to the last write."""
    command: str
    """What was typed."""
    settings: Settings
    environment: Environment
    suites: tuple[Suite, ...] = ()
    classifiers: tuple[Classifier, ...] = ()
    image_sets: tuple[ImageSet, ...] = ()
    items: tuple[Item, ...] = ()
    walks: tuple[Walk, ...] = ()
    mutants: tuple[Mutant, ...] = ()
    """Of a self-test: what was broken on purpose; its items are those of the whole network."""
    not_run: tuple[str, ...] = ()
    """Ids of selected items that were never judged."""
    warnings: tuple[str, ...] = ()
    """What a person should know, and what libraries warned of, each once."""


def write(run: Run, directory: Path) -> Path:
    """Write ``run.json`` so that a reader sees the old one or the new one, never half of one."""
    path = directory / "run.json"
    partial = path.with_suffix(".json.part")
    partial.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return partial.replace(path)


def read(path: Path) -> Run:
    """Read a run directory or its ``run.json``.

    Raises:
        UserError: no such run, a damaged one, or one written by a newer version.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such run; name a folder that holds run.json") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{file}: not a readable run log: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{file}: written in format {version}, this version reads up to {VERSION}; "
            "upgrade vision-evals"
        )
    try:
        return Run.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: not a run log: {where}: {first['msg']}") from None
