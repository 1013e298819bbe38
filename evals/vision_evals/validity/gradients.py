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

MAX_IMAGES = 8
"""Images whose derivative is also measured by finite differences."""
STEP_LENGTH = 0.002
"""Euclidean length of the step along the gradient. A shorter one is lost in the rounding of fp32;
on a longer one real networks are not linear (at 0.002 the lead changes by 1.00 of what the gradient
predicts on squeezenet1_1_caffe, the median of 8 images, and by 0.995 on efficientnet_lite0; at 0.01
by 0.99 and 0.94)."""
QUARTER_LEVEL = 0.25 / 255
"""No pixel moves by more: a network that rounds to 8 bits undoes such a step from a level."""
MAX_SLOPE_ERROR = 0.1
MIN_LOGIT_CHANGE = 1e-4
"""A change smaller than this share of the largest logit is lost in fp32."""
NOISE_OF_ZERO_GRADIENT = 8 / 255
HALF_TYPES = (torch.float16, torch.bfloat16)
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
        logits, gradient = lead_gradient(evidence, pixels)
        if gradient is None:
            return failed("the graph of the logits does not reach the pixels")
        if bool(_dead(gradient).all()):
            return _zero_gradient(evidence, pixels, logits)
        if half_precision(logits):
            return undecided("the logits have half precision, which loses so small a step")
        return _compared(evidence, pixels, logits.argmax(dim=1), gradient)


def require_two_classes(evidence: Evidence) -> None:
    """Refuse a classifier with a single answer.

    Raises:
        NotApplicableError: it has one class.
    """
    if len(evidence.classifier.classes) < 2:
        raise NotApplicableError("with one class there is no other answer to move to")


def half_precision(logits: torch.Tensor) -> bool:
    """Return whether a network computed in half precision: it can hold each logit exactly."""
    return any(torch.equal(logits.to(half).to(logits), logits) for half in HALF_TYPES)


def lead_gradient(
    evidence: Evidence, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return logits, and the gradient (n, 3, H, W) in float64 of the runner-up's lead, or None."""
    with torch.enable_grad():
        variable = pixels.clone().requires_grad_()
        logits = evidence.classifier.logits(variable)
        if not logits.requires_grad:
            return logits, None
        total = runner_up_lead(logits, logits.detach().argmax(dim=1)).sum()
        gradient: torch.Tensor | None
        (gradient,) = torch.autograd.grad(total, variable, allow_unused=True)
    return logits.detach(), None if gradient is None else gradient.double()


def movable(pixels: torch.Tensor) -> torch.Tensor:
    """Return which values can move both ways: at 0 and 1 a clamp in a network is not smooth."""
    return (pixels > QUARTER_LEVEL) & (pixels < 1 - QUARTER_LEVEL)


def runner_up_lead(logits: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Return (n,) the logit of the runner-up less that of the first answer; it never saturates."""
    at = first[:, None]
    others = logits.scatter(1, at, float("-inf")).amax(dim=1)
    return others - logits.gather(1, at)[:, 0]


def _zero_gradient(evidence: Evidence, pixels: torch.Tensor, logits: torch.Tensor) -> CheckResult:
    moved = (pixels + NOISE_OF_ZERO_GRADIENT * random_signs(evidence, pixels)).clamp(0, 1)
    after = logits_of(evidence.classifier, moved)
    change = float((after - logits).abs().amax())
    sentence = f"the gradient is 0 on {len(pixels)} images, and noise of 8/255 changes the logits"
    if change:
        return failed(f"{sentence} by {change:.2g}")
    return undecided(f"{sentence} by nothing either")


def _compared(
    evidence: Evidence, pixels: torch.Tensor, first: torch.Tensor, gradient: torch.Tensor
) -> CheckResult:
    n = len(pixels)
    gradient = gradient * movable(pixels)
    if bool(gradient.isnan().any()):
        return failed("parts of the gradient are not numbers")
    moving = ~_dead(gradient)
    if not bool(moving.any()):
        return undecided("the gradient is 0 at every pixel that is neither black nor white")
    pixels, first, gradient = pixels[moving], first[moving], gradient[moving]
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    way = gradient / length[:, None, None, None]
    size = (QUARTER_LEVEL / way.flatten(1).abs().amax(dim=1)).clamp(max=STEP_LENGTH)
    step = way * size[:, None, None, None]
    logits = [logits_of(evidence.classifier, (pixels + s * step).to(pixels)) for s in (1, -1)]
    up, down = (runner_up_lead(end.double(), first) for end in logits)
    predicted, smallest = 2 * size * length, MIN_LOGIT_CHANGE * logits[0].abs().amax().double()
    # a change that the gradient does not predict counts too
    visible = torch.maximum(predicted, (up - down).abs()) > smallest
    lost = n - int(visible.sum())
    if 2 * (n - lost) < n:
        return undecided(
            f"a step along the gradient is too small a change for fp32 on {lost} of {n} images"
        )
    ratio = ((up - down) / predicted)[visible]
    middle = float(ratio.quantile(0.5))
    sentence = (
        f"a step of {float(size.amax()):.2g} along the gradient changes the lead of the first "
        f"answer by {middle:.3g} of what the gradient predicts (median of {len(ratio)} images, "
        f"{float(ratio.amin()):.2g} to {float(ratio.amax()):.2g})"
    )
    return passed(sentence) if abs(middle - 1) <= MAX_SLOPE_ERROR else failed(sentence)


MAX_NOISY_IMAGES = 4
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
    pixels = evidence.probe.pixels[:MAX_NOISY_IMAGES]
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
