"""The numeric path by which numbers were computed, and its measured error from the plain one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vision_evals import log

MIN_DECISIONS = 100
"""Decisions below which the share that changed is not estimated."""


@dataclass(frozen=True, slots=True)
class PathError:
    """Error of a step from that of the reference path, where one run measured both."""

    plain: bool = False
    """Whether it is the step of the reference path, without an error."""
    n: int = 0
    """Decisions that were compared; 0: not measured."""
    changed: int = 0
    """Of those, how many differed."""
    error: float | None = None
    """Largest difference of a logit; None: not measured."""

    @property
    def share(self) -> float | None:
        """Estimated share of decisions that differ; None where too few were compared."""
        if self.plain:
            return 0.0
        return self.changed / self.n if self.n >= MIN_DECISIONS else None

    @property
    def logit(self) -> float | None:
        """Largest difference of a logit; None where it was not measured."""
        return 0.0 if self.plain else self.error


NO_ERROR = PathError(plain=True)
"""Error of a step that the reference path has too."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path; two steps with equal words are the same."""

    words: str
    error: PathError
    kind: str = ""
    """Of the device, where the step depends on one."""
    precision: str = ""
    """Of forwards."""
    done: tuple[str, ...] = ()
    """Optimisations of the forwards: folded, compiled, graphed."""


@dataclass(frozen=True, slots=True)
class NumericPath:
    """How numbers are computed, from picture to logits.

    The error of each step is measured from the reference path: pixels of PIL, and the network as
    it was loaded, run by torch operation by operation in fp32 on a CPU.
    """

    decoder: Step
    """Its error is measured on the unchanged pictures."""
    device: Step
    """The plain forwards on it, and the memory layout; measured on the unchanged pictures."""
    forwards: Step
    """Those without a gradient; measured at every point of a sweep."""


STEPS: tuple[Literal["decoder", "device", "forwards"], ...] = ("decoder", "device", "forwards")
"""In their order."""


def fast_path_names(alias: str, card: log.Classifier | None) -> frozenset[str]:
    """Return the names of a classifier's fast paths: for a recipe, one for each seed."""
    seeds = () if card is None else (training.seed for training in card.trainings)
    return frozenset({alias, *(f"{alias}, seed {seed}" for seed in seeds)})


def paths(
    passes: Sequence[log.PassRecord],
    settings: log.Settings,
    roles: Sequence[str],
    called: frozenset[str],
) -> tuple[NumericPath, ...]:
    """Return each path by which rows of a check were computed: several for seeds and shards.

    In a log without fast paths all forwards were plain, except in bf16, whose error was not
    measured.

    Args:
        passes: of the run.
        settings: of the run.
        roles: image sets of the check; without any there is only one path.
        called: names of its classifier's fast paths.
    """
    if not roles:
        return ()
    known_paths = dict.fromkeys(
        _path(pass_record, fast_path, settings)
        for pass_record in passes
        if pass_record.images in roles
        for fast_path in pass_record.fast_paths
        if fast_path.classifier in called
    )
    return tuple(known_paths) or tuple(_without_records(settings))


def _path(
    pass_record: log.PassRecord, fast_path: log.FastPath, settings: log.Settings
) -> NumericPath:
    kinds = _kinds(settings)
    # old logs record "cpu" for every fast path
    kind = fast_path.device if fast_path.device in kinds else kinds[0]
    by_device = PathError(n=fast_path.pictures, changed=fast_path.pictures_changed)
    hosted = PathError(
        n=fast_path.hosted, changed=fast_path.hosted_changed, error=fast_path.hosted_error
    )
    place = f"{kind} ({fast_path.layout})"
    forwards = _plain("tf32" if fast_path.precision == "tf32" else "fp32")
    if not fast_path.plain:
        done = tuple(word for word in ("folded", "compiled", "graphed") if getattr(fast_path, word))
        # the error depends on the kernels, so on device and layout
        forwards = Step(
            f"{', '.join([fast_path.precision, *done])} on {place}",
            PathError(
                n=fast_path.rechecked, changed=fast_path.changed, error=fast_path.logit_error
            ),
            precision=fast_path.precision,
            done=done,
        )
    return NumericPath(
        Step(pass_record.decoder, NO_ERROR if pass_record.decoder == "pil" else by_device),
        Step(place, NO_ERROR if kind == "cpu" else hosted, kind=kind),
        forwards,
    )


def _plain(precision: str) -> Step:
    return Step(precision, NO_ERROR, precision=precision)


def _without_records(settings: log.Settings) -> Iterator[NumericPath]:
    for kind in _kinds(settings):
        place = f"{kind} ({settings.memory_layout or 'contiguous'})"
        yield NumericPath(
            Step("pil", NO_ERROR),
            Step(place, NO_ERROR if kind == "cpu" else PathError(), kind=kind),
            Step(f"bf16 on {place}", PathError(), precision="bf16")
            if settings.precision == "bf16"
            else _plain(settings.precision),
        )


def _kinds(settings: log.Settings) -> tuple[str, ...]:
    """Return the kinds of device of a run; a merged run has several."""
    devices = settings.devices or (settings.device,)
    return tuple(dict.fromkeys(device.partition(":")[0] for device in devices))
