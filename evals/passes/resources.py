"""Classifiers and image sets of a run: each loaded once, and so is each failure to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from evals import log
from evals.classifiers.build import build
from evals.classifiers.card import Card
from evals.classifiers.classifier import Classifier
from evals.classifiers.registry import Registry, Request
from evals.errors import UserError
from evals.images import sources
from evals.images.image_set import ImageSet, limited
from evals.images.labels import targets
from evals.options import Source
from evals.probe import Answers, answers

T = TypeVar("T")


@dataclass
class Resources:
    """What was loaded so far."""

    registry: Registry
    device: torch.device
    limit: int | None
    named: frozenset[str]
    """Aliases that somebody asked for: their weights may be downloaded."""
    records: dict[str, log.Classifier] = field(default_factory=dict)
    """Alias to its entry in the log, the unavailable ones included."""
    remarks: dict[str, None] = field(default_factory=dict)
    """What a person should know of them, in order."""
    _classifiers: dict[str, Classifier | UserError] = field(default_factory=dict)
    _image_sets: dict[Source, ImageSet | UserError] = field(default_factory=dict)
    _answers: dict[tuple[str, Source], Answers | UserError | None] = field(default_factory=dict)

    def classifier(self, request: Request) -> Classifier:
        """Return a classifier on the device.

        Raises:
            UnavailableError: its weights are not to be had.
            UserError: its card or checkpoint is wrong.
        """
        if request.alias not in self._classifiers:
            self._classifiers[request.alias] = self._build(request)
        return _unless_error(self._classifiers[request.alias])

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
        key = (classifier.alias, source)
        if key not in self._answers:
            image_set = self.image_set(source)
            try:
                self._answers[key] = (
                    answers(targets(image_set, classifier.classes)) if image_set.labelled else None
                )
            except UserError as error:
                self._answers[key] = error
        return _unless_error(self._answers[key])

    def _build(self, request: Request) -> Classifier | UserError:
        start = time.perf_counter()
        try:
            card, base = self.registry.card(request.name)
            classifier = build(
                request.alias,
                card,
                base,
                download=request.alias in self.named,
                checkpoint=request.checkpoint,
            ).to(self.device)
        except UserError as error:
            return self._missing(request, error)
        except torch.OutOfMemoryError as error:
            reason = f"{request.alias} does not fit on {self.device}: {error}"
            return self._missing(request, UserError(reason))
        self.records[request.alias] = record(classifier, time.perf_counter() - start)
        if classifier.sha256 is None and _own(card) and not (card.checkpoint or request.checkpoint):
            remark = f"{request.alias}: no checkpoint; judged with the weights {card.network} made"
            self.remarks[remark] = None
        return classifier

    def _missing(self, request: Request, error: UserError) -> UserError:
        self.records[request.alias] = log.Classifier(
            alias=request.alias, network=request.name, unavailable=str(error)
        )
        return error


def record(classifier: Classifier, seconds: float) -> log.Classifier:
    """Return a classifier's entry in the log."""
    return log.Classifier(
        alias=classifier.alias,
        network=classifier.card.network,
        weights=classifier.weights,
        sha256=classifier.sha256,
        fingerprint=classifier.fingerprint,
        input=str(classifier.input),
        classes=f"{classifier.classes.name} ({len(classifier.classes)})",
        class_names=classifier.classes.names,
        parameters=classifier.parameters,
        published=dict(classifier.published),
        load_seconds=seconds,
    )


def _own(card: Card) -> bool:
    return card.network.partition(":")[0] not in {"torchvision", "timm", "packaged"}


def _unless_error(found: T | UserError) -> T:
    if isinstance(found, UserError):
        raise found
    return found
