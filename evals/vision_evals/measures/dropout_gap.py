"""Dropout in training and in inference: accuracy under single masks, and of their average."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Line, Metric, Plot, Validity, WorstFirst
from vision_evals.measures.measure import Drawing, Measure, Subject
from vision_evals.measures.metrics import each, exact, fraction, resampled, shares
from vision_evals.suite.spec import BY_DECISION, MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from numpy.typing import NDArray
    from torch import nn

    from vision_evals.measures.measure import Columns
    from vision_evals.measures.probe import Probe


class Parameters(Table):
    """Parameters of ``dropout_gap``."""

    masks: int = Field(default=10, ge=2, le=100)
    """Number of dropout masks for each image; each costs a forward."""

    @property
    def mask_names(self) -> tuple[str, ...]:
        """``1`` to the number of masks."""
        return tuple(str(mask) for mask in range(1, self.masks + 1))


def observe(probe: Probe, parameters: Parameters) -> Columns:
    """Return the network's answer under each mask, next to its answer in eval mode.

    The answer of all masks together (the mean of their probabilities, and of their logits) is in
    each row of the image. Only dropout is switched on: BatchNorm stays in eval mode.
    """
    import torch

    from vision_evals.models.answers import among, first_is_right
    from vision_evals.models.hooks.dropouts import left_off

    accepted, top1, calls = probe.right.accepted, [], 0
    together = shift = torch.zeros((), device=probe.pixels.device)
    for mask in parameters.mask_names:
        logits, calls = _under(probe, mask)
        top1.append(logits.argmax(dim=1))
        together = together + logits.softmax(dim=1)
        shift = shift + (logits - probe.logits)
    answer = torch.stack(top1, dim=1)
    others = left_off(probe.classifier, probe.pixels[:1])
    repeated = {
        "correct_eval": first_is_right(probe.logits, accepted),
        "top1_eval": probe.logits.argmax(dim=1),
        "correct_ensemble": first_is_right(together, accepted),
        "shift": (shift / parameters.masks).norm(dim=1),
        "calls": torch.full_like(probe.right.label, calls),
        "uncalled": torch.full_like(probe.right.label, len(others.uncalled)),
        "fused": torch.full_like(probe.right.label, len(others.fused)),
    }
    return {
        "correct": among(answer, accepted[:, None]),
        "top1": answer,
        **{name: column[:, None].expand_as(answer) for name, column in repeated.items()},
    }


def _under(probe: Probe, mask: str) -> tuple[torch.Tensor, int]:
    """Return the logits under one mask, and the number of dropout calls."""
    from vision_evals.core.errors import NotApplicableError
    from vision_evals.core.rng import generator
    from vision_evals.models.hooks.dropouts import hidden_dropouts, masked_logits

    rngs = [generator(probe.seed, "dropout_gap", mask, image) for image in probe.ids]
    result = masked_logits(probe.classifier, probe.pixels, rngs)
    if not result.calls:
        others = ", ".join(hidden_dropouts(probe.classifier.network))
        raise NotApplicableError(
            f"{probe.classifier.alias} calls no dropout with a rate above 0, so there is nothing "
            "to measure" + (f"; {others} cannot be switched on from outside" if others else "")
        )
    return result


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return accuracies in eval mode, under single masks and of their mean, and how they differ."""
    once = _once(rows)
    correct = _by_mask(rows["correct"], parameters)
    changed = _by_mask(rows["top1"] != rows["top1_eval"], parameters)
    # one number per image: its masks are not independent observations
    single = correct.mean(axis=1)
    gap = once["correct_eval"].to_numpy(np.float64) - single
    shift = once["shift"].to_numpy(np.float64)
    return (
        fraction("eval_accuracy", once["correct_eval"], subject),
        resampled("train_accuracy_mean", np.mean, (single,), subject),
        exact(
            "train_accuracy_spread",
            float(correct.mean(axis=0).std(ddof=1)),
            parameters.masks,
            "masks",
            "a spread over masks; it has no interval of its own",
        ),
        resampled("accuracy_gap", np.mean, (gap,), subject),
        fraction("ensemble_accuracy", once["correct_ensemble"], subject),
        resampled("disagreement", np.mean, (changed.mean(axis=1),), subject),
        resampled("logit_shift", np.mean, (shift,), subject, unit="logits"),
    )


def _once(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per image, for columns that do not depend on the mask."""
    return rows.drop_duplicates("image")


def _single(rows: pd.DataFrame) -> pd.Series[float]:
    """Return for each image the share of masks under which it is classified correctly."""
    shares: pd.Series[float] = rows.groupby("image", sort=False)["correct"].mean()
    return shares


def _by_mask(column: pd.Series[bool], parameters: Parameters) -> NDArray[np.float64]:
    """Return (images, masks)."""
    values: NDArray[np.float64] = column.to_numpy(np.float64)
    return values.reshape(-1, parameters.masks)


def vouch(network: nn.Module, rows: pd.DataFrame) -> tuple[Validity, ...]:
    """Return whether all random dropping was switched on."""
    from vision_evals.models.hooks.dropouts import MODULES, hidden_dropouts

    modules = sum(isinstance(module, MODULES) and module.p > 0 for module in network.modules())
    others = hidden_dropouts(network)
    shown = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
    uncalled, fused = (int(rows[name].max()) for name in ("uncalled", "fused"))
    inside = f"dropout modules that were never called: {uncalled}" if uncalled else ""
    if fused:
        inside += "; " * bool(inside) + f"modules that drop inside a fused function: {fused}"
    off = "; ".join(filter(None, (shown, inside)))
    evidence = (
        f"dropout calls in a forward, all switched on: {rows['calls'].iloc[0]}; "
        f"dropout modules: {modules}"
    )
    return (
        Validity(
            name="every dropout was switched on",
            outcome="undecided" if off else "passed",
            evidence=f"{evidence}; left off: {off}" if off else evidence,
            required=True,
            meaning="Training switches on everything that drops at random; this measure switches "
            "on calls of dropout only. It does not find an `if self.training:` in a network's own "
            "code.",
        ),
    )


def plots(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Plot, ...]:
    """Return the accuracy under each mask, next to those of eval mode and of all masks together."""
    once = _once(rows)
    x = tuple(float(name) for name in parameters.mask_names)
    single = _by_mask(rows["correct"], parameters).astype(bool)
    columns = {"eval mode": "correct_eval", "ensemble": "correct_ensemble"}
    levels = {name: float(once[column].mean()) for name, column in columns.items()}
    return (
        Plot(
            title="Accuracy under single dropout masks",
            about="Each mask gives a thinned network, as in a training step. Eval mode estimates "
            "the average of these networks, which the ensemble computes. The intervals of both are "
            "those of `eval_accuracy` and `ensemble_accuracy`.",
            x_label="mask",
            y_label="accuracy",
            lines=(
                shares("single masks", x, list(single.T), subject),
                *(
                    Line(name=name, x=x, y=(y,) * len(x), n=(len(once),) * len(x))
                    for name, y in levels.items()
                ),
            ),
            share=True,
        ),
    )


def badness(rows: pd.DataFrame) -> pd.Series[float]:
    """Return the share of masks whose answer differs from eval mode's."""
    changed = (rows["top1"] != rows["top1_eval"]).astype(float)
    return changed.groupby(rows["image"], sort=False).mean()


def explain(probe: Probe, rows: pd.DataFrame, parameters: Parameters) -> tuple[Drawing, ...]:
    """Return each image with the answer of eval mode and the most frequent answers under masks."""
    from vision_evals.measures.triptych import answered

    names = probe.classifier.classes.names
    panels = answered(["eval mode"] * len(probe.ids), names, probe.logits.softmax(dim=1))
    drawings = []
    for image, pixels, panel in zip(probe.ids, probe.pixels, panels, strict=True):
        answers = Counter(rows["top1"][rows["image"] == image].tolist())
        masks = ", ".join(f"{names[answer]} {n}" for answer, n in answers.most_common(3))
        under = f"of {parameters.masks} masks: {masks}"
        drawings.append(
            Drawing(
                image,
                pixels,
                f"seen as {panel.subtitle} in eval mode; {under}",
                (panel.model_copy(update={"note": under}),),
            )
        )
    return tuple(drawings)


MEASURE = Measure(
    name="dropout_gap",
    about="Accuracy under single dropout masks, as in training, compared with eval mode.",
    parameters=Parameters,
    class_columns=("top1_eval", "top1"),
    labels=True,
    axis=("mask", "mask_names"),
    worst_first=WorstFirst(
        meaning="The worst are the images on which most masks disagree with eval mode."
    ),
    metrics=(
        MetricSpec(
            "eval_accuracy",
            "Share of images classified correctly in eval mode, with dropout off.",
            source="Srivastava et al. 2014",
            interval="wilson",
            per_image=each("correct_eval", _once),
            numeric_error=BY_DECISION,
        ),
        MetricSpec(
            "train_accuracy_mean",
            "Share of images classified correctly under a single dropout mask, as in training, "
            "averaged over masks; everything but dropout stays in eval mode.",
            source="Srivastava et al. 2014",
            interval="bootstrap",
            per_image=lambda rows, _: _single(rows),
        ),
        MetricSpec(
            "train_accuracy_spread",
            "Standard deviation over masks of the accuracy under a single mask: how much a thinned "
            "network depends on which units are dropped.",
            range=(0.0, 0.5**0.5),  # of two masks, one always right and one always wrong
            higher_is_better=False,
        ),
        MetricSpec(
            "accuracy_gap",
            "Accuracy in eval mode minus that under single masks: the gain without dropout.",
            interval="bootstrap",
            range=(-1.0, 1.0),
            headline=Headline(label="dropout gap", rank=6, share=False),
            per_image=lambda rows, _: (
                _once(rows).set_index("image")["correct_eval"] - _single(rows)
            ),
        ),
        MetricSpec(
            "ensemble_accuracy",
            "Share of images classified correctly by the mean of the masks' probabilities, which "
            "eval mode approximates in one forward.",
            source="Srivastava et al. 2014, section 7.5",
            interval="wilson",
            per_image=each("correct_ensemble", _once),
        ),
        MetricSpec(
            "disagreement",
            "Share of masks whose answer differs from eval mode's, averaged over images.",
            higher_is_better=False,
            interval="bootstrap",
            per_image=lambda rows, _: badness(rows),
        ),
        MetricSpec(
            "logit_shift",
            "Euclidean length of the difference between the masks' mean logits and those of eval "
            "mode, averaged over images. With many masks it is 0 if the network is linear after "
            "its dropout; with few masks chance adds to it.",
            unit="logits",
            range=(0.0, float("inf")),
            higher_is_better=False,
            interval="bootstrap",
            per_image=each("shift", _once),
        ),
    ),
    observe=observe,
    summarise=summarise,
    badness=badness,
    explain=explain,
    vouch=vouch,
    plots=plots,
)
