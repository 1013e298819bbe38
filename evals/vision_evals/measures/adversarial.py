"""The worst that a declared set of attacks does to each image, and what one step and noise do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import model_validator

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Line, Metric, Plot
from vision_evals.measures.attack_tables import AttackTables, Pgd, attack_of, hold_norm, title
from vision_evals.measures.epsilons import Distances, value, within_scale
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import each, fraction, resampled, shares
from vision_evals.measures.sweeps import (
    CONFIDENTLY_WRONG,
    against_noise,
    median_flip,
    outside,
    right_when_clean,
)
from vision_evals.suite.spec import BY_DECISION, MetricSpec

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.attacks.attack import Attack, Draws
    from vision_evals.attacks.balls import Ball
    from vision_evals.attacks.criteria import Misclassification
    from vision_evals.attacks.worst import Worst
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe


class Parameters(Table):
    """Parameters of ``adversarial``."""

    norm: Literal["linf", "l2"] = "linf"
    """How far is measured: the largest change of a pixel value, or the Euclidean length."""
    epsilons: Distances = (0, "1/1020", "1/510", "1/255", "4/255")
    """Radii of the ball, pixel scale [0, 1]; fractions stay exact."""
    attacks: AttackTables = (
        Pgd(name="pgd"),
        Pgd(name="pgd", loss="dlr"),
    )
    """In this order; only images that still stand go on to the next."""

    @model_validator(mode="after")
    def _suits(self) -> Parameters:
        if self.norm == "linf":
            for epsilon in self.epsilons:
                within_scale(epsilon)
        hold_norm(self.attacks, self.norm)
        return self


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return for each epsilon whether an image stands every attack, one step, and noise."""
    import torch

    from vision_evals.attacks.signs import eight_bit

    criterion, draws = _criterion(probe), _draws(probe)
    clean = ~criterion.met(probe.logits)
    parts = []
    for epsilon in parameters.epsilons:
        ball = _ball(parameters, epsilon)
        found = _worst(probe, parameters, ball)
        one_step = ball.project(
            probe.pixels + ball.epsilon * ball.steepest(probe.gradient), probe.pixels
        )
        noisy = ball.noise(probe.pixels, draws.generators("noise"))
        looked = (found.pixels, eight_bit(found.pixels), one_step, noisy)
        logits, eight, fgsm, noise = probe.looks(
            [place.__getitem__ for place in looked], criterion.accepted
        )
        distance = ball.distance(found.pixels, probe.pixels)
        parts.append(
            {
                "top1": logits.argmax(dim=1),
                "confidence": logits.softmax(dim=1).amax(dim=1),
                "correct_clean": clean,
                "correct": ~found.broken,
                "correct_8bit": ~criterion.met(eight),
                "correct_fgsm": ~criterion.met(fgsm),
                "correct_noise": ~criterion.met(noise),
                "broken_by": found.by,
                "ever": found.ever,
                "blind": found.blind,
                "distance": distance,
                "outside": outside(found.pixels, distance, ball.epsilon),
            }
        )
    return {name: torch.stack([part[name] for part in parts], dim=1) for name in parts[0]}


def _criterion(probe: Probe) -> Misclassification:
    from vision_evals.attacks.criteria import Misclassification

    assert probe.answers is not None, "a measure with labels=True is only asked of labelled images"
    return Misclassification(probe.answers.label, probe.answers.accepted)


def _draws(probe: Probe) -> Draws:
    from vision_evals.attacks.attack import Draws

    return Draws(probe.seed, probe.ids)


def _ball(parameters: Parameters, epsilon: str | int | float) -> Ball:
    from vision_evals.attacks.balls import BALLS

    return BALLS[parameters.norm](value(epsilon))


def _worst(probe: Probe, parameters: Parameters, ball: Ball) -> Worst:
    """Attack every image; a ball of one point holds nothing to look for."""
    from vision_evals.attacks.worst import worst_case

    attacks = [attack_of(table) for table in parameters.attacks] if ball.epsilon else []
    return worst_case(
        probe.classifier,
        probe.pixels,
        _criterion(probe),
        ball,
        attacks,
        _draws(probe),
        look=probe.see,
    )


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the curves over epsilon of the worst case, of one step and of noise."""
    clean = right_when_clean(rows)
    found = []
    for epsilon in map(str, parameters.epsilons):
        at = rows[rows["epsilon"] == epsilon].set_index("image")
        mistakes = at["confidence"][~at["correct"]].to_numpy(np.float64)
        moved = at[at["correct_clean"] & ~at["correct"]]["distance"].to_numpy(np.float64)
        found += [
            fraction("robust_accuracy", at["correct"], subject, at=epsilon),
            fraction("robust_accuracy_8bit", at["correct_8bit"], subject, at=epsilon),
            fraction("fgsm_accuracy", at["correct_fgsm"], subject, at=epsilon),
            fraction("noise_accuracy", at["correct_noise"], subject, at=epsilon),
            fraction(
                "attack_success",
                ~at["correct"][clean],
                subject,
                at=epsilon,
                of="images correct when clean",
            ),
            resampled(
                "confidence_on_mistakes", np.mean, (mistakes,), subject, at=epsilon, of="mistakes"
            ),
            resampled(
                "median_distance",
                np.median,
                (moved,),
                subject,
                at=epsilon,
                of="images that an attack broke",
                unit=f"{parameters.norm} norm",
            ),
            against_noise(at, epsilon),
        ]
    return (*found, median_flip(rows, parameters.epsilons))


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return accuracy over epsilon: noise, one step, and after each attack of the set in turn."""
    sizes = sorted(parameters.epsilons, key=value)
    at = {epsilon: rows[rows["epsilon"] == str(epsilon)] for epsilon in sizes}
    scale = 255 if parameters.norm == "linf" else 1

    def line(name: str, standing: Callable[[pd.DataFrame], pd.Series[bool]]) -> Line:
        x = [scale * value(epsilon) for epsilon in sizes]
        return shares(name, x, [standing(at[epsilon]).to_numpy() for epsilon in sizes], subject)

    def after(attacks: int) -> Callable[[pd.DataFrame], pd.Series[bool]]:
        return lambda found: ~found["broken_by"].isin([-2, *range(attacks)])

    lines = [
        line("random noise", lambda found: found["correct_noise"]),
        line("one step", lambda found: found["correct_fgsm"]),
        *(
            line(("then " if index else "") + title(table), after(index + 1))
            for index, table in enumerate(parameters.attacks)
        ),
    ]
    unit = "epsilon in levels of 255" if parameters.norm == "linf" else "epsilon, Euclidean length"
    return (
        Plot(
            title=f"Share of images that stand, {parameters.norm}",
            about="Each attack is only asked about images that those above it left standing: the "
            "lowest line is the worst case over the whole set.",
            x_label=unit,
            y_label="share of images still named rightly",
            lines=tuple(lines),
            share=True,
        ),
    )


def attack(parameters: Parameters) -> Attack:
    """Return the first attack of the set: validity checks ask it whether it can be believed."""
    return attack_of(parameters.attacks[0])


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return how confidently wrong an image that was right became at any epsilon."""
    wrong = rows["confidence"].where(rows["correct_clean"] & ~rows["correct"], 0.0)
    return wrong.groupby(rows["image"], sort=False).max()


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial side by side, at the smallest radius that breaks.

    Where none does, at the largest.
    """
    from vision_evals.measures.triptych import triptych

    drawings = []
    for i, image in enumerate(probe.ids):
        mine = rows[rows["image"] == image]
        broken = set(mine["epsilon"][~mine["correct"]])
        sizes = sorted(parameters.epsilons, key=value)
        shown = next((e for e in sizes if str(e) in broken and value(e) > 0), sizes[-1])
        alone = probe.only(i)
        moved = _worst(alone, parameters, _ball(parameters, shown)).pixels
        attacked = mine["correct_clean"].all()  # nobody attacks what is wrong by itself
        said = f"adversarial at {shown}" if attacked else "wrong when clean, not attacked"
        drawings.append(triptych(probe, i, moved[0], said))
    return tuple(drawings)


def _spec(name: str, about: str, **more: object) -> MetricSpec:
    return MetricSpec(name, about, axis="epsilons", **more)  # type: ignore[arg-type]


MEASURE = Measure(
    name="adversarial",
    about="How many images stand every attack of a declared set within a ball.",
    parameters=Parameters,
    class_columns=("top1",),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    iterated=True,
    columns=("correct_clean", "correct", "correct_noise", "correct_fgsm", "ever", "blind"),
    worst_first=CONFIDENTLY_WRONG,
    metrics=(
        _spec(
            "robust_accuracy",
            "Share of all images that are still named rightly after every attack of the set: the "
            "worst case of each image.",
            source="Carlini et al. 2019, On Evaluating Adversarial Robustness; Croce & Hein 2020",
            interval="wilson",
            per_image=each("correct"),
            numeric_error=BY_DECISION,
            counts="image",
            headline=Headline(label="many-step robust accuracy", rank=3),
        ),
        _spec(
            "robust_accuracy_8bit",
            "Robust accuracy of the same points rounded to 8 bits, as saved pictures would be.",
            source="Goodfellow et al. 2015, section 3; Carlini & Wagner 2017 (discretisation)",
            interval="wilson",
            per_image=each("correct_8bit"),
            numeric_error=BY_DECISION,
            refines="robust_accuracy",
        ),
        _spec(
            "fgsm_accuracy",
            "Share named rightly after one step of the whole size along the gradient.",
            source="Goodfellow et al. 2015, section 4",
            interval="wilson",
            per_image=each("correct_fgsm"),
            numeric_error=BY_DECISION,
        ),
        _spec(
            "noise_accuracy",
            "Share named rightly after an aimless move of the whole size.",
            source="Carlini et al. 2019, On Evaluating Adversarial Robustness",
            interval="wilson",
            per_image=each("correct_noise"),
            numeric_error=BY_DECISION,
        ),
        _spec(
            "attack_success",
            "Share of the images that were right when clean and that some attack breaks.",
            source="Carlini et al. 2019, On Evaluating Adversarial Robustness",
            interval="wilson",
            counts="correct_clean",
            higher_is_better=False,
        ),
        _spec(
            "confidence_on_mistakes",
            "Mean confidence of the wrong answers.",
            source="Goodfellow et al. 2015, section 4",
            interval="bootstrap",
            higher_is_better=False,
        ),
        _spec(
            "median_distance",
            "Median distance, in the check's norm, of the points that broke an image.",
            source="Schott et al. 2019",
            unit="distance",
            range=(0.0, float("inf")),
        ),
        _spec(
            "noise_p_value",
            "Exact McNemar test, one-sided: how likely the lead over noise of the same size is by "
            "chance.",
            source="McNemar 1947",
            higher_is_better=False,
        ),
        MetricSpec(
            "median_flip_epsilon",
            "Smallest epsilon of the sweep at which half of the right images have fallen.",
            source="Schott et al. 2019 (median distance)",
            unit="epsilon",
            range=(0.0, float("inf")),
        ),
    ),
    observe=observe,
    forwards=lambda parameters: 4 * len(parameters.epsilons),
    summarise=summarise,
    plots=plots,
    attack=attack,
    badness=badness,
    explain=explain,
)
