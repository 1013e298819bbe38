"""Images turned into a chosen class by changes too small to see."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table
from vision_evals.log import Metric, WorstFirst
from vision_evals.measures.epsilons import Epsilons, value
from vision_evals.measures.measure import MOVED, Drawing, Measure, Subject
from vision_evals.measures.metrics import absent, each, exact, fraction, resampled
from vision_evals.measures.sweeps import shown, stacked
from vision_evals.measures.triptych import triptych
from vision_evals.suite.spec import BY_DECISION, BY_PROBABILITY, MetricSpec

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.attacks.attack import Attack
    from vision_evals.images.image_set import ImageSet
    from vision_evals.images.labels import ClassMap
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe

OTHERS = "images that are not of the target's class"
MOVED_IMAGES = "images that the attack moved"


class Parameters(Table):
    """Parameters of ``targeted``."""

    target: str
    """Class that the attack aims at: by exact name, synset or index."""
    budgets: Epsilons = ("2/255", "4/255", "8/255")
    """Largest changes of a pixel value, on the pixel scale [0, 1]."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    """Largest number of steps; 1 is the one-step method."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Confidence in the target at which the attack on an image ends."""


def target_of(classes: ClassMap, name: str) -> int:
    """Return the class index of a target.

    Raises:
        UserError: no such class. ImageNet has no "airplane": a search for substrings would find
            the carpenter's plane.
    """
    try:
        return classes.index(name)
    except UserError as error:
        if "airliner" in classes.names and name.lower() in {"airplane", "aeroplane", "plane"}:
            raise UserError(
                f'target "{name}": ImageNet has no such class; it has "airliner" (404) and '
                '"warplane" (895), and "plane" (726) is the carpenter\'s tool'
            ) from None
        raise UserError(f'target "{name}": {error}{did_you_mean(name, classes.names)}') from None


def prepare(image_set: ImageSet, classes: ClassMap, alias: str, parameters: Parameters) -> None:
    """Refuse a target that is not a class; UserError."""
    del image_set, alias
    target_of(classes, parameters.target)


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return the target's confidence, the steps and the distances at each budget."""
    import torch

    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.gradients import slope
    from vision_evals.attacks.signs import eight_bit, towards
    from vision_evals.attacks.similarity import structural_similarity
    from vision_evals.models.answers import among

    classifier, pixels = probe.classifier, probe.pixels
    index = target_of(classifier.classes, parameters.target)
    target = torch.full((len(probe.ids),), index, device=pixels.device)
    already = (
        probe.logits.argmax(dim=1) == index
        if probe.answers is None
        else among(target, probe.answers.accepted)
    )
    first = slope(classifier, pixels, target[:, None])
    before = first.logits.softmax(dim=1)[:, index]
    parts, found = [], {}
    for budget in map(value, parameters.budgets):
        ball, steps, until = LinfBall(budget), parameters.steps, parameters.until
        reached = towards(classifier, pixels, target, ball, steps=steps, until=until, first=first)
        variants = (reached.pixels, eight_bit(reached.pixels))
        logits, saved = probe.looks([moved.__getitem__ for moved in variants], target[:, None])
        success, change = logits.argmax(dim=1) == index, (reached.pixels - pixels).flatten(1)
        if probe.keeps:
            found[budget] = reached.pixels, success
        parts.append(
            {
                "already": already,
                "success": success,
                "success_8bit": saved.argmax(dim=1) == index,
                "confidence_clean": before,
                "confidence": logits.softmax(dim=1)[:, index],
                "steps": reached.steps,
                "linf": change.abs().amax(dim=1),
                "l2": change.norm(dim=1),
                "ssim": structural_similarity(reached.pixels, pixels),
                "low": reached.pixels.flatten(1).amin(dim=1),
                "high": reached.pixels.flatten(1).amax(dim=1),
            }
        )
    columns = stacked(parts)
    if found:
        columns[MOVED] = shown(found, min(found))
    return columns


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return success, confidence, steps and distances for each budget."""
    metrics: list[Metric] = []
    for budget in map(str, parameters.budgets):
        at = _others(rows[rows["budget"] == budget])
        moved = _moved(at)
        steps = at["steps"][at["steps"] >= 0]
        confident = f"images that reached confidence {parameters.until:g}"
        share = partial(fraction, subject=subject, at=budget, of=OTHERS)
        mean = partial(_mean, subject=subject, at=budget)
        metrics += [
            share("target_success", at["success"]),
            share("target_success_8bit", at["success_8bit"]),
            mean("target_confidence", at["confidence"]),
            mean("steps_to_success", steps, of=confident, unit="steps"),
            _largest(at, budget),
            mean("l2", moved["l2"], of=MOVED_IMAGES, unit="pixel scale"),
            mean("ssim", moved["ssim"], of=MOVED_IMAGES),
        ]
    return tuple(metrics)


def _others(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of OTHERS. Without labels they depend on the network's own answers."""
    return rows[~rows["already"]]


def _moved(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of MOVED_IMAGES: a distance of 0 says nothing of a change."""
    others = _others(rows)
    return others[others["linf"] > 0]


def _mean(
    name: str, values: pd.Series[float], subject: Subject, of: str = OTHERS, **more: Any
) -> Metric:
    return resampled(name, np.mean, (values.to_numpy(np.float64),), subject, of=of, **more)


def _largest(at: pd.DataFrame, budget: str) -> Metric:
    """Return by how much the worst image leaves ball or box; 0 is inside, computed from rows."""
    if at.empty:
        return absent("escape", f"there are no {OTHERS}", at=budget, of=OTHERS)
    outside = np.maximum(at["linf"] - value(budget), np.maximum(-at["low"], at["high"] - 1))
    most, reason = max(0.0, float(outside.max())), "an exact bound, not a sample"
    return exact("escape", most, len(at), OTHERS, reason, at=budget, unit="pixel scale")


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the confidence in the target at the first budget."""
    return rows.groupby("image", sort=False)["confidence"].first()


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial at the smallest budget that succeeds."""
    import torch

    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.signs import towards

    index = target_of(probe.classifier.classes, parameters.target)
    drawings = []
    for i, image in enumerate(probe.ids):
        at = rows[rows["image"] == image]
        successes = list(at["budget"][at["success"]])
        budget = min(successes or list(map(str, parameters.budgets)), key=value)
        moved = probe.moved.get(image)
        if moved is None:
            moved = towards(
                probe.classifier,
                probe.pixels[i : i + 1],
                torch.tensor([index], device=probe.pixels.device),
                LinfBall(value(budget)),
                steps=parameters.steps,
                until=parameters.until,
            ).pixels[0]
        drawings.append(triptych(probe, i, moved, f"towards {parameters.target}, {budget}"))
    return tuple(drawings)


def attack(parameters: Parameters) -> Attack:
    """Return the attack for validity checks, which does not stop at a confidence."""
    from vision_evals.attacks.fgsm import FastGradientSign
    from vision_evals.attacks.pgd import ProjectedGradientDescent

    if parameters.steps == 1:
        return FastGradientSign()
    return ProjectedGradientDescent(
        steps=parameters.steps, rel_stepsize=0.25, random_start=False, early_stop=False
    )


_spec = partial(MetricSpec, axis="budgets")
_lower = partial(_spec, higher_is_better=False)

MEASURE = Measure(
    name="targeted",
    about="How often images can be turned into one chosen class by changes too small to see.",
    parameters=Parameters,
    labels=False,
    axis=("budget", "budgets"),
    iterated=True,
    columns=("already", "confidence_clean", "confidence", "steps"),
    worst_first=WorstFirst(
        meaning="The worst are the images on which the smallest budget gave the target the highest "
        "confidence."
    ),
    prepare=prepare,
    metrics=(
        _lower(
            "target_success",
            "Share of images, not of the target's class, that the network classifies as the target "
            "after the attack.",
            source="Szegedy et al. 2014; Kurakin et al. 2017",
            interval="wilson",
            per_image=each("success", _others),
            numeric_error=BY_DECISION,
        ),
        _lower(
            "target_success_8bit",
            "Target success after rounding to 8 bits, as a saved picture stores it.",
            source="Goodfellow et al. 2015, section 3; Carlini & Wagner 2017 (discretisation)",
            interval="wilson",
            per_image=each("success_8bit", _others),
            numeric_error=BY_DECISION,
            refines="target_success",
        ),
        _lower(
            "target_confidence",
            "Mean confidence in the target.",
            interval="bootstrap",
            per_image=each("confidence", _others),
            numeric_error=BY_PROBABILITY,
        ),
        _spec(
            "steps_to_success",
            "Mean number of steps of the images that reached the confidence `until`.",
            range=(0.0, float("inf")),
        ),
        _lower(
            "escape",
            "By how much the worst image leaves the ball of the budget or [0, 1], measured outside "
            "the attack. 0 is inside.",
        ),
        _spec(
            "l2",
            "Mean Euclidean length of the change of the images that the attack moved, pixel scale "
            "[0, 1].",
            source="Carlini & Wagner 2017",
            range=(0.0, float("inf")),
            per_image=each("l2", _moved),
        ),
        _spec(
            "ssim",
            "Mean structural similarity of image and adversarial image, of the images that the "
            "attack moved: 1 means equal.",
            source="Wang et al. 2004, equation 13",
            per_image=each("ssim", _moved),
        ),
    ),
    observe=observe,
    forwards=lambda parameters: 2 * len(parameters.budgets),
    summarise=summarise,
    badness=badness,
    explain=explain,
    attack=attack,
)
