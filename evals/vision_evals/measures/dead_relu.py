"""Dead ReLUs: units that are not above 0 on any image and position of the set."""

from __future__ import annotations

from collections import Counter
from functools import partial
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

MOSTLY_ZERO_POSITIONS = 100
"""A unit above 0 on less than one position in this many is mostly zero: an APoZ above 99 % (average
percentage of zeros, Hu et al. 2016, Network Trimming)."""

LEAKY = "LeakyReLU and similar functions have a slope below 0, so their units never die"


class Parameters(Table):
    """``dead_relu`` has no parameters."""


def observe(probe: Probe, parameters: Parameters) -> Columns:  # noqa: ARG001 - none
    """Return a row per unit: how often it is above 0, its highest and its lowest output.

    Every batch counts every unit, including those already found alive: rows then do not depend on
    earlier batches, and can be cached, resumed and joined.

    Raises:
        NotApplicableError: no rectifier was called.
        InvalidError: the network's calls cannot be seen.
    """
    import torch

    from vision_evals.core.errors import InvalidError, NotApplicableError
    from vision_evals.measures.rectifiers import counted, joined
    from vision_evals.models.hooks.activations import FUNCTIONS, activation, of_images
    from vision_evals.models.hooks.watch import watching

    counts: list[Columns] = []
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
            counts.append(counted(call, numbers[call.path], kind, output, len(probe.ids)))
        return output

    with torch.inference_mode(), watching(probe.classifier.network, FUNCTIONS, answer):
        logits = probe.classifier.logits(probe.pixels)
    if not counts:
        raise NotApplicableError(_why_none(smooth))
    if logits.device.type == "cpu" and not logits.isfinite().all():
        index = (~logits.isfinite()).any(dim=1).nonzero()[0].item()
        raise InvalidError(f"the logits of {probe.ids[int(index)]} are NaN or infinite")
    return joined(counts)


def _why_none(smooth: Counter[str]) -> str:
    if not smooth:
        return "no call of a rectifier was found, so dead units cannot be counted"
    called = ", ".join(f"{name} ({n} calls)" for name, n in smooth.items())
    return f"its activations are smooth and do not die like rectifiers: {called}"


def units(rows: pd.DataFrame, images: int) -> pd.DataFrame:
    """Return the state of each unit, from its counts over ``images`` images."""
    leaky = rows["family"] == "leaky"
    never = rows["highest"] <= 0
    rare = rows["positive"] * MOSTLY_ZERO_POSITIONS < rows["positions"] * images
    return rows.assign(
        dead=never & ~leaky,
        mostly_zero=rare & ~leaky,
        constant=(rows["highest"] == rows["lowest"]) & ~never & ~leaky,
        always_negative=never & leaky,
        at_ceiling=rows["saturated"] == 1,
    )


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return shares of units; each share is over the units that can be in that state."""
    del parameters
    every, n = units(rows, subject.images), subject.images
    rectified = every[every["family"] == "rectifier"]
    bounded = every[every["saturated"] >= 0]["at_ceiling"]
    leaky = every[every["family"] == "leaky"]["always_negative"]
    of, no_ceiling = "rectified units", "no rectifier here has a ceiling, as ReLU6 has"
    no_leak = "no activation here has a slope below 0"
    return (
        _share("dead_fraction", rectified["dead"], of, n, LEAKY),
        _worst(rectified, n),
        _share("mostly_zero_fraction", rectified["mostly_zero"], of, n, LEAKY),
        _share("constant_fraction", rectified["constant"], of, n, LEAKY),
        _share("saturated_fraction", bounded, "units with a ceiling", n, no_ceiling),
        _share("always_negative_fraction", leaky, "leaky units", n, no_leak),
        exact("unseen_firing_rate", min(1.0, 3 / n), n, "images", "a bound, not an estimate"),
    )


def _share(name: str, hits: pd.Series[bool], of: str, images: int, why_none: str) -> Metric:
    if hits.empty:
        return absent(name, why_none, of=of)
    reason = f"all units were counted, on {images:,} images"
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
        f"{layer}, call {call}: all its units were counted, on {images:,} images",
    )


def vouch(network: nn.Module, rows: pd.DataFrame) -> tuple[Validity, ...]:  # noqa: ARG001
    """Return whether rectifiers were found, and whether their outputs are finite."""
    calls, bad = len(rows.groupby(["layer", "call"])), rows[rows["finite"] == 0]
    return (
        Validity(
            name="finite activations",
            outcome="failed" if len(bad) else "passed",
            evidence=f"{len(bad)} of {len(rows):,} units are NaN or infinite somewhere"
            + (f", first in {bad['layer'].iloc[0]}" if len(bad) else ""),
            meaning="NaN is not above 0 and would count as dead.",
        ),
        Validity(
            id="S29",
            name="rectifiers were found",
            outcome="passed" if calls else "failed",
            evidence=f"{calls} calls with {len(rows):,} units",
            meaning="Without rectifiers there are no dead units, and every threshold would pass.",
        ),
    )


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return the share of dead and of always negative units in each call."""
    del parameters
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
            title="Units never above 0 in each layer",
            about="Activations in the order of the forward. All units were counted, on "
            f"{subject.images:,} images: no share has an interval.",
            x_label="activation",
            y_label="share of its units",
            lines=(line,),
            ticks=tuple(ticks),
            share=True,
        ),
    )


_spec = partial(MetricSpec, higher_is_better=False)
_LU = "Lu et al. 2020, Dying ReLU and Initialization"

MEASURE = Measure(
    name="dead_relu",
    about="Which units are never above 0: channels of convolutions, neurons of dense layers.",
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
            source=_LU,
            headline=Headline(label="dead units", rank=4),
        ),
        _spec(
            "dead_fraction_worst_layer",
            "Dead fraction of the layer where it is highest: a completely dead layer passes no "
            "information on.",
            source=_LU,
        ),
        _spec(
            "mostly_zero_fraction",
            "Share of rectified units above 0 on less than 1 % of all images and positions, "
            "including the dead ones (APoZ above 99 %).",
            source="Hu et al. 2016, Network Trimming",
        ),
        _spec(
            "constant_fraction",
            "Share of rectified units that are above 0 and have the same value everywhere: they "
            "carry no information about the image.",
        ),
        _spec(
            "saturated_fraction",
            "Share of units with a ceiling, such as those of ReLU6, that are at it everywhere: no "
            "gradient reaches their weights either.",
            source="Glorot & Bengio 2010, section 3",
        ),
        _spec(
            "always_negative_fraction",
            "Share of leaky units that are never above 0: they learn slowly but are not dead.",
            source="Maas et al. 2013",
        ),
        _spec(
            "unseen_firing_rate",
            "Rule of three: with 95 % confidence, a unit that was dead on n images is above 0 on "
            "less than 3/n of all images.",
            source="Hanley & Lippman-Hand 1983",
        ),
    ),
    observe=observe,
    summarise=summarise,
    vouch=vouch,
    plots=plots,
)
