"""What a training did: its losses, where it stopped, which units died and which came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from vision_evals.core.tables import Table
from vision_evals.log import Headline, Metric
from vision_evals.measures.measure import Measure, Subject
from vision_evals.measures.metrics import absent, exact
from vision_evals.suite.spec import MetricSpec

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from vision_evals.models.classifier import Classifier

WINDOW = 10
"""Steps whose mean loss counts as reached: one batch alone may be an easy one."""

ENDLESS = (0.0, float("inf"))


class Parameters(Table):
    """Parameters of ``training``."""

    losses: tuple[Annotated[float, Field(strict=True, gt=0)], ...] = (1.0,)
    """Training losses in nats; ``steps_to_loss`` says how many steps each took."""


def tabulate(classifier: Classifier | None, parameters: Parameters) -> pd.DataFrame:  # noqa: ARG001
    """Return a row an epoch, as the training logged it.

    Raises:
        NotApplicableError: the classifier was not trained here.
    """
    import pandas as pd

    from vision_evals.core.errors import NotApplicableError

    assert classifier is not None, "the measure has no subject of its own"
    training = classifier.training
    if training is None:
        raise NotApplicableError(
            f"{classifier.alias} came trained; only a recipe says how its training went"
        )
    rows = pd.DataFrame([epoch.model_dump(exclude={"dead_by_layer"}) for epoch in training.epochs])
    return rows.assign(
        returned=[epoch.epoch == training.returned_epoch for epoch in training.epochs],
        diverged=training.diverged,
        small_weight_fraction=training.small_weight_fraction,
        validation_images=training.validation_images,
    )


def summarise(
    rows: pd.DataFrame,
    parameters: Parameters,
    subject: Subject,  # noqa: ARG001 - one training has no interval
) -> tuple[Metric, ...]:
    """Return the numbers of one training; none but ``diverged`` where it diverged."""
    said = rows["diverged"].iloc[0]
    diverged = exact("diverged", float(said is not None), 1, "training", said or "it did not")
    if said is not None:
        lost = [absent(m.name, f"diverged: {said}", unit=m.unit, lost=True) for m in _SINGLE]
        steps = [
            absent("steps_to_loss", f"diverged: {said}", at=str(loss), unit="steps", lost=True)
            for loss in parameters.losses
        ]
        return (diverged, *lost, *steps)
    found = _numbers(rows)
    images, steps_made = int(rows["validation_images"].iloc[0]), int(rows["steps"].iloc[-1])
    single = [_metric(spec, found[spec.name], images, steps_made) for spec in _SINGLE]
    losses = np.concatenate([np.asarray(one, dtype=float) for one in rows["losses"]])
    return (diverged, *single, *(_steps_to(loss, losses) for loss in parameters.losses))


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
    """Return each number of a training that went well, by name; None where it has none."""
    returned, last = rows[rows["returned"]].iloc[0], rows.iloc[-1]
    after = rows[rows["epoch"] > 0]
    lowest = rows["validation_loss"].min()
    return {
        "validation_accuracy": returned["validation_accuracy"],
        "validation_loss": returned["validation_loss"],
        "returned_excess": returned["validation_loss"] - lowest,
        "overfit": last["validation_loss"] - lowest,
        "loss_gap": last["validation_loss"] - last["train_loss"],
        "train_loss": last["train_loss"],
        "train_accuracy": last["train_accuracy"],
        "epochs": float(last["epoch"]),
        "steps": float(last["steps"]),
        "dead_at_end": last["dead_fraction"],
        "died": float(after["died"].sum()),
        "revived": float(after["revived"].sum()),
        "saturated_share": last["saturated_fraction"],
        "gradient_ratio": after["gradient_ratio"].iloc[0],
        "small_weight_fraction": last["small_weight_fraction"],
    }


def _metric(spec: MetricSpec, value: Any, images: int, steps: int) -> Metric:
    validated = spec.name in {
        "validation_accuracy",
        "validation_loss",
        "returned_excess",
        "overfit",
    }
    n, of = (images, "validation images") if validated else (steps, "steps")
    if value is None or not np.isfinite(value):
        return absent(spec.name, "this network has none", of=of, unit=spec.unit, n=n)
    return exact(
        spec.name, float(value), n, of, "one training, no sample of trainings", unit=spec.unit
    )


def _steps_to(loss: float, losses: NDArray[np.float64]) -> Metric:
    """Return after how many steps the mean loss of the last ten is at most ``loss``."""
    name, of = "steps_to_loss", "steps"
    enough = len(losses) >= WINDOW  # np.convolve would take the shorter of the two for the window
    means = np.convolve(losses, np.ones(WINDOW) / WINDOW, mode="valid") if enough else np.zeros(0)
    reached = np.flatnonzero(means <= loss)
    if not len(reached):
        reason = f"the training loss never reached {loss:g} in {len(losses)} steps"
        return absent(name, reason, at=str(loss), of=of, unit="steps", n=len(losses), lost=True)
    return exact(
        name,
        float(reached[0] + WINDOW),
        len(losses),
        of,
        "one training, no sample of trainings",
        at=str(loss),
        unit="steps",
    )


def _low(name: str, about: str, unit: str, **more: Any) -> MetricSpec:
    return MetricSpec(name, about, unit=unit, higher_is_better=False, **more)


_SINGLE = (
    MetricSpec(
        "validation_accuracy",
        "Share of the validation images named rightly by the weights returned.",
    ),
    _low(
        "validation_loss",
        "Cross-entropy on the validation images, of the weights returned.",
        "nats",
        range=ENDLESS,
    ),
    _low(
        "returned_excess",
        "How far the validation loss of the weights returned lies above the lowest of all epochs: "
        "0 is what early stopping promises.",
        "nats",
        source="Prechelt 1998",
        range=ENDLESS,
    ),
    _low(
        "overfit",
        "How far the validation loss has risen from its lowest to the last epoch.",
        "nats",
        source="Prechelt 1998",
        range=ENDLESS,
    ),
    _low(
        "loss_gap",
        "Validation loss less training loss after the last epoch: what was learned by heart.",
        "nats",
        range=(float("-inf"), float("inf")),
    ),
    _low(
        "train_loss",
        "Mean loss of the last epoch's batches, in training mode.",
        "nats",
        range=ENDLESS,
    ),
    MetricSpec(
        "train_accuracy", "Share of the last epoch's images named rightly, in training mode."
    ),
    _low("epochs", "Epochs walked, fewer where training stopped early.", "epochs", range=ENDLESS),
    _low("steps", "Steps of the optimiser.", "steps", range=ENDLESS),
    _low(
        "dead_at_end",
        "Share of rectified units never above 0 on the validation images after the last epoch.",
        "fraction",
        source="Lu et al. 2020, Dying ReLU and Initialization",
        headline=Headline(label="dead units after training", rank=5),
    ),
    _low(
        "died", "Units that were alive at the end of an epoch and dead at the end of the next.",
        "units", range=ENDLESS,
    ),
    MetricSpec(
        "revived",
        "Units that were dead at the end of an epoch and alive at the end of the next: a gradient "
        "reaches a dead unit's weights only where the layers below it still change.",
        unit="units", range=ENDLESS,
    ),
    _low(
        "saturated_share",
        "Share of activations after the last epoch whose slope is under 1 % of the steepest that "
        "their function has, on the validation images.",
        "fraction",
        source="Glorot & Bengio 2010, section 3",
    ),
    MetricSpec(
        "gradient_ratio",
        "Norm of the gradient in the first layer's weights over that in the last's, mean over the "
        "first epoch: near 0 the gradient vanishes on its way down.",
        source="Glorot & Bengio 2010, section 4",
        unit="ratio", range=ENDLESS,
    ),
    MetricSpec(
        "small_weight_fraction",
        "Share of the weights below 1e-3 of the largest in their layer, in absolute value.",
    ),
)  # fmt: skip

MEASURE = Measure(
    name="training",
    about="What a recipe's training did, from its first step to the weights it returned.",
    parameters=Parameters,
    labels=False,
    images=False,
    keys=("epoch",),
    metrics=(
        _low("diverged", "Whether the loss or a weight stopped being a number.", "fraction"),
        *_SINGLE,
        _low(
            "steps_to_loss",
            f"Steps after which the mean training loss of the last {WINDOW} is at most so much.",
            "steps",
            axis="losses",
            range=ENDLESS,
        ),
    ),
    tabulate=tabulate,
    summarise=summarise,
)
