"""The numbers of a training, from records whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vision_evals.core.errors import NotApplicableError
from vision_evals.log import Epoch, Metric, Training
from vision_evals.measures.measure import Subject
from vision_evals.measures.training import MEASURE, Parameters
from vision_evals.models.classifier import Classifier

Small = Callable[..., Classifier]

EPOCHS = (
    Epoch(epoch=0, steps=0, validation_loss=1.1, validation_accuracy=0.3, dead_fraction=0.0),
    Epoch(
        epoch=1, steps=8, losses=(1.2,) * 4 + (1.0,) * 4, train_loss=1.1, train_accuracy=0.4,
        validation_loss=0.9, validation_accuracy=0.5, dead_fraction=0.2, died=4, revived=0,
        saturated_fraction=0.6, gradient_ratio=0.25,
    ),
    Epoch(
        epoch=2, steps=16, losses=(0.5,) * 8, train_loss=0.5, train_accuracy=0.8,
        validation_loss=1.0, validation_accuracy=0.6, dead_fraction=0.1, died=1, revived=3,
        saturated_fraction=0.7, gradient_ratio=0.5,
    ),
)  # fmt: skip
TRAINING = Training(
    seed=0,
    data="digits",
    train_images=64,
    validation_images=40,
    epochs=EPOCHS,
    returned_epoch=1,
    stopped_early=True,
    small_weight_fraction=0.125,
)


def metrics(
    classifier: Classifier, training: Training, **more: tuple[float, ...]
) -> dict[tuple[str, str | None], Metric]:
    parameters = Parameters(**more)
    rows = MEASURE.tabulate(replace(classifier, training=training), parameters)
    found = MEASURE.summarise(rows, parameters, Subject("small", classifier.classes, 0))
    promised = {metric.name for metric in MEASURE.metrics}
    assert {metric.name for metric in found} == promised
    return {(metric.name, metric.at): metric for metric in found}


def test_every_number(small: Small) -> None:
    found = metrics(small(), TRAINING)
    values = {name: metric.value for (name, at), metric in found.items() if at is None}
    assert values == {
        "diverged": 0.0,
        "validation_accuracy": 0.5,
        "validation_loss": 0.9,
        "returned_excess": 0.0,
        "overfit": pytest.approx(0.1),
        "loss_gap": 0.5,
        "train_loss": 0.5,
        "train_accuracy": 0.8,
        "epochs": 2.0,
        "steps": 16.0,
        "dead_at_end": 0.1,
        "died": 5.0,
        "revived": 3.0,
        "saturated_share": 0.7,
        "gradient_ratio": 0.25,
        "small_weight_fraction": 0.125,
    }


def test_the_last_epoch_returned_is_not_the_lowest(small: Small) -> None:
    found = metrics(small(), TRAINING.model_copy(update={"returned_epoch": 2}))
    assert found["returned_excess", None].value == pytest.approx(0.1)
    assert found["validation_accuracy", None].value == 0.6


def test_steps_to_a_loss_is_the_first_mean_of_ten(small: Small) -> None:
    found = metrics(small(), TRAINING, losses=(1.0, 0.6, 0.4))
    losses = [*EPOCHS[1].losses, *EPOCHS[2].losses]
    for wanted in (1.0, 0.6, 0.4):
        reached = None
        for step in range(10, len(losses) + 1):  # the slow way
            if sum(losses[step - 10 : step]) / 10 <= wanted:
                reached = float(step)
                break
        assert found["steps_to_loss", str(wanted)].value == reached
    assert found["steps_to_loss", "0.6"].value is not None
    reason = found["steps_to_loss", "0.4"].reason
    assert reason is not None
    assert "did not reach 0.4 in 16 steps" in reason


def test_fewer_than_ten_steps_reach_nothing(small: Small) -> None:
    short = TRAINING.model_copy(update={"epochs": EPOCHS[:2]})
    assert metrics(small(), short, losses=(5.0,))["steps_to_loss", "5.0"].value is None


def test_divergence_leaves_no_other_number(small: Small) -> None:
    said = "the loss was not finite at step 3, epoch 1"
    training = TRAINING.model_copy(
        update={"diverged": said, "returned_epoch": None, "epochs": EPOCHS[:1]}
    )
    found = metrics(small(), training)
    assert found.pop(("diverged", None)).value == 1.0
    assert {metric.value for metric in found.values()} == {None}
    assert all(said in (metric.reason or "") for metric in found.values())


def test_a_network_that_came_trained_has_no_training(small: Small) -> None:
    with pytest.raises(NotApplicableError, match="small was not trained here"):
        MEASURE.tabulate(small(), Parameters())
