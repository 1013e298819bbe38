"""Whether a network is a fixed function from one image to logits, as measures assume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from vision_evals.core.errors import words
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    differentiating,
    every,
    failed,
    passed,
    undecided,
)
from vision_evals.validity.forwards import (
    SAME_LOGITS,
    exact_fp32,
    logit_difference,
    logits_of,
    preserved_rng,
)

MAX_IMAGES = 8
"""Images of the repeated forwards."""
FORWARDS = 5
PROBABILITY_SUM_TOLERANCE = 4e-3
"""How far a sum of probabilities may be from 1: half precision reaches no better."""
LOG_SUM_TOLERANCE = 1e-5
"""How far the logarithm of that sum may be from 0."""


def eval_mode(evidence: Evidence) -> CheckResult:
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


def same_again(evidence: Evidence) -> CheckResult:
    """Run the same images five times."""
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    # one block around all: generators restored before each forward would repeat its numbers
    with preserved_rng(pixels.device):
        first, *others = (logits_of(evidence.classifier, pixels) for _ in range(FORWARDS))
    worst = _worst([logit_difference(other, first) for other in others])
    sentence = (
        f"{FORWARDS} forwards of {len(pixels)} images differ by {worst:.2g} of the largest logit"
    )
    return passed(sentence) if worst < SAME_LOGITS else failed(sentence)


def same_in_every_batch(evidence: Evidence) -> CheckResult:
    """Run the same images one by one, in batches of seven, and all at once."""
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    if len(pixels) == 1:
        return undecided("there is only one image, so there is only one batch size")
    worst, refused = {}, []
    with exact_fp32(pixels.device):
        together = logits_of(evidence.classifier, pixels)
        for size in (size for size in (1, 7) if size < len(pixels)):
            try:
                parts = _in_batches(evidence, pixels, size)
                worst[size] = logit_difference(parts, together[: len(parts)])
            except Exception as error:  # noqa: BLE001 - a network may refuse a batch with any error
                refused.append(f"batches of {size} are refused: {words(error)}")
    shares = "; ".join(f"in batches of {size} by {share:.2g}" for size, share in worst.items())
    at_once = f"logits of {len(pixels)} images at once differ from those {shares}"
    sentence = "; ".join([f"{at_once} of the largest logit"] * bool(worst) + refused)
    if worst and not _worst([*worst.values()]) < SAME_LOGITS:
        return failed(sentence)
    return undecided(sentence) if refused else passed(sentence)


def _in_batches(evidence: Evidence, pixels: torch.Tensor, size: int) -> torch.Tensor:
    whole = pixels[: len(pixels) // size * size]  # a remainder would be a batch of another size
    return torch.cat([logits_of(evidence.classifier, part) for part in torch.split(whole, size)])


def _worst(shares: list[float]) -> float:
    # max() of Python can ignore a NaN
    return float(torch.tensor(shares, dtype=torch.float64).amax())


def gives_logits(evidence: Evidence) -> CheckResult:
    """Test whether every row is a probability distribution."""
    logits = evidence.probe.logits.detach().double()
    n, classes = logits.shape
    if classes < 2:
        return undecided("with one class there is no sum over classes")
    sums = logits.sum(dim=1)
    between = ((logits >= 0) & (logits <= 1)).all(dim=1)
    if bool((between & ((sums - 1).abs() < PROBABILITY_SUM_TOLERANCE)).all()):
        return failed(f"each of {n} rows lies in [0, 1] and sums to 1: probabilities")
    if bool((logits.logsumexp(dim=1).abs() < LOG_SUM_TOLERANCE).all()):
        return passed(f"{n} rows of log-probabilities, which are logits shifted")
    low, high = float(logits.amin()), float(logits.amax())
    return passed(f"{n} rows from {low:.3g} to {high:.3g}, which sum to {float(sums.mean()):.3g}")


class _Differentiations(TorchFunctionMode):
    """Counts the calls that start a backward pass, from any code."""

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


def forward_only(evidence: Evidence) -> CheckResult:
    """Count backward passes during one forward."""
    pixels = evidence.probe.pixels[:2]
    backward = _Differentiations()
    with preserved_rng(pixels.device), torch.enable_grad(), backward:
        evidence.classifier.logits(pixels.clone().requires_grad_())
    sentence = f"{backward.count} calls for a gradient inside one forward"
    return failed(sentence) if backward.count else passed(sentence)


CHECKS = (
    ValidityCheck(
        id="S4", name="eval mode",
        meaning="In training mode, dropout and batch norm compute another function.",
        source="Carlini et al. 2019, section 4; a forgotten eval() in many projects",
        scope="classifier", guards=every, run=eval_mode,
    ),
    ValidityCheck(
        id="S4", name="same answer five times",
        meaning="In a random network, the gradient of one forward says little about the next; an "
        "attack on it needs the expectation.",
        source="Athalye et al. 2018, section 3.1; Croce et al. 2020, AutoAttack's checks",
        scope="classifier", guards=every, run=same_again,
    ),
    ValidityCheck(
        id="S4", name="same answer in every batch",
        meaning="In a network that uses batch statistics, the other images of a batch change the "
        "answer for an image.",
        source="Carlini et al. 2019, section 4; batch statistics at test time",
        scope="classifier", guards=every, run=same_in_every_batch,
    ),
    ValidityCheck(
        id="S5", name="output is logits",
        meaning="A second softmax flattens every confidence and shrinks every gradient.",
        source="Carlini & Wagner 2016; Croce et al. 2020, AutoAttack's checks",
        scope="classifier", guards=every, run=gives_logits,
    ),
    ValidityCheck(
        id="S8", name="no optimisation inside",
        meaning="A network that optimises inside its forward hides its gradient from an attack.",
        source="Croce et al. 2022 on adaptive test-time defences; AutoAttack's checks",
        scope="classifier", guards=differentiating, run=forward_only,
    ),
)  # fmt: skip
