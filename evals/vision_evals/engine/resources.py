"""Classifiers and image sets of a run: each is loaded once, or fails once."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from vision_evals import log
from vision_evals.core.cache.store import Cache
from vision_evals.core.errors import NotFetchedError, UserError
from vision_evals.core.progress import Progress
from vision_evals.core.time_limit import time_limit
from vision_evals.engine.identity import identified, joined
from vision_evals.engine.process_state import put_back
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import BUILT_IN, targets
from vision_evals.log.profiling.stages import timed
from vision_evals.measures.probe import Answers, answers
from vision_evals.models.build import build
from vision_evals.models.card import Card
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.classifier import Classifier
from vision_evals.models.fit import OtherNetworkError
from vision_evals.models.registry import Registry
from vision_evals.models.request import Request, parse_request
from vision_evals.suite.options import Source

if TYPE_CHECKING:
    from vision_evals.models.training.build import RecipePlan, Trained

K = TypeVar("K")
T = TypeVar("T")


@dataclass
class Resources:
    """The classifiers and image sets that are loaded so far."""

    registry: Registry
    device: torch.device
    limit: int | None
    named: frozenset[str]
    """Aliases that are named explicitly: their weights may be downloaded."""
    cache: Path
    """Of trained recipes."""
    show: Progress
    """Shows trainings."""
    shown: Callable[[ImageSet], ImageSet] | None = None
    """Changes every image set, where a self-test breaks them or needs a part."""
    timeout: float = math.inf
    """Seconds that loading a classifier may take."""
    earlier: Cache | None = None
    """With what classifiers answered in earlier runs; None: nothing is kept."""
    records: dict[str, log.Classifier] = field(default_factory=dict)
    """Alias to its entry in the log, the unavailable ones included."""
    remarks: dict[str, None] = field(default_factory=dict)
    """Warnings about them, in order."""
    _classifiers: dict[str, tuple[Classifier, ...] | UserError] = field(default_factory=dict)
    _plans: dict[str, RecipePlan] = field(default_factory=dict)
    """Alias to a recipe that is not asked for yet."""
    _finished: dict[tuple[str, int], Trained] = field(default_factory=dict)
    """Trainings of recipes that are not asked for yet, by alias and seed."""
    _image_sets: dict[Source, ImageSet | UserError] = field(default_factory=dict)
    _answers: dict[tuple[str, Source], Answers | UserError] = field(default_factory=dict)

    def classifier(self, request: Request) -> Classifier:
        """Return a classifier on the device; of a recipe, the one from its first seed."""
        return self.classifiers(request)[0]

    def classifiers(self, request: Request) -> tuple[Classifier, ...]:
        """Return a classifier on the device, or one for each seed of a recipe.

        Raises:
            UnavailableError: its weights or its data are unavailable.
            UserError: its card or checkpoint is wrong.
        """
        return _once(self._classifiers, request.alias, lambda: self._build(request))

    def with_classifier(self, classifier: Classifier) -> Resources:
        """Return resources in which this classifier has its alias; image sets are shared."""
        classifiers = {**self._classifiers, classifier.alias: (classifier,)}
        return replace(self, _classifiers=classifiers, _answers={})

    def with_images(self, shown: Callable[[ImageSet], ImageSet]) -> Resources:
        """Return resources whose image sets are changed once more; classifiers are shared."""
        before = self.shown

        def both(images: ImageSet) -> ImageSet:
            return shown(images if before is None else before(images))

        return replace(self, shown=both, _image_sets={}, _answers={})

    def image_set(self, source: Source) -> ImageSet:
        """Return an image set; UserError if it is missing, empty or wrong."""
        return _once(self._image_sets, source, lambda: self._load_images(source))

    def answers(self, classifier: Classifier, source: Source) -> Answers | None:
        """Return the right answers in this classifier's indices; None for unlabelled images."""
        image_set, classes = self.image_set(source), classifier.classes
        if not image_set.labelled:
            return None
        key = (classifier.alias, source)  # the same classes for every seed of a recipe
        return _once(self._answers, key, lambda: answers(targets(image_set, classes)))

    def _load_images(self, source: Source) -> ImageSet:
        image_set = sources.load(source.place, Path())
        image_set = image_set if self.limit is None else limited(image_set, self.limit)
        return image_set if self.shown is None else self.shown(image_set)

    def _build(self, request: Request) -> tuple[Classifier, ...]:
        """Load a classifier, and record it or why it is unavailable."""
        start = time.perf_counter()
        try:
            card, base = self.registry.card(request.name)
            limit = math.inf if card.recipe is not None else self.timeout  # a training takes long
            with (
                timed("load"),
                put_back() as touched,
                time_limit(limit, self.timeout, f"loading {request.alias}"),
            ):
                loaded = self._load(request, card, base)
                classifiers = tuple(identified(one, self.earlier) for one in loaded)
        except UserError as error:
            self.records[request.alias] = log.Classifier(
                alias=request.alias,
                network=request.name,
                unavailable=str(error),
                fetchable=isinstance(error, NotFetchedError),
                **_series_fields(request),
            )
            raise
        for setting in touched:
            remark = (
                f"{request.alias}: its code changed {setting.text}; put back before any forward"
            )
            self.remarks[remark] = None
        seconds = time.perf_counter() - start
        self.records[request.alias] = record(classifiers, seconds, request)
        user_defined = card.source not in {"torchvision", "timm", "packaged"}
        unsaved = classifiers[0].sha256 is None and user_defined and card.recipe is None
        if unsaved and not (card.checkpoint or request.checkpoint):
            remark = f"{request.alias}: no checkpoint; judged with the weights {card.network} made"
            self.remarks[remark] = None
        first = classifiers[0]
        if first.taken_off:
            self.remarks[f"{request.alias}: {first.weights}: {first.taken_off}"] = None
        if first.dtype != torch.float32:
            name = str(first.dtype).removeprefix("torch.")
            self.remarks[f"{request.alias}: computes in {name}, the type of its weights"] = None
        return classifiers

    def _load(self, request: Request, card: Card, base: Path) -> tuple[Classifier, ...]:
        try:
            if card.recipe is not None:
                return self._trained(request.alias, card, base)
            return (self._loaded(request.alias, card, base, request.checkpoint),)
        except OtherNetworkError as error:
            raise UserError(f"{error}{self._network_of_checkpoint(request)}") from error
        except torch.OutOfMemoryError as error:
            reason = f"{request.alias} does not fit on {self.device}: {error}"
            raise UserError(reason) from error

    def _loaded(self, alias: str, card: Card, base: Path, checkpoint: Path | None) -> Classifier:
        download = alias in self.named
        built = build(alias, card, base, download=download, checkpoint=checkpoint)
        return built.to(self.device)

    def train_ahead(self, requests: Iterable[Request], processes: int) -> None:
        """Train the recipes among requests side by side, before they are asked for one by one.

        Raises:
            UserError: a process was killed.
        """
        from vision_evals.models.training.ahead import train_ahead

        plans: dict[str, RecipePlan] = {}
        for request in requests:
            if request.alias not in {*plans, *self._plans, *self._classifiers}:
                with contextlib.suppress(UserError):  # reported where it is asked for
                    card, base = self.registry.card(request.name)
                    if card.recipe is not None:
                        plans[request.alias] = self._plan(request.alias, card, base)
        self._plans |= plans
        self._finished |= train_ahead(
            tuple(plans.values()), cache=self.cache, processes=processes, show=self.show
        )

    def _trained(self, alias: str, card: Card, base: Path) -> tuple[Classifier, ...]:
        from vision_evals.models.training.build import train_recipe

        plan = self._plans.pop(alias, None) or self._plan(alias, card, base)
        return train_recipe(plan, cache=self.cache, show=self.show, finished=self._finished)

    def _plan(self, alias: str, card: Card, base: Path) -> RecipePlan:
        """Load what the trainings of a recipe share."""
        from vision_evals.models.training.build import plan_recipe

        start = None
        if card.start is not None:
            request = parse_request(card.start, base)
            start_card, start_folder = self.registry.card(request.name)
            start = self._loaded(alias, start_card, start_folder, request.checkpoint)
        return plan_recipe(alias, card, base, start, self.device)

    def _network_of_checkpoint(self, request: Request) -> str:
        """Return the network that a checkpoint fits, as the end of a sentence."""
        if request.checkpoint is None:
            return ""
        from vision_evals.models.matching import matches, sentence

        state = load_state_dict(request.checkpoint)
        message = f"; of {request.checkpoint}: {sentence(matches(state, self.registry.cards))}"
        if request.series is None:
            return message
        card, _ = self.registry.card(request.name)
        return (
            f'{message}; the series "{request.series}" is judged as {card.network}, another network'
        )


def record(
    classifiers: Sequence[Classifier], seconds: float, request: Request | None = None
) -> log.Classifier:
    """Return the entry in the log of a classifier, or of all that one recipe made.

    Args:
        classifiers: one, or one for each seed.
        seconds: that loading took.
        request: that names it; None without one.
    """
    first = classifiers[0]
    recipe = first.card.recipe
    return log.Classifier(
        alias=first.alias,
        network=first.card.network or f"start {first.card.start}",
        weights=first.weights,
        sha256=first.sha256,
        fingerprint=_fingerprint(classifiers),
        answers=joined(classifiers),
        input=str(first.input),
        class_map=first.classes.name,
        class_count=len(first.classes),
        class_names=first.classes.names,
        synsets=(first.classes.name != BUILT_IN and first.classes.synsets) or (),
        parameters=first.parameters,
        published=dict(first.published),
        recipe={} if recipe is None else recipe.model_dump(mode="json", exclude_none=True),
        trainings=tuple(c.training for c in classifiers if c.training is not None),
        load_seconds=seconds,
        **_series_fields(request),
    )


def _series_fields(request: Request | None) -> dict[str, Any]:
    if request is None:
        return {}
    return {"series": request.series, "place": request.place, "epoch": request.epoch}


def _fingerprint(classifiers: Sequence[Classifier]) -> str:
    if len(classifiers) == 1:
        return classifiers[0].fingerprint
    return hashlib.sha256(" ".join(c.fingerprint for c in classifiers).encode()).hexdigest()


def _once(results: dict[K, T | UserError], key: K, make: Callable[[], T]) -> T:
    """Return the result for a key, made at the first call; a UserError is raised at every call."""
    if key not in results:
        try:
            results[key] = make()
        except UserError as error:
            results[key] = error
    result = results[key]
    if isinstance(result, UserError):
        raise result
    return result
