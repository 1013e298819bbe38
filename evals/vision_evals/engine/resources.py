"""Classifiers and image sets of a run: each loaded once, and so is each failure to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.progress import Progress
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

T = TypeVar("T")


@dataclass
class Resources:
    """What was loaded so far."""

    registry: Registry
    device: torch.device
    limit: int | None
    named: frozenset[str]
    """Aliases that somebody asked for: their weights may be downloaded."""
    cache: Path
    """Where trained recipes are kept."""
    show: Progress
    """Told of trainings."""
    records: dict[str, log.Classifier] = field(default_factory=dict)
    """Alias to its entry in the log, the unavailable ones included."""
    remarks: dict[str, None] = field(default_factory=dict)
    """What a person should know of them, in order."""
    _classifiers: dict[str, tuple[Classifier, ...] | UserError] = field(default_factory=dict)
    _image_sets: dict[Source, ImageSet | UserError] = field(default_factory=dict)
    _answers: dict[tuple[str, Source], Answers | UserError | None] = field(default_factory=dict)

    def classifier(self, request: Request) -> Classifier:
        """Return a classifier on the device; of a recipe, the one from its first seed."""
        return self.classifiers(request)[0]

    def classifiers(self, request: Request) -> tuple[Classifier, ...]:
        """Return a classifier on the device, or one for each seed of a recipe.

        Raises:
            UnavailableError: its weights or its data are not to be had.
            UserError: its card or checkpoint is wrong.
        """
        if request.alias not in self._classifiers:
            with timed("load"):
                self._classifiers[request.alias] = self._build(request)
        return _unless_error(self._classifiers[request.alias])

    def standing_in(self, classifier: Classifier) -> Resources:
        """Return resources whose classifier of that alias is this one; image sets are shared."""
        known = {**self._classifiers, classifier.alias: (classifier,)}
        return replace(self, _classifiers=known, _answers={})

    def image_set(self, source: Source) -> ImageSet:
        """Return an image set; UserError if it is missing, empty or wrong."""
        if source not in self._image_sets:
            try:
                image_set = sources.load(source.place, Path())
                cut = image_set if self.limit is None else limited(image_set, self.limit)
                self._image_sets[source] = cut
            except UserError as error:
                self._image_sets[source] = error
        return _unless_error(self._image_sets[source])

    def answers(self, classifier: Classifier, source: Source) -> Answers | None:
        """Return what is right in this classifier's indices; None for unlabelled images."""
        key = (classifier.alias, source)  # the same classes for every seed of a recipe
        if key not in self._answers:
            image_set = self.image_set(source)
            try:
                self._answers[key] = (
                    answers(targets(image_set, classifier.classes)) if image_set.labelled else None
                )
            except UserError as error:
                self._answers[key] = error
        return _unless_error(self._answers[key])

    def _build(self, request: Request) -> tuple[Classifier, ...] | UserError:
        start = time.perf_counter()
        try:
            card, base = self.registry.card(request.name)
            if card.recipe is not None:
                found = self._trained(request.alias, card, base)
            else:
                found = (self._loaded(request.alias, card, base, request.checkpoint),)
        except OtherNetworkError as error:
            return self._missing(request, UserError(f"{error}{self._belongs(request)}"))
        except UserError as error:
            return self._missing(request, error)
        except torch.OutOfMemoryError as error:
            reason = f"{request.alias} does not fit on {self.device}: {error}"
            return self._missing(request, UserError(reason))
        seconds = time.perf_counter() - start
        self.records[request.alias] = record(found, seconds, request)
        first = found[0]
        alone = first.sha256 is None and _own(card) and card.recipe is None
        if alone and not (card.checkpoint or request.checkpoint):
            remark = f"{request.alias}: no checkpoint; judged with the weights {card.network} made"
            self.remarks[remark] = None
        return found

    def _loaded(self, alias: str, card: Card, base: Path, checkpoint: Path | None) -> Classifier:
        download = alias in self.named
        built = build(alias, card, base, download=download, checkpoint=checkpoint)
        return built.to(self.device)

    def _trained(self, alias: str, card: Card, base: Path) -> tuple[Classifier, ...]:
        from vision_evals.models.training.build import train_recipe

        start = None
        if card.start is not None:
            request = parse_request(card.start, base)
            own, place = self.registry.card(request.name)
            start = self._loaded(alias, own, place, request.checkpoint)
        return train_recipe(
            alias, card, base, start, cache=self.cache, device=self.device, show=self.show
        )

    def _belongs(self, request: Request) -> str:
        """Return to which network a checkpoint of another one belongs, as an end of a sentence."""
        if request.checkpoint is None:
            return ""
        from vision_evals.models.matching import matches, sentence

        state = load_state_dict(request.checkpoint)
        said = f"; of {request.checkpoint}: {sentence(matches(state, self.registry.cards))}"
        if request.series is None:
            return said
        card, _ = self.registry.card(request.name)
        return f'{said}; the series "{request.series}" is judged as {card.network}, another network'

    def _missing(self, request: Request, error: UserError) -> UserError:
        self.records[request.alias] = log.Classifier(
            alias=request.alias,
            network=request.name,
            series=request.series,
            place=request.place,
            epoch=request.epoch,
            unavailable=str(error),
        )
        return error


def record(
    classifiers: Sequence[Classifier], seconds: float, request: Request | None = None
) -> log.Classifier:
    """Return the entry in the log of a classifier, or of all that one recipe made.

    Args:
        classifiers: one, or one for each seed.
        seconds: that loading took.
        request: by which it was named; None for what nobody named.
    """
    first = classifiers[0]
    recipe = first.card.recipe
    return log.Classifier(
        alias=first.alias,
        network=first.card.network or f"start {first.card.start}",
        weights=first.weights,
        sha256=first.sha256,
        fingerprint=_fingerprint(classifiers),
        input=str(first.input),
        class_map=first.classes.name,
        class_count=len(first.classes),
        class_names=first.classes.names,
        synsets=(first.classes.name != BUILT_IN and first.classes.synsets) or (),
        parameters=first.parameters,
        published=dict(first.published),
        recipe={} if recipe is None else recipe.model_dump(mode="json", exclude_none=True),
        trainings=tuple(c.training for c in classifiers if c.training is not None),
        series=None if request is None else request.series,
        place=None if request is None else request.place,
        epoch=None if request is None else request.epoch,
        load_seconds=seconds,
    )


def _fingerprint(classifiers: Sequence[Classifier]) -> str:
    if len(classifiers) == 1:
        return classifiers[0].fingerprint
    return hashlib.sha256(" ".join(c.fingerprint for c in classifiers).encode()).hexdigest()


def _own(card: Card) -> bool:
    return card.network.partition(":")[0] not in {"torchvision", "timm", "packaged"}


def _unless_error(found: T | UserError) -> T:
    if isinstance(found, UserError):
        raise found
    return found
