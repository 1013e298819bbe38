"""What is measured when an epoch ends: one forward over the validation images says it all."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from vision_evals import log
from vision_evals.models.hooks.activations import FUNCTIONS, activation, by_unit, flat, of_images
from vision_evals.models.hooks.watch import Call, watching

Forward = Callable[[Tensor], Tensor]
"""From uint8 pixels (n, 3, height, width) to logits (n, classes)."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the validation images, in eval mode."""

    loss: float | None
    """Mean cross-entropy in nats; None when not finite."""
    accuracy: float
    dead: Mapping[str, Tensor] | None
    """Rectifier call to which of its units (units,) were never above 0; None if none was seen."""
    saturated: float | None
    """Share of activations where their function is flat; None if none was seen."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps of one epoch, on the host."""

    losses: Tensor
    """Cross-entropy in nats of each step's batch (steps,), without penalties."""
    correct: int
    """Images that were classified rightly when a step was made on them."""
    images: int
    ratios: Tensor
    """Of gradient norms, first over last layer (steps,); not finite where the last has none."""


@dataclass
class _Tally:
    """Counts on the device what activations do, without waiting for it."""

    alive: dict[str, Tensor] = field(default_factory=dict)
    flat: list[Tensor] = field(default_factory=list)
    seen: int = 0
    images: int = 1
    """In the present batch."""

    def answer(self, call: Call) -> Tensor:
        output = call.run()
        kind = activation(call)
        if kind is None or not of_images(output, self.images):
            return output
        if kind.family == "rectifier":
            units = by_unit(output, call.axis)
            alive = units.amax((0, 2) if units.dim() == 3 else 0) > 0
            before = self.alive.get(str(call))
            self.alive[str(call)] = alive if before is None else alive | before
        without_slope = flat(kind, output)
        if without_slope is not None:
            self.flat.append(without_slope.count_nonzero())
            self.seen += output.numel()
        return output


def look(network: nn.Module, forward: Forward, batches: Iterable[tuple[Tensor, Tensor]]) -> Look:
    """Return what the network does on the validation images; it is left in eval mode."""
    tally = _Tally()
    seen_through = not any(isinstance(m, torch.jit.ScriptModule) for m in network.modules())
    losses, correct, n = [], [], 0
    network.eval()
    with torch.inference_mode():
        for pixels, classes in batches:
            tally.images = len(pixels)
            with (
                watching(network, FUNCTIONS, tally.answer)
                if seen_through
                else contextlib.nullcontext()
            ):
                logits = forward(pixels)
            losses.append(cross_entropy(logits.double(), classes, reduction="sum"))
            correct.append((logits.argmax(1) == classes).sum())
            n += len(classes)
        dead = {name: ~alive.cpu() for name, alive in tally.alive.items()}
        return Look(
            loss=_finite(float(torch.stack(losses).sum()) / n),
            accuracy=int(torch.stack(correct).sum()) / n,
            dead=dead or None,
            saturated=int(torch.stack(tally.flat).sum()) / tally.seen if tally.seen else None,
        )


def epoch(number: int, steps: int, walk: Walk | None, seen: Look, before: Look | None) -> log.Epoch:
    """Return the record of an epoch; without a walk, of the network before its first step."""
    dead = seen.dead or {}
    changed = [(now, _then(before, name, now)) for name, now in dead.items()]
    return log.Epoch(
        epoch=number,
        steps=steps,
        **({} if walk is None else _walked(walk)),
        validation_loss=seen.loss,
        validation_accuracy=seen.accuracy,
        dead_fraction=float(torch.cat(list(dead.values())).double().mean()) if dead else None,
        dead_by_layer={name: float(units.double().mean()) for name, units in dead.items()},
        died=sum(int((now & ~then).sum()) for now, then in changed),
        revived=sum(int((then & ~now).sum()) for now, then in changed),
        saturated_fraction=seen.saturated,
    )


def broken(number: int, steps: int, walk: Walk) -> log.Epoch:
    """Return the record of an epoch in which the training diverged."""
    finite = walk.losses.isfinite()
    until = len(finite) if finite.all() else int((~finite).nonzero()[0])
    return log.Epoch(epoch=number, steps=steps, losses=tuple(walk.losses[:until].tolist()))


def _walked(walk: Walk) -> dict[str, Any]:
    ratios = walk.ratios[walk.ratios.isfinite()]
    return {
        "losses": tuple(walk.losses.tolist()),
        "train_loss": float(walk.losses.double().mean()),
        "train_accuracy": walk.correct / walk.images,
        "gradient_ratio": float(ratios.double().mean()) if len(ratios) else None,
    }


def _then(before: Look | None, name: str, now: Tensor) -> Tensor:
    """Return which units were dead an epoch ago; without one, those that are now."""
    dead = (before.dead if before else None) or {}
    return dead.get(name, now)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
