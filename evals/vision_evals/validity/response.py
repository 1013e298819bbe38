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
from vision_evals.validity.forwards import exact_fp32, logits_of, random_signs, uniform_noise
from vision_evals.validity.gradients import (
    MIN_LOGIT_CHANGE,
    QUARTER_LEVEL,
    half_precision,
    lead_gradient,
    movable,
    runner_up_lead,
)

MAX_IMAGES = 4
"""Images that get noise."""
MAX_HIDDEN_SHARE = 0.1
"""Share of the response to noise that may come from values without a gradient: 0.006 in
squeezenet1_1_caffe, 0 in efficientnet_lite0, at most 0.0005 in eight of torchvision's networks with
random weights (4 images each)."""
MAX_ANSWER_RATIO = 10
"""How many times the predicted response the measured one may be: 0.7 to 1.8 in networks where the
gradient is correct, since curvature adds to it, and thousands where it was scaled or moved."""


def nothing_hidden(evidence: Evidence) -> CheckResult:
    """S7: add noise to every pixel value, and then only to those whose gradient is exactly 0.

    Noise of +q or -q per value changes a linear lead by ``2 q |g|_2`` between both ends (root mean
    square). A much larger change is not in the gradient g; and a change through values where g is
    0 bypasses the gradient.
    """
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    with exact_fp32(pixels.device):
        logits, gradient = lead_gradient(evidence, pixels)
        if gradient is None or not bool(gradient.isfinite().all()):
            return undecided("there is no gradient to compare with")
        free = movable(pixels)
        noise = QUARTER_LEVEL * random_signs(evidence, pixels) * free
        whole = _between(evidence, pixels, noise)
        hidden = _between(evidence, pixels, noise * (gradient == 0))
        first = logits.argmax(dim=1)
        largest = float(logits.abs().amax())
        if not float(whole.abs().amax()) > MIN_LOGIT_CHANGE * largest:
            return undecided("noise of a quarter of a level is too small a change for fp32")
        if half_precision(logits):
            return undecided("the logits have half precision, which loses so small a step")
        hidden_share = float(hidden.norm() / whole.norm())
        predicted = (
            2 * QUARTER_LEVEL * torch.linalg.vector_norm((gradient * free).flatten(1), dim=1)
        )
        measured = (
            runner_up_lead(whole + logits.double(), first) - runner_up_lead(logits.double(), first)
        ).abs()
    smallest = MIN_LOGIT_CHANGE * largest
    times = float((measured.norm() - smallest).clamp(min=0) / predicted.norm().clamp(min=1e-300))
    sentence = (
        f"of the response to noise of a quarter of a level on {len(pixels)} images, "
        f"{hidden_share:.2g} comes through values without a gradient, and the whole is {times:.2g} "
        "times what the gradient predicts"
    )
    too_much = hidden_share > MAX_HIDDEN_SHARE or times > MAX_ANSWER_RATIO
    return failed(sentence) if too_much else passed(sentence)


def _between(evidence: Evidence, pixels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return (n, classes) the logits with the noise added less those with it subtracted."""
    up, down = (logits_of(evidence.classifier, (pixels + s * noise).to(pixels)) for s in (1, -1))
    return up.double() - down.double()


NOISE_WIDTH = 1 / 255
"""Width of the noise under which the loss should not change much."""
MAX_LOSS_CHANGE = 0.1
"""Relative change of the loss under it: 0.014 on 16 images in squeezenet1_1_caffe, 0.047 in
efficientnet_lite0."""
MIN_LOSS = 1e-4
"""A smaller loss is left out: its relative change is rounding error."""


def smooth(evidence: Evidence) -> CheckResult:
    """Add noise of half a grey level to each image and measure how much its loss changes."""
    probe = evidence.probe
    if probe.answers is None:
        return undecided("the images have no labels, so there is no loss")
    noise = NOISE_WIDTH / 2 * (2 * uniform_noise(evidence, probe.pixels) - 1)
    label = probe.answers.label[:, None]
    with exact_fp32(probe.pixels.device):
        before = cross_entropy(logits_of(evidence.classifier, probe.pixels), label)
        moved = (probe.pixels + noise).clamp(0, 1)
        after = cross_entropy(logits_of(evidence.classifier, moved), label)
    counted = before > MIN_LOSS
    if not bool(counted.any()):
        return undecided(f"the loss of each of {len(before)} images is below {MIN_LOSS:g}")
    change = float(((after - before).abs() / before)[counted].double().mean())
    sentence = (
        f"noise of up to half a level of 255 changes the loss by {change:.3g} of itself on the "
        f"mean of {int(counted.sum())} images, at most {MAX_LOSS_CHANGE:g} allowed"
    )
    return passed(sentence) if change < MAX_LOSS_CHANGE else failed(sentence)


CHECKS = (
    ValidityCheck(
        id="S7", name="nothing hidden from the gradient",
        meaning="A network that reacts to values without a gradient can be broken where an attack "
        "that follows the gradient never searches.",
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
