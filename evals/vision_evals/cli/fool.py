"""``evals fool``: change one picture so that a network sees a class of the user's choice."""

from __future__ import annotations

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
from vision_evals.models.device import numerics, resolve


def fool(catalog: Catalog, file: Path, parameters: Parameters, out: Path) -> None:
    """Attack a picture towards the target for each classifier, and print its top-5 of the PNG.

    Args:
        catalog: with the networks.
        file: the picture.
        parameters: of the attack, the target among them.
        out: folder that gets the triptych and the 8-bit PNG.

    Raises:
        UserError: the picture, a classifier or the target is unavailable, or the network sees the
            target already.
    """
    device = resolve(catalog.options.table.device)
    resources = resources_of(catalog, device)
    picture = read(file).picture
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}; name another folder") from None
    for network in catalog.requests:
        classifier = resources.classifier(network)
        start = to_unit(pixels(picture, classifier.geometry)[None], device)
        with numerics(device, "fp32"):
            probe = Probe(classifier, (file.name,), start, None)
            _fool(probe, parameters, out / f"{file.stem}-{classifier.alias}".replace(":", "-"))


def _fool(probe: Probe, parameters: Parameters, results: Path) -> None:
    classifier, start, console = probe.classifier, probe.pixels, Console()
    target = target_of(classifier.classes, parameters.target)
    name = classifier.classes.names[target]
    if int(probe.logits.argmax()) == target:
        raise UserError(f'{classifier.alias} sees "{name}" already: there is nothing to fool')
    (budget,) = parameters.budgets
    result = towards(
        classifier,
        start,
        torch.tensor([target], device=start.device),
        LinfBall(value(budget)),
        steps=parameters.steps,
        until=parameters.until,
    )
    png, triple = Path(f"{results}.png"), Path(f"{results}-triptych.png")
    to_picture(result.pixels[0]).save(png)
    drawing = triptych(probe, 0, result.pixels[0], f"adversarial at {budget}")
    to_picture(drawing.pixels).save(triple)
    taken = f"{int(result.steps)} steps" if int(result.steps) >= 0 else "all steps, not sure enough"
    console.print(Text(printable(f"{classifier.alias}: towards {name} within {budget}, {taken}")))
    for panel in drawing.panels:
        console.print(Text(printable(f"  {panel.title}: {panel.subtitle}")))
    # read back from the disk: the attack counts only if it survives 8-bit rounding
    saved = to_unit(pixels(read(png).picture, Geometry(None, None))[None], start.device)
    console.print(Text(printable(f"  {png} is seen as"), "bold"))
    console.print(answer(classifier, saved))
    console.print(Text(printable(f"  {triple} shows all three")))
