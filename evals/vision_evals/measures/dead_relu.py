"""Dead ReLUs: units that are never above 0 on any image and position of the set."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Line, Metric, Plot, Validity
from vision_evals.measures.measure import Measure, Subject
from vision_evals.measures.metrics import absent, exact
from vision_evals.suite.spec import MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from torch import nn

    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe
    from vision_evals.models.hooks.watch import Call

PERCENT = 100
"""A unit above 0 on less than one position in so many is mostly zero: an APoZ above 99 % (average
percentage of zeros, Hu et al. 2016, Network Trimming)."""

LEAKY = "LeakyReLU and its kin have a slope below 0 and never die"


class Parameters(Table):
    """``dead_relu`` has none."""


def observe(probe: Probe, parameters: Parameters) -> Columns:  # noqa: ARG001 - none
    """Return a row a unit: how often above 0, its highest and lowest output.

    Every batch counts every unit, also those that are known to be alive: rows then do not depend on
    which batches came before, and may be kept, resumed and joined.

    Raises:
        NotApplicableError: no rectifier was called.
        InvalidError: the network's calls cannot be seen.
    """
    import torch

    from vision_evals.core.errors import InvalidError, NotApplicableError
    from vision_evals.measures.rectifiers import Counted, columns_of, counted
    from vision_evals.models.hooks.activations import FUNCTIONS, activation, of_images
    from vision_evals.models.hooks.watch import watching

    seen: list[Counted] = []
    smooth: Counter[str] = Counter()
    numbers: Counter[str] = Counter()

    def answer(call: Call) -> torch.Tensor:
        kind, output = activation(call), call.run()
        if kind is None or not of_images(output, len(probe.ids)):
            return output
        if kind.family == "smooth":
            smooth[kind.name] += 1
        else:
            numbers[call.path] += 1
            seen.append(counted(call, numbers[call.path], kind, output, len(probe.ids)))
        return output

    with torch.inference_mode(), watching(probe.classifier.network, FUNCTIONS, answer):
        logits = probe.classifier.logits(probe.pixels)
    if not seen:
        raise NotApplicableError(_nothing_to_see(smooth))
    if logits.device.type == "cpu" and not logits.isfinite().all():
        bad = (~logits.isfinite()).any(dim=1).nonzero()[0].item()
        raise InvalidError(f"the logits of {probe.ids[int(bad)]} are NaN or infinite")
    return columns_of(seen)


def _nothing_to_see(smooth: Counter[str]) -> str:
    if not smooth:
        return "not one call of a rectifier was seen, so nothing can be said of dead units"
    called = ", ".join(f"{name} ({n} calls)" for name, n in smooth.items())
    return f"its activations are smooth and do not die as a rectifier does: {called}"


def units(rows: pd.DataFrame, images: int) -> pd.DataFrame:
    """Return what each unit is, from its counts over ``images`` images."""
    leaky = rows["family"] == "leaky"
    never = rows["highest"] <= 0
    rare = rows["positive"] * PERCENT < rows["positions"] * images
    return rows.assign(
        dead=never & ~leaky,
        mostly_zero=rare & ~leaky,
        constant=(rows["highest"] == rows["lowest"]) & ~never & ~leaky,
        always_negative=never & leaky,
        at_ceiling=rows["saturated"] == 1,
    )


def summarise(
    rows: pd.DataFrame,
    parameters: Parameters,  # noqa: ARG001 - none
    subject: Subject,
) -> tuple[Metric, ...]:
    """Return shares of units; what a unit can be is counted over those that can be it."""
    every = units(rows, subject.images)
    rectified = every[every["family"] == "rectifier"]
    bounded = every[every["saturated"] >= 0]
    leaky = every[every["family"] == "leaky"]
    of, n = "rectified units", subject.images
    return (
        _share("dead_fraction", rectified["dead"], of, n, LEAKY),
        _worst(rectified, n),
        _share("mostly_zero_fraction", rectified["mostly_zero"], of, n, LEAKY),
        _share("constant_fraction", rectified["constant"], of, n, LEAKY),
        _share(
            "saturated_fraction",
            bounded["at_ceiling"],
            "units with a ceiling",
            n,
            "no rectifier here has a ceiling, as ReLU6 has",
        ),
        _share(
            "always_negative_fraction",
            leaky["always_negative"],
            "leaky units",
            n,
            "no activation here leaks below 0",
        ),
        exact("unseen_firing_rate", min(1.0, 3 / n), n, "images", "a bound, not an estimate"),
    )


def _share(name: str, hits: pd.Series[bool], of: str, images: int, why_none: str) -> Metric:
    if hits.empty:
        return absent(name, why_none, of=of)
    reason = f"all units were looked at, on {images:,} images"
    return exact(name, float(hits.mean()), len(hits), of, reason)


def _worst(rectified: pd.DataFrame, images: int) -> Metric:
    name, of = "dead_fraction_worst_layer", "units of that layer"
    if rectified.empty:
        return absent(name, LEAKY, of=of)
    layers = rectified.groupby(["layer", "call"], sort=False)["dead"].agg(["mean", "size"])
    layer, call = layers["mean"].idxmax()
    return exact(
        name,
        float(layers["mean"].max()),
        int(layers["size"].loc[(layer, call)]),
        of,
        f"{layer}, call {call}: all its units were looked at, on {images:,} images",
    )


def vouch(network: nn.Module, rows: pd.DataFrame) -> tuple[Validity, ...]:  # noqa: ARG001
    """Return that rectifiers were seen at all, and how many."""
    calls, bad = len(rows.groupby(["layer", "call"])), rows[rows["finite"] == 0]
    return (
        Validity(
            name="finite activations",
            outcome="failed" if len(bad) else "passed",
            evidence=f"{len(bad)} of {len(rows):,} units are NaN or infinite somewhere"
            + (f", first in {bad['layer'].iloc[0]}" if len(bad) else ""),
            meaning="What is not a number is not above 0 either, and would count as dead.",
        ),
        Validity(
            id="S29",
            name="rectifiers were seen",
            outcome="passed" if calls else "failed",
            evidence=f"{calls} calls with {len(rows):,} units",
            meaning="Where no rectifier is seen, no dead unit is, and every threshold would pass.",
        ),
    )


def plots(
    rows: pd.DataFrame,
    parameters: Parameters,  # noqa: ARG001 - none
    subject: Subject,
) -> tuple[Plot, ...]:
    """Return the share of dead and of always negative units, call by call."""
    never = (rows["highest"] <= 0).groupby([rows["layer"], rows["call"]], sort=False)
    dead = never.mean()
    several = rows.groupby("layer")["call"].nunique()
    ticks = [f"{layer}, call {call}" if several[layer] > 1 else layer for layer, call in dead.index]
    leaky = bool((rows["family"] == "leaky").all())
    line = Line(
        name="always negative" if leaky else "never above 0",
        x=tuple(map(float, range(len(dead)))),
        y=tuple(map(float, dead)),
        n=tuple(map(int, never.size())),
    )
    return (
        Plot(
            title="Units never above 0, layer by layer",
            about="From the first activation to the last, in the order of the forward. All units "
            f"were looked at, on {subject.images:,} images: no share has an interval.",
            x_label="activation",
            y_label="share of its units",
            lines=(line,),
            ticks=tuple(ticks),
            share=True,
        ),
    )


def _spec(name: str, about: str, source: str = "", headline: Headline | None = None) -> MetricSpec:
    return MetricSpec(name, about, higher_is_better=False, source=source, headline=headline)


MEASURE = Measure(
    name="dead_relu",
    about="Which units never rise above 0: channels of convolutions, neurons of dense layers.",
    parameters=Parameters,
    labels=False,
    keys=("layer", "call", "family", "unit"),
    reduce={
        "positive": "sum",
        "positions": "max",
        "highest": "max",
        "lowest": "min",
        "saturated": "min",
        "finite": "min",
    },
    metrics=(
        _spec(
            "dead_fraction",
            "Share of rectified units that are 0 on every image and position: no gradient reaches "
            "their weights.",
            source="Lu et al. 2020, Dying ReLU and Initialization",
            headline=Headline(label="dead units", rank=4),
        ),
        _spec(
            "dead_fraction_worst_layer",
            "Dead fraction of the layer where it is highest: one wholly dead layer lets nothing of "
            "the image through.",
            source="Lu et al. 2020, Dying ReLU and Initialization",
        ),
        _spec(
            "mostly_zero_fraction",
            "Share of rectified units above 0 on less than 1 % of all images and positions, the "
            "dead ones among them (APoZ above 99 %).",
            source="Hu et al. 2016, Network Trimming",
        ),
        _spec(
            "constant_fraction",
            "Share of rectified units that are alive and everywhere the same: they say nothing of "
            "the image.",
        ),
        _spec(
            "saturated_fraction",
            "Share of units with a ceiling, such as ReLU6's, that are at it everywhere: no "
            "gradient reaches their weights either.",
            source="Glorot & Bengio 2010, section 3",
        ),
        _spec(
            "always_negative_fraction",
            "Share of leaky units that are never above 0: they learn slowly, and are not dead.",
            source="Maas et al. 2013",
        ),
        _spec(
            "unseen_firing_rate",
            "Rule of three: with 95 % confidence a unit that looked dead on n images fires on less "
            "than 3/n of all images.",
            source="Hanley & Lippman-Hand 1983",
        ),
    ),
    observe=observe,
    summarise=summarise,
    vouch=vouch,
    plots=plots,
)
