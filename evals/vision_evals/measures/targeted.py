"""Objects turned into a class of one's choice by changes nobody sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table
from vision_evals.log import Metric, WorstFirst
from vision_evals.measures.epsilons import Epsilons, value
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import absent, each, exact, fraction, resampled
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


class Parameters(Table):
    """Parameters of ``targeted``."""

    target: str
    """Class to be seen: by exact name, synset or index."""
    budgets: Epsilons = ("2/255", "4/255", "8/255")
    """How far a pixel value may move, on the pixel scale [0, 1]."""
    steps: Annotated[int, Field(ge=1, le=1000)] = 20
    """At most so many; 1 is the one-step method."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Confidence in the target at which an image is done."""


def target_of(classes: ClassMap, name: str) -> int:
    """Return the class index of a target.

    Raises:
        UserError: no such class. ImageNet has no "airplane": a substring would find the
            carpenter's plane.
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
    """Hold the target against the classes."""
    del image_set, alias
    target_of(classes, parameters.target)


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return for each budget how confident the network became of the target, and what it took."""
    import torch

    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.gradients import slope
    from vision_evals.attacks.signs import eight_bit, towards
    from vision_evals.attacks.similarity import structural_similarity
    from vision_evals.models.answers import among

    classifier, pixels = probe.classifier, probe.pixels
    index = target_of(classifier.classes, parameters.target)
    target = torch.full((len(probe.ids),), index, device=pixels.device)
    here = (
        probe.logits.argmax(dim=1) == index
        if probe.answers is None
        else among(target, probe.answers.accepted)
    )
    first = slope(classifier, pixels, target[:, None])
    before = first.logits.softmax(dim=1)[:, index]
    parts = []
    for budget in map(value, parameters.budgets):
        found = towards(
            classifier,
            pixels,
            target,
            LinfBall(budget),
            steps=parameters.steps,
            until=parameters.until,
            first=first,
        )
        looked = (found.pixels, eight_bit(found.pixels))
        logits, saved = probe.looks([place.__getitem__ for place in looked], target[:, None])
        change = (found.pixels - pixels).flatten(1)
        parts.append(
            {
                "already": here,
                "success": logits.argmax(dim=1) == index,
                "success_8bit": saved.argmax(dim=1) == index,
                "confidence_clean": before,
                "confidence": logits.softmax(dim=1)[:, index],
                "steps": found.steps,
                "linf": change.abs().amax(dim=1),
                "l2": change.norm(dim=1),
                "ssim": structural_similarity(found.pixels, pixels),
                "low": found.pixels.flatten(1).amin(dim=1),
                "high": found.pixels.flatten(1).amax(dim=1),
            }
        )
    return {name: torch.stack([part[name] for part in parts], dim=1) for name in parts[0]}


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return success, confidence, steps and distances for each budget."""
    found: list[Metric] = []
    for budget in map(str, parameters.budgets):
        at = _others(rows[rows["budget"] == budget])
        reached = at[at["steps"] >= 0]
        found += [
            fraction("target_success", at["success"], subject, at=budget, of=OTHERS),
            fraction("target_success_8bit", at["success_8bit"], subject, at=budget, of=OTHERS),
            _mean("target_confidence", at["confidence"], subject, budget, OTHERS),
            _mean(
                "steps_to_success", reached["steps"], subject, budget,
                f"images that reached confidence {parameters.until:g}", "steps",
            ),
            _largest(at, budget),
            _mean("l2", at["l2"], subject, budget, OTHERS, "pixel scale"),
            _mean("ssim", at["ssim"], subject, budget, OTHERS),
        ]  # fmt: skip
    return tuple(found)


def _others(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of OTHERS. Without labels the network says which: two may differ there."""
    return rows[~rows["already"]]


def _mean(
    name: str, values: pd.Series[float], subject: Subject, at: str, of: str, unit: str = "fraction"
) -> Metric:
    column = values.to_numpy(np.float64)
    return resampled(name, np.mean, (column,), subject, at=at, of=of, unit=unit)


def _largest(at: pd.DataFrame, budget: str) -> Metric:
    """Return by how much the worst image leaves ball or box; 0 is inside, checked on the rows."""
    if at.empty:
        return absent("escape", f"there are no {OTHERS}", at=budget, of=OTHERS)
    outside = np.maximum(at["linf"] - value(budget), np.maximum(-at["low"], at["high"] - 1))
    most, reason = max(0.0, float(outside.max())), "an exact bound, not a sample"
    return exact("escape", most, len(at), OTHERS, reason, at=budget, unit="pixel scale")


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the confidence in the target at the first budget: the easiest to fool."""
    return rows.groupby("image", sort=False)["confidence"].first()


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial at the smallest budget that succeeds."""
    import torch

    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.signs import towards

    index = target_of(probe.classifier.classes, parameters.target)
    drawings = []
    for i, image in enumerate(probe.ids):
        mine = rows[rows["image"] == image]
        won = list(mine["budget"][mine["success"]])
        budget = min(won or list(map(str, parameters.budgets)), key=value)
        moved = towards(
            probe.classifier,
            probe.pixels[i : i + 1],
            torch.tensor([index], device=probe.pixels.device),
            LinfBall(value(budget)),
            steps=parameters.steps,
            until=parameters.until,
        )
        drawings.append(
            triptych(probe, i, moved.pixels[0], f"towards {parameters.target}, {budget}")
        )
    return tuple(drawings)


def attack(parameters: Parameters) -> Attack:
    """Return what moves the pixels, without its way of stopping at a confidence."""
    from vision_evals.attacks.fgsm import FastGradientSign
    from vision_evals.attacks.pgd import ProjectedGradientDescent

    if parameters.steps == 1:
        return FastGradientSign()
    return ProjectedGradientDescent(
        steps=parameters.steps, rel_stepsize=0.25, random_start=False, early_stop=False
    )


def _spec(name: str, about: str, **more: object) -> MetricSpec:
    return MetricSpec(name, about, axis="budgets", **more)  # type: ignore[arg-type]


MEASURE = Measure(
    name="targeted",
    about="How often every image can be turned into one class by changes nobody sees.",
    parameters=Parameters,
    labels=False,
    axis=("budget", "budgets"),
    iterated=True,
    columns=("already", "confidence_clean", "confidence", "steps"),
    worst_first=WorstFirst(
        meaning="The worst are those that the smallest budget made surest of the target."
    ),
    prepare=prepare,
    metrics=(
        _spec(
            "target_success",
            "Share of images, not of the target's class, that the network then calls the target.",
            source="Szegedy et al. 2014; Kurakin et al. 2017",
            interval="wilson",
            higher_is_better=False,
            per_image=each("success", _others),
            numeric_error=BY_DECISION,
        ),
        _spec(
            "target_success_8bit",
            "Target success after rounding to 8 bits, as a saved picture would be.",
            source="Goodfellow et al. 2015, section 3; Carlini & Wagner 2017 (discretisation)",
            interval="wilson",
            higher_is_better=False,
            per_image=each("success_8bit", _others),
            numeric_error=BY_DECISION,
            refines="target_success",
        ),
        _spec(
            "target_confidence",
            "Mean confidence in the target.",
            interval="bootstrap",
            higher_is_better=False,
            per_image=each("confidence", _others),
            numeric_error=BY_PROBABILITY,
        ),
        _spec(
            "steps_to_success",
            "Mean number of steps of the images that reached the wanted confidence.",
            range=(0.0, float("inf")),
        ),
        _spec(
            "escape",
            "By how much the worst image leaves the ball of the budget or [0, 1], measured on the "
            "pixels outside the attack. 0 is inside.",
            higher_is_better=False,
        ),
        _spec(
            "l2",
            "Mean Euclidean length of the change, pixel scale [0, 1].",
            source="Carlini & Wagner 2017",
            range=(0.0, float("inf")),
            per_image=each("l2", _others),
        ),
        _spec(
            "ssim",
            "Mean structural similarity of image and adversarial: 1 is equal.",
            source="Wang et al. 2004, equation 13",
            per_image=each("ssim", _others),
        ),
    ),
    observe=observe,
    forwards=lambda parameters: 2 * len(parameters.budgets),
    summarise=summarise,
    badness=badness,
    explain=explain,
    attack=attack,
)
