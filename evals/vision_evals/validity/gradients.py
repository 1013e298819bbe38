"""Whether the gradient with respect to the pixels is correct, complete and useful."""

from __future__ import annotations

import torch

from vision_evals.attacks.gradients import cross_entropy, dlr, slope
from vision_evals.core.errors import InvalidError, NotApplicableError
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    differentiating,
    failed,
    passed,
    rate,
    undecided,
)
from vision_evals.validity.forwards import exact_fp32, logits_of, random_signs, uniform_noise
from vision_evals.validity.hidden import nothing_hidden
from vision_evals.validity.slopes import (
    MIN_LOGIT_CHANGE,
    POINTS,
    QUARTER_LEVEL,
    Quantity,
    between,
    differentiated,
    half_precision,
    movable,
    on_the_way,
    require_two_classes,
)

MAX_IMAGES = 8
"""Images whose derivative is also measured by finite differences."""
STEP_LENGTH = 0.002
"""Euclidean length of the step along the gradient. A shorter one is lost in the rounding of fp32;
on a longer one real networks are not linear (at 0.002 the lead changes by 1.00 of what the gradient
predicts on squeezenet1_1_caffe, the median of 8 images, and by 0.995 on efficientnet_lite0; at 0.01
by 0.99 and 0.94)."""
MAX_SLOPE_ERROR = 0.1
NOISE_OF_ZERO_GRADIENT = 8 / 255
MAX_DEAD_SHARE = 0.05
"""Share of images that may be without a gradient."""


def gradient_alive(evidence: Evidence) -> CheckResult:
    """Count the images whose gradient is zero or not finite."""
    probe = evidence.probe
    require_two_classes(evidence)
    if probe.answers is None:
        return undecided("the images have no labels, so there is no loss")
    try:
        dead = _dead(probe.gradient)
    except InvalidError as error:
        return failed(str(error))
    bad, n = int(dead.sum()), len(dead)
    result = rate(bad, n, MAX_DEAD_SHARE, "images with a gradient that is 0 or not finite")
    if not bad:
        return result
    return result.adding(_under_dlr(evidence, dead))


def _dead(gradient: torch.Tensor) -> torch.Tensor:
    flat = gradient.flatten(1)
    return (flat == 0).all(dim=1) | ~flat.isfinite().all(dim=1)


def _under_dlr(evidence: Evidence, dead: torch.Tensor) -> str:
    probe = evidence.probe
    assert probe.answers is not None
    try:
        label = probe.answers.label[:, None]
        again = _dead(slope(evidence.classifier, probe.pixels, label, dlr).gradient)
    except NotApplicableError:
        return "the DLR loss needs three classes, so it is not tried"
    return f"{int((dead & ~again).sum())} of these {int(dead.sum())} have one under the DLR loss"


def reaches_pixels(evidence: Evidence) -> CheckResult:
    """Take a small step along the gradient and compare the change with the predicted one."""
    require_two_classes(evidence)
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    with exact_fp32(pixels.device):
        logits, quantities = differentiated(evidence, pixels)
        if not quantities:
            return failed("the graph of the logits does not reach the pixels")
        lead, everything = quantities
        if bool(_dead(lead.gradient).all()):
            anything = bool(_dead(everything.gradient).all())
            return _zero_gradient(evidence, pixels, logits, None if anything else lead)
        if half_precision(logits):
            return undecided("the logits have half precision, which loses so small a step")
        return _compared(evidence, pixels, lead, float(logits.abs().amax()))


def _zero_gradient(
    evidence: Evidence, pixels: torch.Tensor, logits: torch.Tensor, lead: Quantity | None
) -> CheckResult:
    """Look for a change of the lead; of any logit (None) where no logit has a gradient."""
    moved = (pixels + NOISE_OF_ZERO_GRADIENT * random_signs(evidence, pixels)).clamp(0, 1)
    difference = logits_of(evidence.classifier, moved) - logits
    change = float((difference if lead is None else lead.of(difference)).abs().amax())
    what = "the logits" if lead is None else lead.name
    sentence = f"the gradient is 0 on {len(pixels)} images, and noise of 8/255 changes {what}"
    if change:
        return failed(f"{sentence} by {change:.2g}")
    return undecided(f"{sentence} by nothing either")


def _compared(
    evidence: Evidence, pixels: torch.Tensor, lead: Quantity, largest: float
) -> CheckResult:
    n = len(pixels)
    gradient = lead.gradient * movable(pixels)
    if bool(gradient.isnan().any()):
        return failed("parts of the gradient are not numbers")
    moving = ~_dead(gradient)
    if not bool(moving.any()):
        return undecided("the gradient is 0 at every pixel that is neither black nor white")
    pixels, gradient, lead = pixels[moving], gradient[moving], lead.rows(moving)
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    way = gradient / length[:, None, None, None]
    size = (QUARTER_LEVEL / way.flatten(1).abs().amax(dim=1)).clamp(max=STEP_LENGTH)
    step = way * size[:, None, None, None]
    change, predicted = lead.of(between(evidence, pixels, step)), 2 * size * length
    # a change that the gradient does not predict counts too
    visible = torch.maximum(predicted, change.abs()) > MIN_LOGIT_CHANGE * largest
    lost = n - int(visible.sum())
    if 2 * (n - lost) < n:
        return undecided(
            f"a step along the gradient is too small a change for fp32 on {lost} of {n} images"
        )
    ratio = (change / predicted)[visible]
    middle = float(ratio.quantile(0.5))
    sentence = (
        f"a step of {float(size.amax()):.2g} along the gradient changes the lead of the first "
        f"answer by {middle:.3g} of what the gradient predicts (median of {len(ratio)} images, "
        f"{float(ratio.amin()):.2g} to {float(ratio.amax()):.2g})"
    )
    if abs(middle - 1) <= MAX_SLOPE_ERROR:
        return passed(sentence)
    step, lead, change = step[visible], lead.rows(visible), change[visible]
    result = _compared_on_the_way(evidence, pixels[visible], step, lead, change)
    return result._replace(evidence=f"{sentence}, and by {result.evidence}")


def _compared_on_the_way(
    evidence: Evidence,
    pixels: torch.Tensor,
    step: torch.Tensor,
    lead: Quantity,
    change: torch.Tensor,
) -> CheckResult:
    """Compare a change with the gradients on the way: a maximum may turn to another pixel."""
    sentence = ""
    for points in POINTS:
        way = on_the_way(evidence, pixels, step, lead, points)
        middle = float((change / way.change).quantile(0.5))
        doubt = 2 * float((way.error / way.change.abs()).quantile(0.5))
        sentence = f"{middle:.3g} of what the gradients at {points} points of the step predict"
        if abs(middle - 1) <= MAX_SLOPE_ERROR:
            return passed(sentence)
        if abs(middle - 1) - doubt > MAX_SLOPE_ERROR:
            return failed(sentence)
    return undecided(f"{sentence}; they vary too much to decide")


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
        id="S6", name="gradient alive",
        meaning="Where the gradient is 0, an attack that follows it does not move.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022; Croce & Hein 2020 on DLR",
        scope="images", guards=differentiating, run=gradient_alive,
    ),
    ValidityCheck(
        id="S7", name="graph reaches the pixels",
        meaning="Rounding, a detached graph or a custom backward makes the gradient wrong: a step "
        "along it does not increase the loss.",
        source="Athalye et al. 2018, section 3.1 (shattered gradients); Pintor et al. 2022",
        scope="classifier", guards=differentiating, run=reaches_pixels,
    ),
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
