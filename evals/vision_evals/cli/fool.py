"""``evals fool``: change one picture so that a network sees a class of the user's choice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.signs import towards
from vision_evals.cli.predict import answer, resources_of
from vision_evals.core.errors import UserError, printable
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.pictures import to_picture
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, pixels, to_unit
from vision_evals.measures.epsilons import value
from vision_evals.measures.probe import Probe
from vision_evals.measures.targeted import Parameters, target_of
from vision_evals.measures.triptych import triptych
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import numerics, resolve


@dataclass(frozen=True, slots=True)
class FoolRequest:
    """A picture, its target, and where the results go."""

    picture: Path
    parameters: Parameters
    out: Path
    """Folder that gets the triptych and the 8-bit PNG."""


def fool(catalog: Catalog, request: FoolRequest) -> None:
    """Attack a picture towards the target for each classifier, and print its top-5 of the PNG.

    Raises:
        UserError: the picture, a classifier or the target is unavailable, or the network sees the
            target already.
    """
    device = resolve(catalog.options.table.device)
    resources = resources_of(catalog, device)
    picture = read(request.picture).picture
    console = Console()
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {request.out}: {error.strerror}; name another folder") from None
    for network in catalog.requests:
        classifier = resources.classifier(network)
        start = to_unit(pixels(picture, classifier.geometry)[None], device)
        with numerics(device, "fp32"):
            _fool(classifier, start, request, console)


def _fool(
    classifier: Classifier, start: torch.Tensor, request: FoolRequest, console: Console
) -> None:
    target = target_of(classifier.classes, request.parameters.target)
    name = classifier.classes.names[target]
    probe = Probe(classifier, (request.picture.name,), start, None)
    if int(probe.logits.argmax()) == target:
        raise UserError(f'{classifier.alias} sees "{name}" already: there is nothing to fool')
    (budget,) = request.parameters.budgets
    result = towards(
        classifier,
        start,
        torch.tensor([target], device=start.device),
        LinfBall(value(budget)),
        steps=request.parameters.steps,
        until=request.parameters.until,
    )
    stem = f"{request.picture.stem}-{classifier.alias}".replace(":", "-")
    png, triple = request.out / f"{stem}.png", request.out / f"{stem}-triptych.png"
    to_picture(result.pixels[0]).save(png)
    drawing = triptych(probe, 0, result.pixels[0], f"adversarial at {budget}")
    to_picture(drawing.pixels).save(triple)
    taken = f"{int(result.steps)} steps" if int(result.steps) >= 0 else "all steps, not sure enough"
    console.print(Text(printable(f"{classifier.alias}: towards {name} within {budget}, {taken}")))
    for panel in drawing.panels:
        console.print(Text(printable(f"  {panel.title}: {panel.said}")))
    # read back from the disk: the attack counts only if it survives 8-bit rounding
    saved = to_unit(pixels(read(png).picture, Geometry(None, None))[None], start.device)
    console.print(Text(printable(f"  {png} is seen as"), "bold"))
    console.print(answer(classifier, saved))
    console.print(Text(printable(f"  {triple} shows all three")))
