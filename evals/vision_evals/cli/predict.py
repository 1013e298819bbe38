"""``evals predict``: the likeliest classes of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vision_evals.core import progress
from vision_evals.core.errors import UnreadableError, UserError, printable
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels, to_unit
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics, resolve

TOP_CLASSES = 5


def predict(catalog: Catalog, pictures: Sequence[str]) -> None:
    """Print every network's top-5 of every picture, with bars.

    Raises:
        UserError: a picture or a network is unavailable; the others are shown first.
    """
    device = resolve(catalog.options.table.device)
    resources = resources_of(catalog, device)
    classifiers = [resources.classifier(request) for request in catalog.requests]
    console, mistakes = Console(), []
    for remark in resources.remarks:
        Console(stderr=True).print(Text(remark, "yellow"))
    for text in pictures:
        for image in sources.load(text, Path.cwd()).images:
            name = text if Path(text).is_file() else str(image.path)
            try:
                picture = read(image.path).picture
                inputs = [pixels(picture, classifier.geometry)[None] for classifier in classifiers]
            except UnreadableError as error:
                mistakes.append(f"{name}: {str(error).removeprefix(f'{image.path.name}: ')}")
                continue
            console.print(Text(printable(name), "bold"))
            for classifier, raw in zip(classifiers, inputs, strict=True):
                with numerics(device, "fp32"):
                    console.print(answer(classifier, to_unit(raw, device)))
    if mistakes:
        raise UserError(*mistakes)


def resources_of(catalog: Catalog, device: torch.device) -> Resources:
    """Return the loader of the catalog's networks; those that it names must be available."""
    named = frozenset(request.alias for request in catalog.requests)
    return Resources(catalog.registry, device, None, named, catalog.options.cache, progress.bar)


def top(classifier: Classifier, pixels: torch.Tensor) -> list[tuple[str, float]]:
    """Return the five likeliest classes of one image (1, 3, H, W) in [0, 1], with confidence."""
    with torch.inference_mode():
        probabilities = classifier.logits(pixels).softmax(dim=1)[0]
    best = probabilities.topk(min(TOP_CLASSES, len(probabilities)))
    names = classifier.classes.names
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [(names[index], value) for index, value in pairs]


def answer(classifier: Classifier, pixels: torch.Tensor) -> Table:
    """Return the top-5 of one image (1, 3, H, W) in [0, 1] as a table with bars."""
    table = Table(title=classifier.alias, title_justify="left", box=None, show_header=False)
    for name, value in top(classifier, pixels):
        bar = ProgressBar(total=1, completed=value, width=30)
        table.add_row(f"{value:6.1%}", bar, Text(printable(name)))
    return table
