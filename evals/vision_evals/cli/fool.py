"""``evals fool``: one picture, turned into a class of one's choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.signs import towards
from vision_evals.cli.predict import answer
from vision_evals.core import progress
from vision_evals.core.errors import UserError, printable
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.pictures import to_picture
from vision_evals.engine.resources import Resources
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, pixels, to_unit
from vision_evals.measures.epsilons import value
from vision_evals.measures.probe import Probe
from vision_evals.measures.targeted import Parameters, target_of
from vision_evals.measures.triptych import triptych
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics, resolve


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made of a picture."""

    picture: Path
    parameters: Parameters
    out: Path
    """Folder that gets the triptych and the 8-bit PNG."""


def fool(catalog: Catalog, wish: Wish) -> None:
    """Turn a picture into the target for each classifier, and say what it says of the PNG.

    Raises:
        UserError: the picture, a classifier or the target is not to be had, or the target is what
            the network sees already.
    """
    device = resolve(catalog.options.table.device)
    named = frozenset(request.alias for request in catalog.requests)
    resources = Resources(
        catalog.registry, device, None, named, catalog.options.cache, progress.bar
    )
    picture = read(wish.picture).picture
    console = Console()
    try:
        wish.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {wish.out}: {error.strerror}; name another folder") from None
    for request in catalog.requests:
        classifier = resources.classifier(request)
        start = to_unit(pixels(picture, classifier.geometry)[None], device)
        with numerics(device, "fp32"):
            _one(classifier, start, wish, console)


def _one(classifier: Classifier, start: torch.Tensor, wish: Wish, console: Console) -> None:
    target = target_of(classifier.classes, wish.parameters.target)
    name = classifier.classes.names[target]
    probe = Probe(classifier, (wish.picture.name,), start, None)
    if int(probe.logits.argmax()) == target:
        raise UserError(f'{classifier.alias} sees "{name}" already: there is nothing to fool')
    (budget,) = wish.parameters.budgets
    found = towards(
        classifier,
        start,
        torch.tensor([target], device=start.device),
        LinfBall(value(budget)),
        steps=wish.parameters.steps,
        until=wish.parameters.until,
    )
    stem = f"{wish.picture.stem}-{classifier.alias}".replace(":", "-")
    png, triple = wish.out / f"{stem}.png", wish.out / f"{stem}-triptych.png"
    to_picture(found.pixels[0]).save(png)
    drawing = triptych(probe, 0, found.pixels[0], f"adversarial at {budget}")
    to_picture(drawing.pixels).save(triple)
    taken = f"{int(found.steps)} steps" if int(found.steps) >= 0 else "all steps, not sure enough"
    console.print(Text(printable(f"{classifier.alias}: towards {name} within {budget}, {taken}")))
    for panel in drawing.panels:
        console.print(Text(printable(f"  {panel.title}: {panel.said}")))
    # read back from the disk: an attack that does not survive being saved is none on a picture
    saved = to_unit(pixels(read(png).picture, Geometry(None, None))[None], start.device)
    console.print(Text(printable(f"  {png} is seen as"), "bold"))
    console.print(answer(classifier, saved))
    console.print(Text(printable(f"  {triple} shows all three")))
