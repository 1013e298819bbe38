"""How straight the logits are along the sign of the gradient, on both sides of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import AfterValidator, Field

from vision_evals.core.tables import Table
from vision_evals.log import Line, Mark, Metric, Plot, Validity, WorstFirst
from vision_evals.measures.epsilons import Epsilon, value
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import absent, exact, fraction, resampled
from vision_evals.measures.straightness import crossings_of, curves_of, moves, r2_line, r2_per_side
from vision_evals.suite.spec import MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe, Rows

LINES = 6
"""Classes in one plot, at most."""


def _somewhere(reach: str | int | float) -> str | int | float:
    if value(reach) == 0:
        raise ValueError('0 leads nowhere; write how far to go, such as "4/255"')
    return reach


class Parameters(Table):
    """Parameters of ``linear_response``."""

    reach: Annotated[Epsilon, AfterValidator(_somewhere)] = "4/255"
    """How far to go on either side, pixel scale [0, 1]."""
    points: int = Field(default=8, ge=2, le=50)
    """Steps on either side, all of one size; each costs a forward."""

    @property
    def epsilons(self) -> tuple[str, ...]:
        """Exact fractions from -reach to reach, 0 in the middle."""
        reach = Fraction(str(self.reach))
        steps = range(-self.points, self.points + 1)
        return tuple(str(reach * step / self.points) for step in steps)


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return for each epsilon the label's logit, the best wrong one, and what comes first.

    One gradient serves all epsilons, and epsilon 0 is the forward it came from.
    """
    import torch

    from vision_evals.models.answers import among

    assert probe.answers is not None, "a measure with labels=True is only asked of labelled images"
    label, accepted, parts = probe.answers.label[:, None], probe.answers.accepted, []
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
    return {name: torch.stack([part[name] for part in parts], dim=1) for name in parts[0]}


def _along(probe: Probe, parameters: Parameters) -> Iterator[torch.Tensor]:
    """Yield the logits (n, classes) at each epsilon; at 0 they are those of the gradient."""
    epsilons = [*map(value, parameters.epsilons)]
    assert probe.answers is not None, "a measure with labels=True is only asked of labelled images"
    places = [partial(_moved, probe, epsilon) for epsilon in epsilons if epsilon]
    seen = iter(probe.looks(places, probe.answers.accepted))
    for epsilon in epsilons:
        yield next(seen) if epsilon else probe.logits


def _moved(probe: Probe, epsilon: float, rows: Rows = slice(None)) -> torch.Tensor:
    """Return the pixels after a step along the gradient's sign; a negative one goes against it."""
    from vision_evals.attacks.signs import fast_gradient_sign

    return fast_gradient_sign(probe.pixels[rows], probe.gradient[rows], epsilon)


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return how straight the label's logit is, where images turn wrong, and into what."""
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
    stay = f"{never} of {n} stay right up to {reach}"
    if 2 * never >= n:
        return absent(name, stay, of=of, unit="epsilon", n=n)
    return exact(
        name,
        float(np.median(right)),
        n,
        of,
        f"{stay}: where they cross is not known, so it cannot be resampled",
        unit="epsilon",
    )


def vouch(network: nn.Module, rows: pd.DataFrame) -> tuple[Validity, ...]:
    """Return whether the gradient led anywhere, and whether the steps are fine enough."""
    del network
    curves = curves_of(rows)
    moving = moves(curves.label_logit)
    still = int((~moving).sum())
    step, where = curves.epsilon[-1] - curves.epsilon[-2], crossings_of(curves).epsilon
    crossed, at_once = int(np.isfinite(where).sum()), int((where <= step).sum())
    return (
        Validity(
            name="the gradient leads somewhere",
            outcome="undecided" if still else "passed",
            evidence=f"the label's logit moves on {len(moving) - still} of {len(moving)} images"
            + ("; the others are left out of R^2" if still else ""),
            meaning="Where the loss is flat to the last bit, its gradient is 0 and shows no "
            "direction: staying right along it says nothing.",
        ),
        Validity(
            name="steps are finer than crossings",
            outcome="undecided" if 2 * at_once > crossed else "passed",
            evidence=f"{at_once} of {crossed} images that turn wrong do so within the first step "
            f"of {step:.2g}",
            meaning="Within a step the margin is taken for a straight line. It often falls fastest "
            "at first, and then crossing_epsilon comes out too high: take a smaller reach or more "
            "points.",
        ),
    )


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return how early an image turns wrong; those that never do, or always were, come last."""
    import pandas as pd

    where = crossings_of(curves_of(rows)).epsilon
    return pd.Series(-np.where(np.isfinite(where), where, 1.0), index=rows["image"].unique())


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each image at -reach, 0 and reach, and its logits over epsilon.

    The plot is figure 4 of Goodfellow et al. 2015.
    """
    import torch

    from vision_evals.measures.triptych import answered

    logits = torch.stack(list(_along(probe, parameters)), dim=1)
    names, reach = probe.classifier.classes.names, str(parameters.reach)
    ends = (0, parameters.points, 2 * parameters.points)
    steps = [_moved(probe, value(parameters.epsilons[end])) for end in ends]
    titles = (f"epsilon -{reach}", "image", f"epsilon {reach}")
    drawings = []
    for i, image in enumerate(probe.ids):
        confidence, top = logits[i, list(ends)].softmax(dim=1).max(dim=1)
        panels = answered(titles, [names[t] for t in top.tolist()], confidence.tolist())
        said = [panel.said for panel in panels]
        drawings.append(
            Drawing(
                image,
                torch.cat([step[i] for step in steps], dim=2),
                f"seen as {said[1]}, as {said[0]} at epsilon -{reach}, as {said[2]} at {reach}",
                panels,
                plot=_figure(logits[i], rows[rows["image"] == image], names),
            )
        )
    return tuple(drawings)


def _figure(logits: torch.Tensor, rows: pd.DataFrame, names: Sequence[str]) -> Plot:
    """Return the logits (e, classes) of one image: its label, and whatever comes close."""
    label, clean = int(rows["label"].iloc[0]), logits[len(logits) // 2]
    first = sorted(zip(rows["epsilon"].map(value).abs(), rows["top1"], strict=True))
    wanted = [label, *(top1 for _, top1 in first), *clean.topk(min(3, len(clean))).indices.tolist()]
    x = tuple(map(value, rows["epsilon"]))
    where = float(crossings_of(curves_of(rows)).epsilon[0])
    return Plot(
        title=f"{rows['image'].iloc[0]}: {names[label]}",
        about="Logits along the sign of the gradient of the loss at the label (Goodfellow et al. "
        "2015, figure 4). Straight lines are what the paper calls too linear.",
        x_label="epsilon, pixel scale [0, 1]",
        y_label="logit",
        lines=tuple(
            Line(name=names[c], x=x, y=tuple(logits[:, c].tolist()))
            for c in list(dict.fromkeys(wanted))[:LINES]
        ),
        marks=(Mark(x=where, label="crossing"),) if np.isfinite(where) else (),
    )


MEASURE = Measure(
    name="linear_response",
    about="How straight the logits are along the sign of the gradient, and where images turn "
    "wrong on the way.",
    parameters=Parameters,
    class_columns=("other", "top1"),
    labels=True,
    gradient=True,
    axis=("epsilon", "epsilons"),
    worst_first=WorstFirst(meaning="The worst are those that turn wrong at the smallest change."),
    metrics=(
        MetricSpec(
            "r2_line",
            "How much of the label's logit one straight line over epsilon explains, from -reach "
            "to reach: R^2 of the median image. 1 is straight.",
            source="Goodfellow et al. 2015, section 8",
            interval="bootstrap",
        ),
        MetricSpec(
            "r2_per_side",
            "R^2 of the median image with one line for each sign of epsilon. Well above r2_line, "
            "the response has a kink at the image itself.",
            source="Goodfellow et al. 2015, section 8",
            interval="bootstrap",
        ),
        MetricSpec(
            "crossing_epsilon",
            "Epsilon at which the median image turns wrong, of those that are right when clean; "
            "interpolated between two points, so that steps much larger than it blur it.",
            source="Goodfellow et al. 2015, section 8",
            unit="epsilon",
            interval="bootstrap",
        ),
        MetricSpec(
            "wrong_class_stable",
            "Of the images that turn wrong before the last epsilon: share whose wrong class stays "
            "the same to the end.",
            source="Goodfellow et al. 2015, section 8",
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
