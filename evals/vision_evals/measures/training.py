"""What happened in a training: losses, when it stopped, which units died and which revived."""

from __future__ import annotations

from functools import partial
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
"""Number of steps whose mean loss is compared: a single batch may be easy."""

UNBOUNDED = (0.0, float("inf"))
ONE_TRAINING = "one training, not a sample of trainings"


VALIDATED = {"validation_accuracy", "validation_loss", "returned_excess", "overfit"}
"""Metrics of the validation images."""


class Parameters(Table):
    """Parameters of ``training``."""

    losses: tuple[Annotated[float, Field(strict=True, gt=0)], ...] = (1.0,)
    """Training losses in nats; ``steps_to_loss`` says how many steps each took."""


def tabulate(classifier: Classifier | None, parameters: Parameters) -> pd.DataFrame:  # noqa: ARG001
    """Return a row per epoch, as the training logged it.

    Raises:
        NotApplicableError: the classifier was not trained by a recipe.
    """
    import pandas as pd

    from vision_evals.core.errors import NotApplicableError

    assert classifier is not None, "the measure needs a classifier"
    training = classifier.training
    if training is None:
        raise NotApplicableError(
            f"{classifier.alias} was not trained here; only a recipe logs its training"
        )
    rows = pd.DataFrame([epoch.model_dump(exclude={"dead_by_layer"}) for epoch in training.epochs])
    return rows.assign(
        returned=[epoch.epoch == training.returned_epoch for epoch in training.epochs],
        diverged=training.diverged,
        small_weight_fraction=training.small_weight_fraction,
        validation_images=training.validation_images,
    )


def summarise(rows: pd.DataFrame, parameters: Parameters, subject: Subject) -> tuple[Metric, ...]:
    """Return the numbers of one training; only ``diverged`` if it diverged."""
    del subject  # one training has no interval
    why = rows["diverged"].iloc[0]
    diverged = exact("diverged", float(why is not None), 1, "training", why or "it did not")
    if why is not None:
        lost = partial(absent, reason=f"diverged: {why}", lost=True)
        single = [lost(spec.name, unit=spec.unit) for spec in _SINGLE]
        steps = [lost("steps_to_loss", at=str(loss), unit="steps") for loss in parameters.losses]
        return (diverged, *single, *steps)
    numbers = _numbers(rows)
    images, steps_made = int(rows["validation_images"].iloc[0]), int(rows["steps"].iloc[-1])
    single = [_metric(spec, numbers[spec.name], images, steps_made) for spec in _SINGLE]
    losses = np.concatenate([np.asarray(epoch, dtype=float) for epoch in rows["losses"]])
    return (diverged, *single, *(_steps_to(loss, losses) for loss in parameters.losses))


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
    """Return each number of a training that did not diverge, by name; None where it has none."""
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
    n, of = (images, "validation images") if spec.name in VALIDATED else (steps, "steps")
    if value is None or not np.isfinite(value):
        return absent(spec.name, "this network has no such value", of=of, unit=spec.unit, n=n)
    return exact(spec.name, float(value), n, of, ONE_TRAINING, unit=spec.unit)


def _steps_to(loss: float, losses: NDArray[np.float64]) -> Metric:
    """Return the number of steps after which the mean loss of the last ten is at most ``loss``."""
    name, of = "steps_to_loss", "steps"
    enough = len(losses) >= WINDOW  # np.convolve would use the shorter input as the window
    means = np.convolve(losses, np.ones(WINDOW) / WINDOW, mode="valid") if enough else np.zeros(0)
    reached = np.flatnonzero(means <= loss)
    if not len(reached):
        reason = f"the training loss did not reach {loss:g} in {len(losses)} steps"
        return absent(name, reason, at=str(loss), of=of, unit="steps", n=len(losses), lost=True)
    steps = float(reached[0] + WINDOW)
    return exact(name, steps, len(losses), of, ONE_TRAINING, at=str(loss), unit="steps")


_low = partial(MetricSpec, higher_is_better=False)
_nats = partial(_low, unit="nats", range=UNBOUNDED)

_SINGLE = (
    MetricSpec(
        "validation_accuracy",
        "Share of the validation images that the returned weights classify correctly.",
    ),
    _nats("validation_loss", "Cross-entropy of the returned weights on the validation images."),
    _nats(
        "returned_excess",
        "Validation loss of the returned weights minus the lowest of all epochs: 0 if early "
        "stopping works.",
        source="Prechelt 1998",
    ),
    _nats(
        "overfit",
        "Validation loss after the last epoch minus the lowest of all epochs.",
        source="Prechelt 1998",
    ),
    _low(
        "loss_gap",
        "Validation loss minus training loss after the last epoch: how much was memorised.",
        "nats",
        range=(float("-inf"), float("inf")),
    ),
    _nats("train_loss", "Mean loss of the last epoch's batches, in training mode."),
    MetricSpec(
        "train_accuracy", "Share of the last epoch's images classified correctly, in training mode."
    ),
    _low("epochs", "Epochs trained, fewer if training stopped early.", "epochs", range=UNBOUNDED),
    _low("steps", "Steps of the optimiser.", "steps", range=UNBOUNDED),
    _low(
        "dead_at_end",
        "Share of rectified units never above 0 on the validation images after the last epoch.",
        source="Lu et al. 2020, Dying ReLU and Initialization",
        headline=Headline(label="dead units after training", rank=5),
    ),
    _low(
        "died",
        "Units that were alive at the end of an epoch and dead at the end of the next.",
        "units",
        range=UNBOUNDED,
    ),
    MetricSpec(
        "revived",
        "Units that were dead at the end of an epoch and alive at the end of the next: a dead unit "
        "can only revive while the layers below it still change.",
        "units",
        range=UNBOUNDED,
    ),
    _low(
        "saturated_share",
        "Share of activations after the last epoch whose slope is below 1 % of the steepest slope "
        "of their function, on the validation images.",
        source="Glorot & Bengio 2010, section 3",
    ),
    MetricSpec(
        "gradient_ratio",
        "Norm of the gradient of the first layer's weights over that of the last layer's, mean "
        "over the first epoch: near 0 the gradient vanishes on its way down.",
        "ratio",
        source="Glorot & Bengio 2010, section 4",
        range=UNBOUNDED,
    ),
    MetricSpec(
        "small_weight_fraction",
        "Share of the weights below 1e-3 of the largest in their layer, in absolute value.",
    ),
)

MEASURE = Measure(
    name="training",
    about="What happened in the training of a recipe, from its first step to the returned weights.",
    parameters=Parameters,
    labels=False,
    images=False,
    keys=("epoch",),
    metrics=(
        _low("diverged", "Whether the loss or a weight became NaN or infinite."),
        *_SINGLE,
        _low(
            "steps_to_loss",
            f"Steps after which the mean training loss of the last {WINDOW} steps is at most this "
            "value.",
            "steps",
            axis="losses",
            range=UNBOUNDED,
        ),
    ),
    tabulate=tabulate,
    summarise=summarise,
)
