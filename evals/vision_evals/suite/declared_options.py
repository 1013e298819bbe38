"""Every option, declared once.

From `OptionsTable` come pytest's ``--evals-*``, the keys of ``[tool.evals]``, the flags of the
``evals`` commands and docs/options.md: a new option is one entry there. The plugin loads this
module in every project that has the package installed, so it imports the standard library alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vision_evals.suite.option_types import (
        Choice,
        Count,
        Depth,
        Part,
        Pictures,
        Precision,
        RunId,
        Seconds,
        Seed,
    )

SEED = 0
"""Seed of a run, and of computations outside a run."""

PREFIX = "--evals-"
"""Prefix of every option, so that it collides with no other plugin."""


def option(
    metavar: str | None, text: str, on: str = "", *, otherwise: str | None = None
) -> Mapping[str, Any]:
    """Declare an option.

    Args:
        metavar: what a value looks like; None for a switch.
        text: its help, without the default.
        on: the ``evals`` commands that take it as pytest does, separated by spaces.
        otherwise: what happens without it, where the default does not say so.
    """
    return {"metavar": metavar, "help": text, "commands": (*on.split(),), "otherwise": otherwise}


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class OptionsTable:
    """The value of every option as written; `options.Options` has the resolved paths."""

    model: tuple[str, ...] = field(default=(), metadata=option(
        "[ALIAS=]NAME[@PATH]", "judge this classifier; PATH may be a pattern, as in PATH_*.pth",
        "predict fool selftest noise", otherwise="those of the suite, else the packaged ones"))
    cards: str | None = field(default=None, metadata=option(
        "FILE", "TOML file with model cards of your own",
        "models predict fool check-file selftest noise"))
    images: tuple[str, ...] = field(default=(), metadata=option(
        "[ROLE=]SOURCE", "images of a role; of the role photographs, if none is written",
        "selftest noise", otherwise="imagenet_samples"))
    limit: Count | None = field(default=None, metadata=option(
        "N", "use only N images of each set, chosen by the hash of their ids", "selftest",
        otherwise="all"))
    device: str = field(default="auto", metadata=option(
        "auto|DEVICE", "device, such as cpu, cuda:1 or mps", "predict fool selftest"))
    precision: Precision = field(default="fp32", metadata=option(
        "fp32|tf32|bf16", "precision of convolutions and matrix products"))
    batch_size: Count | Literal["auto"] = field(default="auto", metadata=option(
        "auto|N", "images in one forward pass"))
    seed: Seed = field(default=SEED, metadata=option(
        "N", "seed of every random generator", "selftest"))
    run_dir: str = field(default="runs", metadata=option(
        "DIR", "folder of the runs", "selftest merge accept finished"))
    run_id: RunId | None = field(default=None, metadata=option(
        "ID", "name of the run, which `evals finished` and `evals accept` take",
        otherwise="the time"))
    report: str | None = field(default=None, metadata=option(
        "PATH|none", "HTML report", "selftest merge", otherwise="report.html next to the run log"))
    report_dir: str | None = field(default=None, metadata=option(
        "DIR", "also write the report as a folder, with its pictures as files",
        "selftest merge report"))
    templates: str | None = field(default=None, metadata=option(
        "DIR", "templates of your own, which replace the report's of the same names",
        "selftest merge report compare serve"))
    markdown: str | None = field(default=None, metadata=option(
        "PATH", "write a summary in Markdown; it is also appended to $GITHUB_STEP_SUMMARY if set",
        "merge"))
    mlflow: str | None = field(default=None, metadata=option(
        "URI", "log the run to this MLflow server or store"))
    pictures: Pictures | Literal["none"] = field(default=8, metadata=option(
        "N|none", "pictures in the report for each check and classifier, up to 8"))
    baseline: str | None = field(default=None, metadata=option(
        "RUN[:ALIAS]", "compare gates with this run, image by image", "merge"))
    timeout: Seconds | None = field(default=None, metadata=option(
        "SECONDS", "time that one check may take on one classifier, and that loading it may take; "
        "one that takes longer is INVALID", otherwise="no limit"))
    isolate: bool = field(default=False, metadata=option(
        None, "judge each classifier in a process of its own: one that ends its process is INVALID "
        "and the others are judged; costs a decode of the images for each classifier"))
    same: Choice = field(default="fail", metadata=option(
        "fail|skip", "whether a gate that compares a network with itself fails or is skipped",
        "merge"))
    validity: Depth = field(default="cheap", metadata=option(
        "cheap|thorough", "which validity checks run", "selftest"))
    inconclusive: Choice = field(default="fail", metadata=option(
        "fail|skip", "whether an inconclusive verdict fails or is skipped", "merge"))
    keep_adversarials: bool = field(default=False, metadata=option(
        None, "keep every image's smallest adversarial as an 8-bit PNG"))
    recipes: bool = field(default=False, metadata=option(
        None, "also train and judge recipes when --evals-model names classifiers"))
    profile: bool = field(default=False, metadata=option(
        None, "show where the time went: decoding, forwards, attacks, rows, report, ..."))
    trace: str | None = field(default=None, metadata=option(
        "DIR", "write torch profiler traces of the first batches of each pass"))
    shard: Part | None = field(default=None, metadata=option(
        "K/N", "run part K of N of every image set; `evals merge` joins the parts"))
    cache: str = field(default=".evals_cache", metadata=option(
        "DIR", "folder where finished shards and trainings are kept", "noise merge cache selftest"))
    no_cache: bool = field(default=False, metadata=option(
        None, "compute everything again, and keep nothing", "selftest"))
    models: Mapping[str, Any] = field(default_factory=dict)
    """Model cards: a table of ``[tool.evals]``, not an option."""
# fmt: on


@dataclass(frozen=True, slots=True)
class Option:
    """A declared option: a row of its documentation."""

    key: str
    """In ``[tool.evals]``, where ``-`` may stand for ``_``."""
    default: Any
    metavar: str | None
    """What a value looks like; None for a switch."""
    help: str
    """Without the default."""
    commands: tuple[str, ...]
    """The ``evals`` commands that take it as pytest does."""
    otherwise: str | None

    @property
    def flag(self) -> str:
        """As pytest and the commands take it."""
        return PREFIX + self.key.replace("_", "-")

    @property
    def repeated(self) -> bool:
        """Whether it may be given several times."""
        return isinstance(self.default, tuple)

    @property
    def default_text(self) -> str | None:
        """What happens without it; None where that is obvious."""
        if self.otherwise is not None or self.metavar is None or self.default is None:
            return self.otherwise
        return str(self.default)

    @property
    def sentence(self) -> str:
        """Its help, with the default."""
        several = "; may be given several times" if self.repeated else ""
        default = "" if self.default_text is None else f" (default: {self.default_text})"
        return self.help + several + default

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of argparse, and so of pytest; without the option, it is None."""
        if self.metavar is None:
            return {"action": "store_true", "default": None, "help": self.sentence}
        action = "append" if self.repeated else "store"
        return {"action": action, "metavar": self.metavar, "help": self.sentence}


def declared(table: type = OptionsTable) -> tuple[Option, ...]:
    """Return the options of a table, in its order: those of this package, if none is named."""
    return tuple(
        Option(entry.name, entry.default, **entry.metadata)
        for entry in fields(table)
        if entry.metadata
    )
