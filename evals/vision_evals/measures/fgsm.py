"""The fast gradient sign method: one step of every pixel along the sign of the gradient."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric
from vision_evals.measures.epsilons import Epsilons, value
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import each, fraction, resampled
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
    import torch

    from vision_evals.attacks.attack import Attack
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe, Rows

SWEEP: tuple[str | int | float, ...] = (
    0, "1/2040", "1/1020", "1/510", "1/255", 0.007, "4/255", "16/255"
)  # fmt: skip
"""Points below one 8-bit level too: at 1/255 undefended networks have mostly fallen already."""


class Parameters(Table):
    """Parameters of ``fgsm``."""

    epsilons: Epsilons = SWEEP
    """Sizes of the step, pixel scale [0, 1]; fractions stay exact."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return for each epsilon what the network says after the step, after rounding, after noise.

    One gradient serves all epsilons, and epsilon 0 is the forward it came from: pictures have 8
    bits, so that rounding changes nothing there either.
    """
    import torch

    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.signs import eight_bit, signed_step
    from vision_evals.measures.probe import EVERY
    from vision_evals.models.answers import first_is_right

    assert probe.answers is not None, "a measure with labels=True is only asked of labelled images"
    pixels, random = probe.pixels, _random_signs(probe)
    # in the pixels' layout: steps from one into another take three times as long
    uphill = probe.gradient.sign().contiguous()
    accepted, epsilons = probe.answers.accepted, [*map(value, parameters.epsilons)]

    def stepped(epsilon: float, rows: Rows) -> torch.Tensor:
        return signed_step(pixels[rows], uphill[rows], epsilon)

    def rounded(epsilon: float, rows: Rows) -> torch.Tensor:
        return eight_bit(stepped(epsilon, rows))

    def noisy(epsilon: float, rows: Rows) -> torch.Tensor:
        return signed_step(pixels[rows], random[rows], epsilon)

    moves, sizes = (stepped, rounded, noisy), [epsilon for epsilon in epsilons if epsilon]
    places = [partial(move, size) for size in sizes for move in moves]
    seen = iter(probe.looks(places, accepted))
    clean, parts = probe.logits, []
    for epsilon in epsilons:
        said = [next(seen) for _ in moves] if epsilon else [clean] * len(moves)
        logits, eight, noise = said
        moved = stepped(epsilon, EVERY)
        parts.append(
            {
                "top1": logits.argmax(dim=1),
                "confidence": logits.softmax(dim=1).amax(dim=1),
                "margin": _margin(logits, probe.answers.label),
                "correct_clean": first_is_right(clean, accepted),
                "correct": first_is_right(logits, accepted),
                "correct_8bit": first_is_right(eight, accepted),
                "correct_noise": first_is_right(noise, accepted),
                "outside": outside(moved, LinfBall(epsilon).distance(moved, pixels), epsilon),
            }
        )
    return {name: torch.stack([part[name] for part in parts], dim=1) for name in parts[0]}


def _random_signs(probe: Probe) -> torch.Tensor:
    """Return (n, 3, H, W) of -1 and 1, from one generator an image: no batch changes a draw."""
    import torch

    from vision_evals.core.rng import generator

    shape = probe.pixels.shape
    size = math.ceil(math.prod(shape[1:]) / 8)
    draws = [  # a bit a pixel: an eighth of the numbers to draw, and to copy to a device
        torch.randint(
            256, (size,), dtype=torch.uint8, generator=generator(probe.seed, "fgsm", "noise", image)
        )
        for image in probe.ids
    ]
    packed = torch.stack(draws).to(probe.pixels.device)
    places = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = packed[:, :, None].bitwise_right_shift(places).bitwise_and(1).flatten(1)
    return bits[:, : math.prod(shape[1:])].view(shape).to(probe.pixels.dtype) * 2 - 1


def _margin(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (n,) the label's logit less the best other one."""
    import torch

    mine = logits.gather(1, label[:, None])[:, 0]
    return mine - logits.scatter(1, label[:, None], -torch.inf).amax(dim=1)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the curves over epsilon, and the epsilon at which half of the images have flipped."""
    clean = right_when_clean(rows)
    found = []
    for epsilon in map(str, parameters.epsilons):
        at = rows[rows["epsilon"] == epsilon].set_index("image")
        was_right = at["correct"][clean]
        mistakes = at["confidence"][~at["correct"]].to_numpy(np.float64)
        found += [
            fraction("robust_accuracy", at["correct"], subject, at=epsilon),
            fraction("robust_accuracy_8bit", at["correct_8bit"], subject, at=epsilon),
            fraction("noise_accuracy", at["correct_noise"], subject, at=epsilon),
            fraction(
                "attack_success", ~was_right, subject, at=epsilon, of="images correct when clean"
            ),
            resampled(
                "confidence_on_mistakes", np.mean, (mistakes,), subject, at=epsilon, of="mistakes"
            ),
            against_noise(at, epsilon),
        ]
    return (*found, median_flip(rows, parameters.epsilons))


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return how confidently wrong an image became at any epsilon."""
    wrong = rows["confidence"].where(~rows["correct"], 0.0)
    return wrong.groupby(rows["image"], sort=False).max()


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial side by side, at the smallest step that flips."""
    from vision_evals.attacks.signs import fast_gradient_sign
    from vision_evals.measures.triptych import triptych

    sizes = {str(epsilon): value(epsilon) for epsilon in parameters.epsilons}
    drawings = []
    for i, image in enumerate(probe.ids):
        mine = rows[rows["image"] == image]
        wrong = mine[~mine["correct"] & (mine["epsilon"].map(sizes) > 0)]
        shown = min(wrong["epsilon"], key=sizes.__getitem__, default=max(sizes, key=sizes.get))  # type: ignore[arg-type]
        moved = fast_gradient_sign(probe.pixels[i : i + 1], probe.gradient[i : i + 1], sizes[shown])
        drawings.append(triptych(probe, i, moved[0], f"adversarial at {shown}"))
    return tuple(drawings)


def attack(parameters: Parameters) -> Attack:  # noqa: ARG001 - one step needs none
    """Return what moves the pixels."""
    from vision_evals.attacks.fgsm import FastGradientSign

    return FastGradientSign()


def _spec(name: str, about: str, **more: object) -> MetricSpec:
    return MetricSpec(name, about, axis="epsilons", **more)  # type: ignore[arg-type]


MEASURE = Measure(
    name="fgsm",
    about="How fast accuracy falls when every pixel moves by at most epsilon.",
    parameters=Parameters,
    class_columns=("top1",),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    columns=("correct_clean", "correct", "correct_noise"),
    worst_first=CONFIDENTLY_WRONG,
    metrics=(
        _spec(
            "robust_accuracy",
            "Share of all images still named rightly after one step of size epsilon along the sign "
            "of the gradient. One step: rising again is normal.",
            source="Goodfellow et al. 2015, section 4",
            interval="wilson",
            per_image=each("correct"),
            numeric_error=BY_DECISION,
            counts="image",
            headline=Headline(label="one-step robust accuracy", rank=2),
        ),
        _spec(
            "robust_accuracy_8bit",
            "Robust accuracy after rounding to 8 bits, as a saved picture would be.",
            source="Goodfellow et al. 2015, section 3; Carlini & Wagner 2017 (discretisation)",
            interval="wilson",
            per_image=each("correct_8bit"),
            numeric_error=BY_DECISION,
            refines="robust_accuracy",
        ),
        _spec(
            "noise_accuracy",
            "Share named rightly when every pixel moves by epsilon up or down at random.",
            source="Carlini et al. 2019, On Evaluating Adversarial Robustness",
            interval="wilson",
            per_image=each("correct_noise"),
            numeric_error=BY_DECISION,
        ),
        _spec(
            "attack_success",
            "Share of the images that were right when clean and are wrong after the step.",
            source="Carlini et al. 2019, On Evaluating Adversarial Robustness",
            interval="wilson",
            counts="correct_clean",
            higher_is_better=False,
        ),
        _spec(
            "confidence_on_mistakes",
            "Mean confidence of the wrong answers after the step.",
            source="Goodfellow et al. 2015, section 4",
            interval="bootstrap",
            higher_is_better=False,
        ),
        _spec(
            "noise_p_value",
            "Exact McNemar test, one-sided: how likely the gradient's lead over random signs of "
            "the same size is by chance.",
            source="McNemar 1947",
            higher_is_better=False,
        ),
        MetricSpec(
            "median_flip_epsilon",
            "Smallest epsilon of the sweep at which half of the right images have turned wrong.",
            source="Schott et al. 2019 (median distance)",
            unit="epsilon",
        ),
    ),
    observe=observe,
    forwards=lambda parameters: 3 * len(parameters.epsilons),
    summarise=summarise,
    badness=badness,
    explain=explain,
    attack=attack,
)
