"""The worst case of each image over a declared set of attacks, next to one step and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import model_validator

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Line, Metric, Plot
from vision_evals.measures import sweeps
from vision_evals.measures.attack_tables import AttackTables, Pgd, attack_of, hold_norm, title
from vision_evals.measures.epsilons import Distances, value, within_scale
from vision_evals.measures.measure import MOVED, Drawing, Measure, Subject
from vision_evals.measures.metrics import resampled, shares

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from vision_evals.attacks.attack import Attack, Draws
    from vision_evals.attacks.balls import Ball
    from vision_evals.attacks.criteria import Misclassification
    from vision_evals.attacks.nested import Nested
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe


class Parameters(Table):
    """Parameters of ``adversarial``."""

    norm: Literal["linf", "l2"] = "linf"
    """How distance is measured: the largest change of a pixel value, or the Euclidean length."""
    epsilons: Distances = (0, "1/1020", "1/510", "1/255", "4/255")
    """Radii of the ball, pixel scale [0, 1]; fractions stay exact."""
    attacks: AttackTables = (Pgd(name="pgd"), Pgd(name="pgd", loss="dlr"))
    """Attacks in this order; each attacks only images that the attacks before it did not break."""

    @model_validator(mode="after")
    def _check_norm(self) -> Parameters:
        if self.norm == "linf":
            for epsilon in self.epsilons:
                within_scale(epsilon)
        hold_norm(self.attacks, self.norm)
        return self


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return at each epsilon whether images stay correct after all attacks, one step, and noise."""
    from vision_evals.attacks.signs import eight_bit

    criterion, draws = _criterion(probe), _draws(probe)
    clean = ~criterion.met(probe.logits)
    parts: dict[float, Mapping[str, torch.Tensor]] = {}
    found: dict[float, tuple[torch.Tensor, torch.Tensor]] = {}
    balls = [_ball(parameters, epsilon) for epsilon in sorted(parameters.epsilons, key=value)]
    for ball, (worst, broken_at) in zip(balls, _nested(probe, parameters, balls), strict=True):
        if probe.keeps:
            found[ball.epsilon] = worst.pixels, worst.broken
        one_step = ball.project(
            probe.pixels + ball.epsilon * ball.steepest(probe.gradient), probe.pixels
        )
        noisy = ball.noise(probe.pixels, draws.generators("noise"))
        variants = (worst.pixels, eight_bit(worst.pixels), one_step, noisy)
        logits, eight, fgsm, noise = probe.looks(
            [pixels.__getitem__ for pixels in variants], criterion.accepted
        )
        distance = ball.distance(worst.pixels, probe.pixels)
        parts[ball.epsilon] = {
            "top1": logits.argmax(dim=1),
            "confidence": logits.softmax(dim=1).amax(dim=1),
            "correct_clean": clean,
            "correct": broken_at < 0,
            "correct_8bit": ~criterion.met(eight),
            "correct_fgsm": ~criterion.met(fgsm),
            "correct_noise": ~criterion.met(noise),
            "broken_by": worst.by,
            "broken_at": broken_at,
            # a point of a smaller ball is the reason, and this row's point breaks nothing
            "carried": ~worst.broken & (broken_at >= 0),
            "ever": worst.ever,
            "blind": worst.blind,
            "distance": distance,
            "outside": sweeps.outside(worst.pixels, distance, ball.epsilon),
        }
    columns = sweeps.stacked([parts[value(epsilon)] for epsilon in parameters.epsilons])
    if found:
        columns[MOVED] = sweeps.shown(found, max(found))
    return columns


def _criterion(probe: Probe) -> Misclassification:
    from vision_evals.attacks.criteria import Misclassification

    return Misclassification(probe.right.label, probe.right.accepted)


def _draws(probe: Probe) -> Draws:
    from vision_evals.attacks.attack import Draws

    return Draws(probe.seed, probe.ids)


def _ball(parameters: Parameters, epsilon: str | int | float) -> Ball:
    from vision_evals.attacks.balls import BALLS

    return BALLS[parameters.norm](value(epsilon))


def _nested(probe: Probe, parameters: Parameters, balls: Sequence[Ball]) -> Iterator[Nested]:
    """Yield the worst case in each ball, from the smallest to the largest."""
    from vision_evals.attacks.nested import nested_worst_cases

    attacks = [attack_of(table) for table in parameters.attacks]
    images = probe.classifier, probe.pixels, _criterion(probe)
    return nested_worst_cases(*images, balls, attacks, _draws(probe), probe.see)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the curves over epsilon of the worst case, of one step and of noise."""

    def distance(at: pd.DataFrame, epsilon: str) -> Iterator[Metric]:
        broken = at[at["correct_clean"] & ~at["correct"] & ~at["carried"]]
        moved = broken["distance"].to_numpy(np.float64)
        of, unit = "images that an attack broke", f"{parameters.norm} norm"
        yield resampled(
            "median_distance", np.median, (moved,), subject, at=epsilon, of=of, unit=unit
        )

    return sweeps.sweep_metrics(rows, parameters.epsilons, subject, sweeps.ACCURACIES, distance)


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return accuracy over epsilon after noise, one step, and each attack of the set in turn."""
    sizes = sorted(parameters.epsilons, key=value)
    at = {epsilon: rows[rows["epsilon"] == str(epsilon)] for epsilon in sizes}
    scale = 255 if parameters.norm == "linf" else 1

    def line(name: str, correct: Callable[[pd.DataFrame], pd.Series[bool]]) -> Line:
        x = [scale * value(epsilon) for epsilon in sizes]
        return shares(name, x, [correct(at[epsilon]).to_numpy() for epsilon in sizes], subject)

    def after(attacks: int) -> Callable[[pd.DataFrame], pd.Series[bool]]:
        return lambda rows: ~rows["broken_by"].isin([-2, *range(attacks)])

    lines = [
        line("random noise", lambda rows: rows["correct_noise"]),
        line("one step", lambda rows: rows["correct_fgsm"]),
        *(
            line(("then " if index else "") + title(table), after(index + 1))
            for index, table in enumerate(parameters.attacks)
        ),
    ]
    unit = "epsilon in levels of 255" if parameters.norm == "linf" else "epsilon, Euclidean length"
    return (
        Plot(
            title=f"Accuracy after attacks, {parameters.norm}",
            about="Each attack runs only on images that the attacks above it did not break: the "
            "lowest line is the worst case over the whole set.",
            x_label=unit,
            y_label="share of images classified correctly",
            lines=tuple(lines),
            share=True,
        ),
    )


def attack(parameters: Parameters) -> Attack:
    """Return the first attack of the set, for validity checks."""
    return attack_of(parameters.attacks[0])


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the highest confidence in a wrong class of each image that is correct when clean."""
    broken = rows["correct_clean"] & ~rows["correct"] & ~rows["carried"]
    return sweeps.confidence_where(broken, rows)


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial side by side, at the smallest radius that breaks.

    Where no radius does, at the largest.
    """
    from vision_evals.measures.triptych import triptych

    drawings, sizes = [], sorted(parameters.epsilons, key=value)
    for i, image in enumerate(probe.ids):
        at = rows[rows["image"] == image]
        broken = set(at["epsilon"][~at["correct"]])
        shown = next((e for e in sizes if str(e) in broken and value(e) > 0), sizes[-1])
        moved = probe.moved.get(image)
        if moved is None:
            ((worst, _),) = _nested(probe.only(i), parameters, [_ball(parameters, shown)])
            moved = worst.pixels[0]
        attacked = at["correct_clean"].all()  # images that are wrong when clean are not attacked
        panel = f"adversarial at {shown}" if attacked else "wrong when clean, not attacked"
        drawings.append(triptych(probe, i, moved, panel))
    return tuple(drawings)


MEASURE = Measure(
    name="adversarial",
    about="How many images stay correct after every attack of a declared set within a ball.",
    parameters=Parameters,
    class_columns=("top1",),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    iterated=True,
    columns=(
        "correct_clean",
        "correct",
        "correct_noise",
        "correct_fgsm",
        "broken_at",
        "ever",
        "blind",
    ),
    worst_first=sweeps.CONFIDENTLY_WRONG,
    metrics=(
        sweeps.accuracy_after(
            "robust_accuracy",
            "Share of all images that are still classified correctly after every attack of the "
            "set: the worst case of each image.",
            "Carlini et al. 2019, On Evaluating Adversarial Robustness; Croce & Hein 2020",
            counts="image",
            headline=Headline(label="many-step robust accuracy", rank=3),
        ),
        sweeps.ROBUST_ACCURACY_8BIT,
        sweeps.accuracy_after(
            "fgsm_accuracy",
            "Share of all images that are still classified correctly after one step of size "
            "epsilon along the gradient.",
            "Goodfellow et al. 2015, section 4",
        ),
        sweeps.accuracy_after(
            "noise_accuracy",
            "Share of all images that are still classified correctly after a step of size epsilon "
            "in a random direction.",
            "Carlini et al. 2019, On Evaluating Adversarial Robustness",
        ),
        sweeps.ATTACK_SUCCESS,
        sweeps.CONFIDENCE_ON_MISTAKES,
        sweeps.at_each_epsilon(
            "median_distance",
            "Median distance, in the norm of the check, from an image to the adversarial image "
            "that broke it.",
            source="Schott et al. 2019",
            unit="distance",
            range=(0.0, float("inf")),
        ),
        sweeps.NOISE_P_VALUE,
        replace(sweeps.MEDIAN_FLIP_EPSILON, range=(0.0, float("inf"))),
    ),
    observe=observe,
    forwards=lambda parameters: 4 * len(parameters.epsilons),
    summarise=summarise,
    plots=plots,
    attack=attack,
    badness=badness,
    explain=explain,
)
