"""By which path the numbers of a check came, and how far that was measured from the plain one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vision_evals import log

MIN_DECISIONS = 100
"""Decisions under which a share that changed is not told: none of them says little."""


@dataclass(frozen=True, slots=True)
class PathError:
    """How far a step of a path is from the reference's, where one run looked at both."""

    plain: bool = False
    """Whether it is the reference's own, where nothing can differ."""
    n: int = 0
    """Decisions that were held against each other; 0: nobody measured."""
    changed: int = 0
    """Of those, how many differed."""
    error: float | None = None
    """Largest difference of a logit; None: nobody measured."""

    @property
    def share(self) -> float | None:
        """Of decisions that differ, as estimated; None where too few were held."""
        if self.plain:
            return 0.0
        return self.changed / self.n if self.n >= MIN_DECISIONS else None

    @property
    def logit(self) -> float | None:
        """Difference of a logit at most; None where nobody measured."""
        return 0.0 if self.plain else self.error


NO_ERROR = PathError(plain=True)
"""Of a step that the reference takes too."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: two of equal words are the same."""

    words: str
    error: PathError
    kind: str = ""
    """Of the device, where the step is about one."""
    precision: str = ""
    """Of forwards."""
    done: tuple[str, ...] = ()
    """What was done to make forwards faster."""


@dataclass(frozen=True, slots=True)
class NumericPath:
    """From picture to logits.

    The reference, from which every step is measured, is PIL's pixels and the network as it was
    loaded, run by torch operation for operation in fp32 on a CPU.
    """

    decoder: Step
    """Held on the pictures as they are."""
    device: Step
    """The plain forwards there, and the order of channels; held on the pictures as they are."""
    forwards: Step
    """Those that want no gradient; held at every point of a sweep."""

    def step(self, name: Literal["decoder", "device", "forwards"]) -> Step:
        """Return one of `STEPS`."""
        found: Step = getattr(self, name)
        return found


STEPS: tuple[Literal["decoder", "device", "forwards"], ...] = ("decoder", "device", "forwards")
"""In their order."""


def fast_path_names(alias: str, card: log.Classifier | None) -> frozenset[str]:
    """Return what the lanes of a classifier are called: of a recipe there is one for each seed."""
    seeds = () if card is None else (training.seed for training in card.trainings)
    return frozenset({alias, *(f"{alias}, seed {seed}" for seed in seeds)})


def paths(
    passes: Sequence[log.PassRecord],
    settings: log.Settings,
    roles: Sequence[str],
    called: frozenset[str],
) -> tuple[NumericPath, ...]:
    """Return every path by which rows of a check came: several for seeds and parts of a run.

    A log without lanes is of a run whose forwards were all plain, but for bf16: how far those
    were, nobody measured.

    Args:
        passes: of the run.
        settings: of the run.
        roles: images of the check; without any it made no forward that had a choice.
        called: names of its classifier's lanes.
    """
    if not roles:
        return ()
    about = [pass_record for pass_record in passes if pass_record.images in roles]
    found = dict.fromkeys(
        _path(pass_record, fast_path, settings)
        for pass_record in about
        for fast_path in pass_record.fast_paths
        if fast_path.classifier in called
    )
    return tuple(found) or tuple(_unsaid(settings))


def _path(
    pass_record: log.PassRecord, fast_path: log.FastPath, settings: log.Settings
) -> NumericPath:
    kinds = _kinds(settings)
    kind = (
        fast_path.device if fast_path.device in kinds else kinds[0]
    )  # lanes that did not say are "cpu"
    by_device = PathError(n=fast_path.pictures, changed=fast_path.pictures_changed)
    hosted = PathError(
        n=fast_path.hosted, changed=fast_path.hosted_changed, error=fast_path.hosted_error
    )
    place = f"{kind} ({fast_path.layout})"
    forwards = _plain("tf32" if fast_path.precision == "tf32" else "fp32")
    if not fast_path.plain:
        may = (
            ("folded", fast_path.folded),
            ("compiled", fast_path.compiled),
            ("graphed", fast_path.graphed),
        )
        done = tuple(word for word, whether in may if whether)
        # kernels of another device or layout make another difference
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


def _unsaid(settings: log.Settings) -> Iterator[NumericPath]:
    rough = settings.precision == "bf16"
    for kind in _kinds(settings):
        place = f"{kind} ({settings.memory_layout or 'contiguous'})"
        yield NumericPath(
            Step("pil", NO_ERROR),
            Step(place, NO_ERROR if kind == "cpu" else PathError(), kind=kind),
            Step(f"bf16 on {place}", PathError(), precision="bf16")
            if rough
            else _plain(settings.precision),
        )


def _kinds(settings: log.Settings) -> tuple[str, ...]:
    """Return the kinds of device of a run; a merged one names several."""
    devices = settings.devices or (settings.device,)
    return tuple(dict.fromkeys(one.partition(":")[0] for one in devices))
