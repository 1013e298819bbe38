"""What dead_relu adds to a forward pass: `python benchmarks/dead_relu.py`.

Both show the same pictures to the same network in the same batches; they take turns, and the
medians of the ratios of neighbours are printed. AlexNet's weights are random, which leaves more of
its units unsettled than trained ones; the packaged networks see the twenty photographs.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torchvision import models

from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels
from vision_evals.measures.dead_relu import MEASURE, Parameters
from vision_evals.measures.probe import Probe
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Registry

REPEATS, BATCH = 9, 4


def photographs(classifier: Classifier) -> torch.Tensor:
    """Return the twenty photographs as the classifier is fed them."""
    images = sources.load("imagenet_samples", Path()).images
    cut = [pixels(read(image.path).picture, classifier.geometry) for image in images]
    return torch.stack(cut).to(torch.float32).div(255)


def forward(classifier: Classifier, pictures: torch.Tensor) -> None:
    """Compute the logits alone."""
    with torch.inference_mode():
        for first in range(0, len(pictures), BATCH):
            classifier.logits(pictures[first : first + BATCH])


def counted(classifier: Classifier, pictures: torch.Tensor) -> None:
    """Compute the logits and count units."""
    memory: dict[str, object] = {}
    for first in range(0, len(pictures), BATCH):
        batch = pictures[first : first + BATCH]
        ids = tuple(map(str, range(first, first + len(batch))))
        probe = Probe(classifier, ids, batch, None, total=len(pictures), memory=memory)
        MEASURE.observe(probe, Parameters())


def seconds(work: Callable[[], None]) -> float:
    """Return how long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Print the table."""
    registry = Registry.read({}, None, Path())
    packaged = [
        build(name, *registry.card(name), download=False)
        for name in ("squeezenet1_1_caffe", "efficientnet_lite0")
    ]
    torch.manual_seed(0)
    alexnet = models.alexnet(weights=None).eval().requires_grad_(requires_grad=False)
    classifiers = [replace(packaged[1], alias="alexnet", network=alexnet), *packaged]
    print(f"{torch.get_num_threads()} threads, 20 photographs, batches of {BATCH}")
    for classifier in classifiers:
        pictures = photographs(classifier)
        ratios = []
        for _ in range(REPEATS):
            bare = seconds(lambda c=classifier, p=pictures: forward(c, p))  # type: ignore[misc]
            ratios.append(seconds(lambda c=classifier, p=pictures: counted(c, p)) / bare)  # type: ignore[misc]
        low, high = min(ratios), max(ratios)
        print(f"{classifier.alias}: {statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
