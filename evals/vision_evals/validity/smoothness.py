"""Whether the loss stays where it is when an image barely moves."""

from __future__ import annotations

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
        id="S18", name="smooth loss",
        meaning="On a loss that jumps, a gradient says nothing about the next step.",
        source="Pintor et al. 2022 (unstable loss); threshold from the packaged networks",
        cost="thorough", severity="warn", scope="images", guards=differentiating, run=smooth,
    ),
)  # fmt: skip
