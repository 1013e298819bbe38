"""The fast gradient sign method: one step of every pixel along the sign of the gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric
from vision_evals.measures import sweeps
from vision_evals.measures.epsilons import Epsilons, value
from vision_evals.measures.measure import Drawing, Measure, Subject

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from vision_evals.attacks.attack import Attack
    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe, Rows

SWEEP: tuple[str | int | float, ...] = (
    0, "1/2040", "1/1020", "1/510", "1/255", 0.007, "4/255", "16/255"
)  # fmt: skip
"""Also below one 8-bit level: at 1/255 most images already fool an undefended network."""


class Parameters(Table):
    """Parameters of ``fgsm``."""

    epsilons: Epsilons = SWEEP
    """Sizes of the step, pixel scale [0, 1]; fractions stay exact."""


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return the network's answers at each epsilon: after the step, after rounding, after noise.

    All epsilons share one gradient. Epsilon 0 is the forward of that gradient: pictures have 8
    bits, so rounding changes nothing there.
    """
    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.signs import eight_bit, signed_step
    from vision_evals.measures.probe import EVERY
    from vision_evals.models.answers import first_is_right

    pixels, random = probe.pixels, _random_signs(probe)
    # in the pixels' memory layout: steps between two layouts take three times as long
    uphill = probe.gradient.sign().contiguous()
    accepted, epsilons = probe.right.accepted, [*map(value, parameters.epsilons)]

    def stepped(epsilon: float, rows: Rows) -> torch.Tensor:
        return signed_step(pixels[rows], uphill[rows], epsilon)

    def rounded(epsilon: float, rows: Rows) -> torch.Tensor:
        return eight_bit(stepped(epsilon, rows))

    def noisy(epsilon: float, rows: Rows) -> torch.Tensor:
        return signed_step(pixels[rows], random[rows], epsilon)

    along = sweeps.logits_along(probe, epsilons, (stepped, rounded, noisy))
    parts = []
    for epsilon, (logits, eight, noise) in zip(epsilons, along, strict=True):
        moved = stepped(epsilon, EVERY)
        parts.append(
            {
                "top1": logits.argmax(dim=1),
                "confidence": logits.softmax(dim=1).amax(dim=1),
                "margin": _margin(logits, probe.right.label),
                "correct_clean": first_is_right(probe.logits, accepted),
                "correct": first_is_right(logits, accepted),
                "correct_8bit": first_is_right(eight, accepted),
                "correct_noise": first_is_right(noise, accepted),
                "outside": sweeps.outside(
                    moved, LinfBall(epsilon).distance(moved, pixels), epsilon
                ),
            }
        )
    return sweeps.stacked(parts)


def _random_signs(probe: Probe) -> torch.Tensor:
    """Return (n, 3, H, W) of -1 and 1, from a generator per image: the batch changes no draw."""
    import torch

    from vision_evals.core.rng import generator

    shape = probe.pixels.shape
    size = math.ceil(math.prod(shape[1:]) / 8)
    draws = [  # one bit per pixel: an eighth of the bytes to draw and to copy to the device
        torch.randint(
            256, (size,), dtype=torch.uint8, generator=generator(probe.seed, "fgsm", "noise", image)
        )
        for image in probe.ids
    ]
    packed = torch.stack(draws).to(probe.pixels.device)
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    bits = packed[:, :, None].bitwise_right_shift(shifts).bitwise_and(1).flatten(1)
    return bits[:, : math.prod(shape[1:])].view(shape).to(probe.pixels.dtype) * 2 - 1


def _margin(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return (n,) the label's logit minus the largest other logit."""
    import torch

    mine = logits.gather(1, label[:, None])[:, 0]
    return mine - logits.scatter(1, label[:, None], -torch.inf).amax(dim=1)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the curves over epsilon, and the epsilon at which half of the images are wrong."""
    accuracies = ("robust_accuracy", "robust_accuracy_8bit", "noise_accuracy")
    return sweeps.sweep_metrics(rows, parameters.epsilons, subject, accuracies)


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return each image's highest confidence in a wrong class at any epsilon."""
    return sweeps.confidence_where(~rows["correct"], rows)


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return image, perturbation and adversarial side by side, at the smallest wrong step."""
    from vision_evals.attacks.signs import fast_gradient_sign
    from vision_evals.measures.triptych import triptych

    sizes = {str(epsilon): value(epsilon) for epsilon in parameters.epsilons}
    drawings = []
    for i, image in enumerate(probe.ids):
        at = rows[rows["image"] == image]
        wrong = at[~at["correct"] & (at["epsilon"].map(sizes) > 0)]
        shown = min(wrong["epsilon"], key=sizes.__getitem__, default=max(sizes, key=sizes.get))  # type: ignore[arg-type]
        moved = fast_gradient_sign(probe.pixels[i : i + 1], probe.gradient[i : i + 1], sizes[shown])
        drawings.append(triptych(probe, i, moved[0], f"adversarial at {shown}"))
    return tuple(drawings)


def attack(parameters: Parameters) -> Attack:  # noqa: ARG001 - one step has no parameters
    """Return the attack, for validity checks."""
    from vision_evals.attacks.fgsm import FastGradientSign

    return FastGradientSign()


MEASURE = Measure(
    name="fgsm",
    about="How fast accuracy falls when every pixel moves by at most epsilon.",
    parameters=Parameters,
    class_columns=("top1",),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    columns=("correct_clean", "correct", "correct_noise"),
    worst_first=sweeps.CONFIDENTLY_WRONG,
    metrics=(
        sweeps.accuracy_after(
            "robust_accuracy",
            "Share of all images that are still classified correctly after one step of size "
            "epsilon along the sign of the gradient. With one step the curve may rise again.",
            "Goodfellow et al. 2015, section 4",
            counts="image",
            headline=Headline(label="one-step robust accuracy", rank=2),
        ),
        sweeps.ROBUST_ACCURACY_8BIT,
        sweeps.accuracy_after(
            "noise_accuracy",
            "Share of all images that are still classified correctly when every pixel value moves "
            "by epsilon up or down at random.",
            "Carlini et al. 2019, On Evaluating Adversarial Robustness",
        ),
        sweeps.ATTACK_SUCCESS,
        sweeps.CONFIDENCE_ON_MISTAKES,
        sweeps.NOISE_P_VALUE,
        sweeps.MEDIAN_FLIP_EPSILON,
    ),
    observe=observe,
    forwards=lambda parameters: 3 * len(parameters.epsilons),
    summarise=summarise,
    badness=badness,
    explain=explain,
    attack=attack,
)
