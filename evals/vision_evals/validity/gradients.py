"""Whether the gradient with respect to the pixels is one, and shows the way."""

from __future__ import annotations

import torch

from vision_evals.attacks.gradients import slope
from vision_evals.attacks.losses import dlr
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
from vision_evals.validity.forwards import exact_fp32, logits_of, uniform_noise

MAX_IMAGES = 8
"""Images whose derivative is taken twice."""
STEP_LENGTH = 0.002
"""Euclidean length of the step along the gradient: shorter, fp32 drowns it; longer, real networks
bend away (at 0.002 the median of 8 images of squeezenet1_1_caffe answers with 1.00 of what its
gradient says and that of efficientnet_lite0 with 0.995; at 0.01 with 0.99 and 0.94)."""
QUARTER_LEVEL = 0.25 / 255
"""No pixel moves by more: from a level of 8 bits, rounding inside a network undoes that."""
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
        return undecided("the images have no labels, and so no loss")
    try:
        dead = _dead(probe.gradient)
    except InvalidError as error:
        return failed(str(error))
    bad, n = int(dead.sum()), len(dead)
    found = rate(bad, n, MAX_DEAD_SHARE, "images with a gradient that is 0 or not finite")
    if not bad:
        return found
    return found._replace(evidence=f"{found.evidence}; {_under_dlr(evidence, dead)}")


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
        return "DLR needs three classes, so it was not tried"
    return f"{int((dead & ~again).sum())} of these {int(dead.sum())} live under the DLR loss"


def reaches_pixels(evidence: Evidence) -> CheckResult:
    """Walk a little along the gradient and see whether the network answers as it says."""
    require_two_classes(evidence)
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    with exact_fp32(pixels.device):
        logits, gradient = lead_gradient(evidence, pixels)
        if gradient is None:
            return failed("the logits do not lead back to the pixels")
        if bool(_dead(gradient).all()):
            return _silent(evidence, pixels, logits)
        if half_precision(logits):
            return undecided("the logits are of half precision: so small a step is lost in them")
        return _compared(evidence, pixels, logits.argmax(dim=1), gradient)


def require_two_classes(evidence: Evidence) -> None:
    """Refuse a classifier that can only say one thing.

    Raises:
        NotApplicableError: it has one class.
    """
    if len(evidence.classifier.classes) < 2:
        raise NotApplicableError("with one class there is no answer to lead away from")


def half_precision(logits: torch.Tensor) -> bool:
    """Return whether a network computed in half precision: each logit is a number of it."""
    return any(torch.equal(logits.to(half).to(logits), logits) for half in HALF_TYPES)


def lead_gradient(
    evidence: Evidence, pixels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return logits, and (n, 3, H, W) in float64 the gradient of the runner-up's lead; or None."""
    with torch.enable_grad():
        variable = pixels.clone().requires_grad_()
        logits = evidence.classifier.logits(variable)
        if not logits.requires_grad:
            return logits, None
        total = runner_up_lead(logits, logits.detach().argmax(dim=1)).sum()
        found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
            total, variable, allow_unused=True
        )
    return logits.detach(), None if found[0] is None else found[0].double()


def movable(pixels: torch.Tensor) -> torch.Tensor:
    """Return what can move both ways: at 0 and 1 a clamp inside a network has a bend."""
    return (pixels > QUARTER_LEVEL) & (pixels < 1 - QUARTER_LEVEL)


def runner_up_lead(logits: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """Return (n,) how far the runner-up lies above the first answer; never saturated."""
    at = first[:, None]
    others = logits.scatter(1, at, float("-inf")).amax(dim=1)
    return others - logits.gather(1, at)[:, 0]


def _silent(evidence: Evidence, pixels: torch.Tensor, logits: torch.Tensor) -> CheckResult:
    moved = (pixels + NOISE_OF_ZERO_GRADIENT * _signs(evidence, pixels)).clamp(0, 1)
    after = logits_of(evidence.classifier, moved)
    change = float((after - logits).abs().amax())
    said = f"the gradient is 0 on {len(pixels)} images, and noise of 8/255 moves logits by "
    return failed(f"{said}{change:.2g}") if change else undecided(f"{said}nothing either")


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
    up, down = (runner_up_lead(one.double(), first) for one in logits)
    told = 2 * size * length
    # also what the gradient does not tell of is heard
    heard = (
        torch.maximum(told, (up - down).abs()) > MIN_LOGIT_CHANGE * logits[0].abs().amax().double()
    )
    if 2 * int(heard.sum()) < n:
        return undecided(
            f"a step along the gradient is too small a change for fp32 on {n - int(heard.sum())} "
            f"of {n} images"
        )
    answered = ((up - down) / told)[heard]
    middle = float(answered.quantile(0.5))
    said = (
        f"a step of {float(size.amax()):.2g} along the gradient changes the lead of the first "
        f"answer by {middle:.3g} of what the gradient says (median of {len(answered)} images, "
        f"{float(answered.amin()):.2g} to {float(answered.amax()):.2g})"
    )
    return passed(said) if abs(middle - 1) <= MAX_SLOPE_ERROR else failed(said)


def _signs(evidence: Evidence, pixels: torch.Tensor) -> torch.Tensor:
    return (uniform_noise(evidence, pixels) - 0.5).sign()


CHECKS = (
    ValidityCheck(
        id="S6", name="gradient alive",
        meaning="Where the gradient is 0, an attack that follows it stays where it is.",
        source="Athalye et al. 2018, section 3.1; Pintor et al. 2022; Croce & Hein 2020 on DLR",
        scope="images", guards=differentiating, run=gradient_alive,
    ),
    ValidityCheck(
        id="S7", name="graph reaches the pixels",
        meaning="A gradient that a rounding, a detached graph or a backward of its own falsifies "
        "does not lead uphill.",
        source="Athalye et al. 2018, section 3.1 (shattered gradients); Pintor et al. 2022",
        scope="classifier", guards=differentiating, run=reaches_pixels,
    ),
)  # fmt: skip
