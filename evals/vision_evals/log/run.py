"""``run.json``: one execution."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from vision_evals.log.classifier import Classifier
from vision_evals.log.comparison import Gate
from vision_evals.log.images import ImageSet, PassRecord
from vision_evals.log.item import Item
from vision_evals.log.mutant import Mutant
from vision_evals.log.record import Precision, Record, Status
from vision_evals.log.verdicts import Judgement, Verdict


class Stage(Record):
    """One kind of work."""

    name: str
    """``load``, ``wait``, ``forward``, ``backward``, ``attack``, ``measure``, ``rows``, ``cache``,
    ``validity``, ``pictures``, ``report``, or in threads ``read``, ``decode``, ``preprocess``."""
    seconds: float
    """Without the stages inside it, which have their own."""
    calls: int
    """How often it started."""
    beside: bool = False
    """Whether threads did it, with their seconds added up: it is not a part of the total."""


class Profile(Record):
    """``--evals-profile``."""

    seconds: float
    """Of the whole run."""
    stages: tuple[Stage, ...]
    """The costliest first, those of threads last."""
    synchronised: bool
    """Whether each stage waited for the device: exact times of a slower run."""
    trace: tuple[str, ...] = ()
    """Files that torch's profiler wrote, of the first batches of each pass."""

    @property
    def rest(self) -> float:
        """Seconds that no stage accounts for."""
        return self.seconds - sum(stage.seconds for stage in self.stages if not stage.beside)


VERSION = 3
"""Format of ``run.json``. A newer one is refused; `log.upgrade` reads older ones."""


class Suite(Record):
    """A suite of the run."""

    path: str
    """As in the node ids."""
    title: str
    """One line."""
    about: str = ""
    """What it checks and why, for a student."""
    sha256: str = ""
    """Of its text; empty in older logs."""
    gates: int = 0
    """Statistical gates in the file, also those that were not selected."""
    familywise: bool = False
    """Whether all its gates share one error rate: each gets an equal part."""


class Settings(Record):
    """Settings that change a number."""

    seed: int = 0
    """Every generator derives from it."""
    device: str
    """Such as ``cpu`` or ``cuda:0``."""
    devices: tuple[str, ...] = ()
    """Each of them, where the parts of a run had several; empty where all had one."""
    device_name: str
    """Such as the name of the processor or GPU."""
    precision: Precision = "fp32"
    """Of convolutions and matrix products."""
    batch_size: int
    """Images in one forward of 224 x 224 pixels; each pass records its own."""
    memory_layout: str | None = None
    """Of activations, in older logs; in newer ones each fast path records its own."""
    shard: str | None = None
    """``2/8``: only this part of every image set was looked at, to be merged with the others."""
    pictures: int = 8
    """Pictures a check and classifier."""
    noise: str | None = None
    """File in the cache with the noise floors; null where none were measured."""
    pyproject: str | None = None
    """File whose ``[tool.evals]`` was read, relative to the current folder; null without one."""


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


class Baseline(Record):
    """The run that checkpoints are compared with."""

    id: str
    """Name of its run directory."""
    source: str
    """As the user named it."""
    started: str
    """ISO 8601, UTC."""
    commit: str | None = None
    """git commit it was made from."""
    alias: str | None = None
    """Its classifier that every classifier is compared with; null: the one of the same alias."""


class Run(Record):
    """``run.json``: one execution."""

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    """Format of this file."""
    id: str
    """Name of the run directory."""
    status: Status
    """Whether it finished."""
    started: str
    """ISO 8601, UTC."""
    seconds: float = 0.0
    """From the first item to the last write."""
    command: str
    """The command line."""
    settings: Settings
    environment: Environment
    baseline: Baseline | None = None
    """The run that gates compare with; null without one."""
    suites: tuple[Suite, ...] = ()
    classifiers: tuple[Classifier, ...] = ()
    image_sets: tuple[ImageSet, ...] = ()
    items: tuple[Item, ...] = ()
    passes: tuple[PassRecord, ...] = ()
    profile: Profile | None = None
    """Where the time went; null without ``--evals-profile``."""
    mutants: tuple[Mutant, ...] = ()
    """Of a self-test: its mutants; the items are those of the unbroken network."""
    selected: tuple[str, ...] = ()
    """Ids of all selected items, in their order."""
    not_run: tuple[str, ...] = ()
    """Ids of selected items that were never judged."""
    warnings: tuple[str, ...] = ()
    """Warnings of the run and of libraries, each once."""

    @property
    def judgements(self) -> Iterator[Judgement]:
        """The judgements of all items."""
        return (judgement for item in self.items for judgement in item.judgements)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The paired gates that were judged."""
        return tuple(j.gate for j in self.judgements if j.gate is not None)

    @property
    def false_alarms(self) -> float:
        """How many of them would fail by chance, if every network were exactly at its margin."""
        return sum((1 - gate.paired.confidence) / 2 for gate in self.gates)

    @property
    def compares_with_itself(self) -> bool:
        """Whether a gate was left out, on request, because its network is the baseline's."""
        return any(
            j.of == "baseline" and j.verdict is Verdict.NOT_APPLICABLE and j.value is not None
            for j in self.judgements
        )
