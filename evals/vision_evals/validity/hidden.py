"""Whether a network reacts to values that have no gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch

from vision_evals.validity.check import CheckResult, Evidence, failed, passed, undecided, worst
from vision_evals.validity.forwards import exact_fp32, random_signs
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
    0 bypasses the gradient. The lead is held against its own gradient, and all logits are held
    against the gradient of all. What these do not predict, the gradients on the way may.
    """
    require_two_classes(evidence)
    pixels = evidence.probe.pixels[:MAX_NOISY_IMAGES]
    with exact_fp32(pixels.device):
        logits, quantities = differentiated(evidence, pixels)
        if not quantities or not all(bool(q.gradient.isfinite().all()) for q in quantities):
            return undecided("there is no gradient to compare with")
        noise = QUARTER_LEVEL * random_signs(evidence, pixels) * movable(pixels)
        whole = between(evidence, pixels, noise)
        smallest = MIN_LOGIT_CHANGE * float(logits.abs().amax())
        if not float(whole.abs().amax()) > smallest:
            return undecided("noise of a quarter of a level is too small a change for fp32")
        if half_precision(logits):
            return undecided("the logits have half precision, which loses so small a step")
        response = _Response(evidence, pixels, noise, whole, smallest)
        lead, everything = quantities
        return worst([response.hidden(everything), response.hidden(lead), response.louder(lead)])


class _Response(NamedTuple):
    """What noise does to the logits."""

    evidence: Evidence
    pixels: torch.Tensor
    noise: torch.Tensor
    """(n, 3, H, W) on every value that can move."""
    whole: torch.Tensor
    """(n, classes) the logits with the noise added less those with it subtracted."""
    smallest: float
    """A smaller change is lost in fp32."""

    def hidden(self, quantity: Quantity) -> CheckResult:
        """Return the share of the response that comes through values without a gradient."""
        noise, whole = self.noise * (quantity.gradient == 0), quantity.of(self.whole).norm()
        part = torch.zeros_like(self.whole[:, 0])
        if bool(noise.any()):
            part = quantity.of(between(self.evidence, self.pixels, noise))
        share = float(part.norm() / whole) if float(whole) > self.smallest else 0.0
        doubt, cut, by = 0.0, 0.0, ""
        for points in POINTS:
            if share <= MAX_HIDDEN_SHARE or (by and share - doubt > MAX_HIDDEN_SHARE):
                break
            way = on_the_way(self.evidence, self.pixels, noise, quantity, points)
            share, doubt, cut = (
                float(x.norm() / whole) for x in (part - way.change, 2 * way.error, way.cut)
            )
            by = f" and not in the gradients at {points} points on the way"
        sentence = (
            f"of the response of {quantity.name} to noise of a quarter of a level on "
            f"{len(self.pixels)} images, {share:.2g} comes through values without a gradient{by}"
        )
        if share - doubt > MAX_HIDDEN_SHARE:
            return failed(sentence)
        if cut > MAX_HIDDEN_SHARE:
            return undecided(f"{sentence}; {cut:.2g} where it is 0 at the images themselves alone")
        return passed(sentence) if share <= MAX_HIDDEN_SHARE else undecided(sentence)

    def louder(self, lead: Quantity) -> CheckResult:
        """Compare the whole response with the one that the gradient predicts."""
        length = torch.linalg.vector_norm((lead.gradient * (self.noise != 0)).flatten(1), dim=1)
        excess = (lead.of(self.whole).norm() - self.smallest).clamp(min=0)
        predicted, by = 2 * QUARTER_LEVEL * length.norm(), "gradient predicts"
        sure = float(excess) <= MAX_ANSWER_RATIO * float(predicted)
        for points in () if sure else POINTS:
            way = on_the_way(self.evidence, self.pixels, self.noise, lead, points)
            predicted = (way.change - way.cut).norm()
            by = f"gradients at {points} points on the way predict"
            if float(excess) > MAX_ANSWER_RATIO * float(predicted + 2 * way.error.norm()):
                break
        times = float(excess / predicted.clamp(min=1e-300))
        sentence = f"the whole is {times:.2g} times what the {by}"
        return failed(sentence) if times > MAX_ANSWER_RATIO else passed(sentence)
