"""How the logits and the loss of a network respond to a little noise."""

from __future__ import annotations

import torch

from vision_evals.attacks.losses import cross_entropy
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    differentiating,
    failed,
    passed,
    undecided,
)
from vision_evals.validity.forwards import exact_fp32, logits_of, uniform_noise
from vision_evals.validity.gradients import (
    MIN_LOGIT_CHANGE,
    QUARTER_LEVEL,
    half_precision,
    lead_gradient,
    movable,
    runner_up_lead,
)

MAX_IMAGES = 4
"""Images that are shaken."""
MAX_HIDDEN_SHARE = 0.1
"""Share of the answer to noise that may come through values without a gradient: 0.006 in
squeezenet1_1_caffe, 0 in efficientnet_lite0, at most 0.0005 in eight of torchvision's networks with
random weights (4 images each)."""
MAX_ANSWER_RATIO = 10
"""How many times what the gradient tells the answer may be: 0.7 to 1.8 where it was heard, since a
curve adds to it, and thousands where a gradient was made small or put elsewhere."""


def nothing_hidden(evidence: Evidence) -> CheckResult:
    """S7: shake every value of the pixels, and then only those whose gradient is exactly 0.

    Signs of equal size q move a linear lead by ``2 q |g|_2`` between both ends, on the root mean
    square. What moves it much further was not told by g; and what moves through values where g
    is 0 reaches an answer around the gradient.
    """
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    with exact_fp32(pixels.device):
        logits, gradient = lead_gradient(evidence, pixels)
        if gradient is None or not bool(gradient.isfinite().all()):
            return undecided("there is no gradient to hold against it")
        free = movable(pixels)
        noise = QUARTER_LEVEL * (uniform_noise(evidence, pixels) - 0.5).sign() * free
        whole = _between(evidence, pixels, noise)
        hidden = _between(evidence, pixels, noise * (gradient == 0))
        first = logits.argmax(dim=1)
        loudest = float(logits.abs().amax())
        if not float(whole.abs().amax()) > MIN_LOGIT_CHANGE * loudest:
            return undecided("noise of a quarter of a level is too small a change for fp32")
        if half_precision(logits):
            return undecided("the logits are of half precision: so small a step is lost in them")
        cut = float(hidden.norm() / whole.norm())
        told = 2 * QUARTER_LEVEL * torch.linalg.vector_norm((gradient * free).flatten(1), dim=1)
        answered = (
            runner_up_lead(whole + logits.double(), first) - runner_up_lead(logits.double(), first)
        ).abs()
    audible = MIN_LOGIT_CHANGE * loudest
    times = float((answered.norm() - audible).clamp(min=0) / told.norm().clamp(min=1e-300))
    said = (
        f"of the answer to noise of a quarter of a level on {len(pixels)} images, {cut:.2g} comes "
        f"through values without a gradient, and the whole is {times:.2g} times what it tells"
    )
    return failed(said) if cut > MAX_HIDDEN_SHARE or times > MAX_ANSWER_RATIO else passed(said)


def _between(evidence: Evidence, pixels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return (n, classes) how far the logits of both ends lie apart."""
    up, down = (logits_of(evidence.classifier, (pixels + s * noise).to(pixels)) for s in (1, -1))
    return up.double() - down.double()


NOISE_WIDTH = 1 / 255
"""Width of the noise under which the loss should stay."""
MAX_LOSS_CHANGE = 0.1
"""Relative change of the loss under it: 0.014 on 16 images in squeezenet1_1_caffe, 0.047 in
efficientnet_lite0."""
MIN_LOSS = 1e-4
"""A smaller loss is left out: its relative change is rounding."""


def smooth(evidence: Evidence) -> CheckResult:
    """Shake each image by half a level of grey and see how far its loss moves."""
    probe = evidence.probe
    if probe.answers is None:
        return undecided("the images have no labels, and so no loss")
    noise = NOISE_WIDTH / 2 * (2 * uniform_noise(evidence, probe.pixels) - 1)
    label = probe.answers.label[:, None]
    with exact_fp32(probe.pixels.device):
        before = cross_entropy(logits_of(evidence.classifier, probe.pixels), label)
        moved = (probe.pixels + noise).clamp(0, 1)
        after = cross_entropy(logits_of(evidence.classifier, moved), label)
    told = before > MIN_LOSS
    if not bool(told.any()):
        return undecided(f"the loss of each of {len(before)} images is below {MIN_LOSS:g}")
    change = float(((after - before).abs() / before)[told].double().mean())
    said = (
        f"noise of up to half a level of 255 changes the loss by {change:.3g} of itself on the "
        f"mean of {int(told.sum())} images, at most {MAX_LOSS_CHANGE:g} allowed"
    )
    return passed(said) if change < MAX_LOSS_CHANGE else failed(said)


CHECKS = (
    ValidityCheck(
        id="S7", name="nothing hidden from the gradient",
        meaning="A network that also sees what has no gradient can be broken where no attack "
        "that follows one will look.",
        source="Athalye et al. 2018, section 3.1; Carlini et al. 2019, section 4",
        scope="images", guards=differentiating, run=nothing_hidden,
    ),
    ValidityCheck(
        id="S18", name="smooth loss",
        meaning="On a loss that jumps, a gradient says nothing about the next step.",
        source="Pintor et al. 2022 (unstable loss); threshold from the packaged networks",
        cost="thorough", severity="warn", scope="images", guards=differentiating, run=smooth,
    ),
)  # fmt: skip
