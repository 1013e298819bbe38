"""How linear the logits are along the sign of the gradient, on both sides of an image."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator, Field

from vision_evals.core.tables import Table, rational
from vision_evals.log import Line, Mark, Metric, Plot, Validity, WorstFirst
from vision_evals.measures.epsilons import Epsilon, value
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import absent, exact, fraction, resampled
from vision_evals.measures.straightness import crossings_of, curves_of, moves, r2_line, r2_per_side
from vision_evals.measures.sweeps import logits_along, stacked
from vision_evals.suite.spec import MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe, Rows

MAX_CLASSES_IN_PLOT = 6


def _above_zero(reach: str | int | float) -> str | int | float:
    if value(reach) == 0:
        raise ValueError('must be above 0, such as "4/255"')
    return reach


class Parameters(Table):
    """Parameters of ``linear_response``."""

    reach: Annotated[Epsilon, AfterValidator(_above_zero)] = "4/255"
    """Largest epsilon on either side, pixel scale [0, 1]."""
    points: int = Field(default=8, ge=2, le=50)
    """Equal steps on either side; each costs a forward."""

    @property
    def epsilons(self) -> tuple[str, ...]:
        """Exact fractions from -reach to reach, 0 in the middle."""
        reach = rational(self.reach)
        steps = range(-self.points, self.points + 1)
        return tuple(str(reach * step / self.points) for step in steps)


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return at each epsilon the label's logit, the largest wrong one, and the likeliest class.

    All epsilons share one gradient, and epsilon 0 is the forward of that gradient.
    """
    import torch

    from vision_evals.models.answers import among

    label, accepted, parts = probe.right.label[:, None], probe.right.accepted, []
    right = accepted.where(accepted >= 0, label)
    for logits in _along(probe, parameters):
        wrong = logits.scatter(1, right, -torch.inf).max(dim=1)
        top1 = logits.argmax(dim=1)
        parts.append(
            {
                "label_logit": logits.gather(1, label)[:, 0],
                "other_logit": wrong.values,
                "other": wrong.indices,
                "margin": logits.gather(1, right).amax(dim=1) - wrong.values,
                "top1": top1,
                "correct": among(top1, right),
            }
        )
    return stacked(parts)


def _along(probe: Probe, parameters: Parameters) -> list[torch.Tensor]:
    """Return the logits (n, classes) at each epsilon; at 0 they are those of the gradient."""
    epsilons = [*map(value, parameters.epsilons)]
    return [logits for (logits,) in logits_along(probe, epsilons, [partial(_moved, probe)])]


def _moved(probe: Probe, epsilon: float, rows: Rows = slice(None)) -> torch.Tensor:
    """Return the pixels after a step along the gradient's sign; a negative step goes against it."""
    from vision_evals.attacks.signs import fast_gradient_sign

    return fast_gradient_sign(probe.pixels[rows], probe.gradient[rows], epsilon)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return how linear the label's logit is, where images turn wrong, and into which class."""
    import pandas as pd

    curves = curves_of(rows)
    moving = curves.label_logit[moves(curves.label_logit)]
    crossings = crossings_of(curves)
    stable = pd.Series(crossings.stable[crossings.early])
    of = "images whose label's logit moves"
    return (
        resampled("r2_line", np.median, (r2_line(curves.epsilon, moving),), subject, of=of),
        resampled("r2_per_side", np.median, (r2_per_side(curves.epsilon, moving),), subject, of=of),
        _median_crossing(crossings.epsilon, str(parameters.reach), subject),
        fraction("wrong_class_stable", stable, subject, of="images wrong before the last epsilon"),
    )


def _median_crossing(epsilons: NDArray[np.float64], reach: str, subject: Subject) -> Metric:
    name, of = "crossing_epsilon", "images correct when clean"
    right = epsilons[~np.isnan(epsilons)]
    n, never = len(right), int(np.isinf(right).sum())
    if not never:
        return resampled(name, np.median, (right,), subject, of=of, unit="epsilon")
    reason = f"{never} of {n} stay correct up to {reach}"
    if 2 * never >= n:
        return absent(name, reason, of=of, unit="epsilon", n=n)
    reason += ": their crossing is unknown, so the median cannot be resampled"
    return exact(name, float(np.median(right)), n, of, reason, unit="epsilon")


def vouch(network: nn.Module, rows: pd.DataFrame) -> tuple[Validity, ...]:
    """Return whether the gradient has a direction, and whether the steps are fine enough."""
    del network
    curves = curves_of(rows)
    moving = moves(curves.label_logit)
    still = int((~moving).sum())
    step, where = curves.epsilon[-1] - curves.epsilon[-2], crossings_of(curves).epsilon
    crossed, at_once = int(np.isfinite(where).sum()), int((where <= step).sum())
    return (
        Validity(
            name="the gradient has a direction",
            outcome="undecided" if still else "passed",
            evidence=f"the label's logit moves on {len(moving) - still} of {len(moving)} images"
            + ("; the others are left out of R^2" if still else ""),
            meaning="Where the loss is flat to the last bit, its gradient is 0 and has no "
            "direction: an image that stays correct along it is no evidence.",
        ),
        Validity(
            name="steps are finer than crossings",
            outcome="undecided" if 2 * at_once > crossed else "passed",
            evidence=f"{at_once} of {crossed} images that turn wrong do so within the first step "
            f"of {step:.2g}",
            meaning="Within a step the margin is interpolated by a straight line. If it falls "
            "fastest near the image, crossing_epsilon is too high: choose a smaller reach or more "
            "points.",
        ),
    )


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return how early an image turns wrong; always correct or always wrong images come last."""
    import pandas as pd

    where = crossings_of(curves_of(rows)).epsilon
    return pd.Series(-np.where(np.isfinite(where), where, 1.0), index=rows["image"].unique())


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each image at -reach, 0 and reach, and its logits over epsilon.

    The plot is figure 4 of Goodfellow et al. 2015.
    """
    import torch

    from vision_evals.measures.triptych import answered

    logits = torch.stack(_along(probe, parameters), dim=1)
    names, reach = probe.classifier.classes.names, str(parameters.reach)
    ends = (0, parameters.points, 2 * parameters.points)
    steps = [_moved(probe, value(parameters.epsilons[end])) for end in ends]
    titles = (f"epsilon -{reach}", "image", f"epsilon {reach}")
    drawings = []
    for i, image in enumerate(probe.ids):
        panels = answered(titles, names, logits[i, list(ends)].softmax(dim=1))
        low, clean, high = (panel.subtitle for panel in panels)
        drawings.append(
            Drawing(
                image,
                torch.cat([step[i] for step in steps], dim=2),
                f"seen as {clean}, as {low} at epsilon -{reach}, as {high} at {reach}",
                panels,
                plot=_figure(logits[i], rows[rows["image"] == image], names),
            )
        )
    return tuple(drawings)


def _figure(logits: torch.Tensor, rows: pd.DataFrame, names: Sequence[str]) -> Plot:
    """Return the plot of one image's logits (e, classes): its label and the closest classes."""
    label, clean = int(rows["label"].iloc[0]), logits[len(logits) // 2]
    nearest = sorted(zip(rows["epsilon"].map(value).abs(), rows["top1"], strict=True))
    classes = [
        label,
        *(top1 for _, top1 in nearest),
        *clean.topk(min(3, len(clean))).indices.tolist(),
    ]
    x = tuple(map(value, rows["epsilon"]))
    where = float(crossings_of(curves_of(rows)).epsilon[0])
    return Plot(
        title=f"{rows['image'].iloc[0]}: {names[label]}",
        about="Logits along the sign of the gradient of the loss at the label (Goodfellow et al. "
        "2015, figure 4). Straight lines are what the paper calls excessive linearity.",
        x_label="epsilon, pixel scale [0, 1]",
        y_label="logit",
        lines=tuple(
            Line(name=names[index], x=x, y=tuple(logits[:, index].tolist()))
            for index in list(dict.fromkeys(classes))[:MAX_CLASSES_IN_PLOT]
        ),
        marks=(Mark(x=where, label="crossing"),) if np.isfinite(where) else (),
    )


_spec = partial(MetricSpec, source="Goodfellow et al. 2015, section 8")

MEASURE = Measure(
    name="linear_response",
    about="How linear the logits are along the sign of the gradient, and at which epsilon images "
    "turn wrong.",
    parameters=Parameters,
    class_columns=("other", "top1"),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    worst_first=WorstFirst(
        meaning="The worst are the images that turn wrong at the smallest epsilon."
    ),
    metrics=(
        _spec(
            "r2_line",
            "Share of the variance of the label's logit that one straight line over epsilon "
            "explains, from -reach to reach: R^2 of the median image. 1 is a straight line.",
            interval="bootstrap",
        ),
        _spec(
            "r2_per_side",
            "R^2 of the median image with one line for each sign of epsilon. A value well above "
            "r2_line means that the response has a kink at the image itself.",
            interval="bootstrap",
        ),
        _spec(
            "crossing_epsilon",
            "Epsilon at which the median image turns wrong, of those that are correct when clean. "
            "It is interpolated between two points, so large steps make it inaccurate.",
            unit="epsilon",
            interval="bootstrap",
        ),
        _spec(
            "wrong_class_stable",
            "Of the images that turn wrong before the last epsilon: share whose wrong class stays "
            "the same to the end.",
            interval="wilson",
        ),
    ),
    observe=observe,
    forwards=lambda parameters: len(parameters.epsilons),
    summarise=summarise,
    badness=badness,
    explain=explain,
    vouch=vouch,
)
