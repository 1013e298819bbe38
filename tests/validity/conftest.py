"""Evidence about networks small enough to reason about, good ones and broken ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image as pil
from torch import nn

from vision_evals.core.tables import Table
from vision_evals.images import sources
from vision_evals.images.image_set import Image, ImageSet, collect
from vision_evals.images.labels import targets
from vision_evals.images.reader import batches
from vision_evals.measures import accuracy
from vision_evals.measures.measure import Measure
from vision_evals.measures.probe import Answers, Probe, answers
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Registry
from vision_evals.validity.check import Evidence

Make = Callable[..., Evidence]


class Curved(nn.Module):
    """Two convolutions with a bend between them; 3 classes, pixels of any size."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5), nn.Tanh(), nn.Conv2d(8, 3, 3), nn.AdaptiveAvgPool2d(1)
        )
        with torch.no_grad():
            for weight in self.layers.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator) / 3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(pixels).flatten(1)
        return 10 * out


@pytest.fixture
def curved() -> nn.Module:
    """Return a good network."""
    return Curved().requires_grad_(requires_grad=False).eval()


def levels(n: int, size: int = 16) -> torch.Tensor:
    """Return (n, 3, size, size) of whole levels over 255, as decoded pictures are."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n, 3, size, size), generator=generator).float() / 255


@pytest.fixture
def asked() -> Make:
    """Return a function that gathers evidence about a classifier and made-up pixels.

    Labels are the classifier's own answers, unless others are given.
    """

    def make(
        classifier: Classifier,
        n: int = 16,
        *,
        pixels: torch.Tensor | None = None,
        label: torch.Tensor | None = None,
        labelled: bool = True,
        images: Sequence[Image] = (),
        image_set: ImageSet | None = None,
        measure: Measure = accuracy.MEASURE,
        parameters: Table | None = None,
        rows: pd.DataFrame | None = None,
    ) -> Evidence:
        seen = levels(n) if pixels is None else pixels
        known = None
        if labelled:
            with torch.no_grad():
                own = classifier.logits(seen).argmax(dim=1) if label is None else label
            known = Answers(own, own[:, None], torch.unique(own))
        ids = tuple(image.id for image in images) or tuple(str(i) for i in range(len(seen)))
        return Evidence(
            classifier,
            Probe(classifier, ids, seen, known, differentiate=True),
            tuple(images),
            image_set or collect("made up", tuple(images)),
            measure,
            parameters or accuracy.Parameters(),
            pd.DataFrame() if rows is None else rows,
        )

    return make


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Image, ...]:
    """Return four pictures on disk of 61 x 47 pixels and 40 x 83, with fine stripes."""
    found = []
    for i, (width, height) in enumerate([(61, 47), (40, 83), (61, 48), (33, 33)]):
        generator = torch.Generator().manual_seed(i)
        noise = torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)
        pil.fromarray(noise.numpy()).save(tmp_path / f"{i}.png")
        found.append(Image(f"{i}.png", tmp_path / f"{i}.png"))
    return tuple(found)


@pytest.fixture(scope="session", params=["efficientnet_lite0", "squeezenet1_1_caffe"])
def packaged(request: pytest.FixtureRequest) -> Evidence:
    """Return evidence about a real network on sixteen photographs."""
    return packaged_evidence(request.param)


def packaged_evidence(name: str) -> Evidence:
    """Return what a run would show to checks."""
    card, base = Registry.read({}, None, Path()).card(name)
    classifier = build(name, card, base, download=False)
    image_set = sources.load("imagenet_samples", Path())
    few = image_set.images[:16]
    (batch,) = batches(few, [range(16)], {classifier.geometry})
    known = answers(targets(image_set, classifier.classes)).of(range(16), torch.device("cpu"))
    pixels = batch.pixels[classifier.geometry].float() / 255
    return Evidence(
        classifier,
        Probe(classifier, batch.ids, pixels, known, differentiate=True),
        few,
        image_set,
        replace(accuracy.MEASURE, gradient=True),
        accuracy.Parameters(),
        pd.DataFrame(),
    )
