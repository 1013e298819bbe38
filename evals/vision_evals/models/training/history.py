"""What is measured when an epoch ends, in one forward over the validation images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_evals import log
from vision_evals.models.hooks.activations import (
    FUNCTIONS,
    activation,
    by_unit,
    of_images,
    where_flat,
)
from vision_evals.models.hooks.watch import Call, watching

Forward = Callable[[Tensor], Tensor]
"""From uint8 pixels (n, 3, height, width) to logits (n, classes)."""


@dataclass(frozen=True, slots=True)
class EpochValidation:
    """What a network does on the validation images, in eval mode."""

    loss: float | None
    """Mean cross-entropy in nats; None when not finite."""
    accuracy: float
    dead: Mapping[str, Tensor] | None
    """Rectifier call to which of its units (units,) were never above 0; None without rectifiers."""
    saturated: float | None
    """Share of activations where their function is flat; None if no slope is known."""


@dataclass(frozen=True, slots=True)
class EpochSteps:
    """The steps of one epoch, on the host."""

    losses: Tensor
    """Cross-entropy in nats of each step's batch (steps,), without penalties."""
    correct: int
    """Images that were classified rightly when a step was made on them."""
    images: int
    ratios: Tensor
    """Of gradient norms, first over last layer (steps,); not finite where the last has none."""


@dataclass
class _ActivationCounts:
    """Counts on the device what activations do; the host does not wait for it."""

    alive: dict[str, Tensor] = field(default_factory=dict)
    flat: list[Tensor] = field(default_factory=list)
    values: int = 0
    """In outputs whose flat places are known."""
    images: int = 1
    """In the present batch."""

    @property
    def saturated(self) -> float | None:
        """Share of values where their function is flat; None if no slope is known."""
        return int(torch.stack(self.flat).sum()) / self.values if self.values else None

    def count(self, call: Call) -> Tensor:
        output = call.run()
        kind = activation(call)
        if kind is None or not of_images(output, self.images):
            return output
        if kind.family == "rectifier":
            units = by_unit(output, call.axis)
            alive = units.amax((0, 2) if units.dim() == 3 else 0) > 0
            before = self.alive.get(str(call))
            self.alive[str(call)] = alive if before is None else alive | before
        without_slope = where_flat(kind, output)
        if without_slope is not None:
            self.flat.append(without_slope.count_nonzero())
            self.values += output.numel()
        return output


def validate(
    network: nn.Module, forward: Forward, batches: Iterable[tuple[Tensor, Tensor]]
) -> EpochValidation:
    """Return what the network does on the validation images; it is left in eval mode."""
    counts = _ActivationCounts()
    visible = not any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())
    losses, correct, n = [], [], 0
    network.eval()
    with torch.inference_mode():
        for pixels, classes in batches:
            counts.images = len(pixels)
            hooks = watching(network, FUNCTIONS, counts.count) if visible else nullcontext()
            with hooks:
                logits = forward(pixels)
            losses.append(cross_entropy(logits.double(), classes, reduction="sum"))
            correct.append((logits.argmax(1) == classes).sum())
            n += len(classes)
        dead = {name: ~alive.cpu() for name, alive in counts.alive.items()}
        loss = float(torch.stack(losses).sum()) / n
        return EpochValidation(
            loss=loss if math.isfinite(loss) else None,
            accuracy=int(torch.stack(correct).sum()) / n,
            dead=dead or None,
            saturated=counts.saturated,
        )


def epoch_record(
    number: int,
    steps: int,
    trained: EpochSteps | None,
    validation: EpochValidation,
    before: EpochValidation | None,
) -> log.Epoch:
    """Return the record of an epoch; without steps, of the network before its first step."""
    dead = validation.dead or {}
    previous = (before.dead if before else None) or {}
    # in the first epoch the units that are dead now count as dead before
    changed = [(now, previous.get(name, now)) for name, now in dead.items()]
    return log.Epoch(
        epoch=number,
        steps=steps,
        **({} if trained is None else _step_fields(trained)),
        validation_loss=validation.loss,
        validation_accuracy=validation.accuracy,
        dead_fraction=float(torch.cat(list(dead.values())).double().mean()) if dead else None,
        dead_by_layer={name: float(units.double().mean()) for name, units in dead.items()},
        died=sum(int((now & ~then).sum()) for now, then in changed),
        revived=sum(int((then & ~now).sum()) for now, then in changed),
        saturated_fraction=validation.saturated,
    )


def diverged_record(number: int, steps: int, trained: EpochSteps) -> log.Epoch:
    """Return the record of an epoch in which the training diverged."""
    finite = trained.losses.isfinite()
    until = len(finite) if finite.all() else int((~finite).nonzero()[0])
    return log.Epoch(
        epoch=number, steps=steps + len(finite), losses=tuple(trained.losses[:until].tolist())
    )


def _step_fields(trained: EpochSteps) -> dict[str, Any]:
    ratios = trained.ratios[trained.ratios.isfinite()]
    return {
        "losses": tuple(trained.losses.tolist()),
        "train_loss": float(trained.losses.double().mean()),
        "train_accuracy": trained.correct / trained.images,
        "gradient_ratio": float(ratios.double().mean()) if len(ratios) else None,
    }
