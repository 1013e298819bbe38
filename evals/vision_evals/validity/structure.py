"""Whether a network is the function that every measure takes it for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from vision_evals.validity.check import (
    Evidence,
    Finding,
    ValidityCheck,
    differentiating,
    every,
    failed,
    passed,
    undecided,
)
from vision_evals.validity.looking import SAME, apart, exactly, shown, undisturbed

FEW = 8
"""Images that are shown again and again."""
TIMES = 5
SUMS = 4e-3
"""How far the sum of probabilities may be from 1: that of half precision is no better."""
LOG_SUMS = 1e-5
"""How far the logarithm of that sum may be from 0."""


def eval_mode(evidence: Evidence) -> Finding:
    """Name the modules that are in training mode."""
    modules = dict(evidence.classifier.network.named_modules())
    training = [name or "network" for name, module in modules.items() if module.training]
    if not training:
        return passed(f"none of {len(modules)} modules is in training mode")
    more = f" and {len(training) - 5} more" if len(training) > 5 else ""
    return failed(
        f"{len(training)} of {len(modules)} modules are in training mode: "
        f"{', '.join(training[:5])}{more}"
    )


def same_again(evidence: Evidence) -> Finding:
    """Ask five times."""
    pixels = evidence.probe.pixels[:FEW]
    # one block around all: restored before each forward, the dice would always fall the same
    with undisturbed(pixels.device):
        first, *others = (shown(evidence.classifier, pixels) for _ in range(TIMES))
    worst = _worst([apart(other, first) for other in others])
    said = f"{TIMES} forwards of {len(pixels)} images differ by {worst:.2g} of the largest logit"
    return passed(said) if worst < SAME else failed(said)


def same_in_every_batch(evidence: Evidence) -> Finding:
    """Ask for the same images one by one, in sevens, and all at once."""
    pixels = evidence.probe.pixels[:FEW]
    if len(pixels) == 1:
        return undecided("there is one image, and so one batch")
    worst, refused = {}, []
    with exactly(pixels.device):
        together = shown(evidence.classifier, pixels)
        for size in (size for size in (1, 7) if size < len(pixels)):
            try:
                parts = _in_batches(evidence, pixels, size)
                worst[size] = apart(parts, together[: len(parts)])
            except Exception as error:  # noqa: BLE001 - what a network refuses, and how, is its own
                refused.append(f"batches of {size} are refused: {type(error).__name__}: {error}")
    found = [f"in batches of {size} by {share:.2g}" for size, share in worst.items()]
    said = f"logits of {len(pixels)} images at once differ from those {'; '.join(found)} of the "
    said = "; ".join([f"{said}largest logit"] * bool(found) + refused)
    if found and not _worst([*worst.values()]) < SAME:
        return failed(said)
    return undecided(said) if refused else passed(said)


def _in_batches(evidence: Evidence, pixels: torch.Tensor, size: int) -> torch.Tensor:
    whole = pixels[: len(pixels) // size * size]  # a remainder would be a batch of another size
    return torch.cat([shown(evidence.classifier, part) for part in torch.split(whole, size)])


def _worst(shares: list[float]) -> float:
    # max() of Python may pass over a NaN
    return float(torch.tensor(shares, dtype=torch.float64).amax())


def gives_logits(evidence: Evidence) -> Finding:
    """Look whether every row is a distribution."""
    logits = evidence.probe.logits.detach().double()
    n, classes = logits.shape
    if classes < 2:
        return undecided("with one class there is nothing to sum over")
    sums = logits.sum(dim=1)
    between = ((logits >= 0) & (logits <= 1)).all(dim=1)
    if bool((between & ((sums - 1).abs() < SUMS)).all()):
        return failed(f"each of {n} rows lies in [0, 1] and sums to 1: probabilities")
    if bool((logits.logsumexp(dim=1).abs() < LOG_SUMS).all()):
        return passed(f"{n} rows of log-probabilities, which are logits shifted")
    low, high = float(logits.amin()), float(logits.amax())
    return passed(f"{n} rows from {low:.3g} to {high:.3g}, which sum to {float(sums.mean()):.3g}")


class _Differentiations(TorchFunctionMode):
    """Counts the calls that start a backward pass, whoever makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        starts = (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward)
        self.count += func in starts
        return func(*args, **(kwargs or {}))


def forward_only(evidence: Evidence) -> Finding:
    """Count backward passes during one forward."""
    pixels = evidence.probe.pixels[:2]
    seen = _Differentiations()
    with undisturbed(pixels.device), torch.enable_grad(), seen:
        evidence.classifier.logits(pixels.clone().requires_grad_())
    said = f"{seen.count} calls for a gradient inside one forward"
    return failed(said) if seen.count else passed(said)


CHECKS = (
    ValidityCheck(
        id="S4", name="eval mode",
        meaning="In training mode, dropout and batch norm make another network of it.",
        source="Carlini et al. 2019, section 4; a forgotten eval() in many projects",
        scope="classifier", guards=every, look=eval_mode,
    ),
    ValidityCheck(
        id="S4", name="same answer five times",
        meaning="The gradient of one throw of dice says little about the next; an attack on it "
        "needs the expectation.",
        source="Athalye et al. 2018, section 3.1; Croce et al. 2020, AutoAttack's checks",
        scope="classifier", guards=every, look=same_again,
    ),
    ValidityCheck(
        id="S4", name="same answer in every batch",
        meaning="A network that looks at the whole batch says of an image what its neighbours "
        "decide.",
        source="Carlini et al. 2019, section 4; batch statistics at test time",
        scope="classifier", guards=every, look=same_in_every_batch,
    ),
    ValidityCheck(
        id="S5", name="output is logits",
        meaning="A second softmax flattens every confidence and starves every gradient.",
        source="Carlini & Wagner 2016; Croce et al. 2020, AutoAttack's checks",
        scope="classifier", guards=every, look=gives_logits,
    ),
    ValidityCheck(
        id="S8", name="no optimisation inside",
        meaning="A network that optimises while it answers hides its gradient from an attack.",
        source="Croce et al. 2022 on adaptive test-time defences; AutoAttack's checks",
        scope="classifier", guards=differentiating, look=forward_only,
    ),
)  # fmt: skip
