"""Whether a classifier gets the pixels that its card, or its published weights, describe."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from vision_evals.core.errors import NotApplicableError, contained
from vision_evals.models.build import preprocessing, source_of
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    every,
    failed,
    passed,
    undecided,
)
from vision_evals.validity.forwards import SAME_LOGITS, exact_fp32, logit_difference, logits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vision_evals.images.image_set import Image
    from vision_evals.models.card import Input

MAX_IMAGES = 8
"""Images of the comparison."""


def declared(evidence: Evidence) -> Input:
    """Return the preprocessing of the card, or of its source; never that of the classifier."""
    classifier = evidence.classifier
    card = classifier.card
    if card.recipe is not None:
        raise NotApplicableError("trained here: no card describes how its pictures are prepared")
    return preprocessing(classifier.alias, card, source_of(card).facts(card))


def raw_logits(evidence: Evidence) -> CheckResult:
    """Normalise the pixels with NumPy and compare with a forward of the bare network."""
    spec, classifier = declared(evidence), evidence.classifier
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    planes = pixels.detach().cpu().numpy().astype(np.float64)
    planes = planes[:, ::-1] if spec.channels == "bgr" else planes
    mean, std = (np.array(three)[None, :, None, None] for three in (spec.mean, spec.std))
    prepared = np.ascontiguousarray((planes * spec.range - mean) / std, dtype=np.float32)
    with exact_fp32(pixels.device):
        with torch.inference_mode(), contained():
            raw = classifier.network(torch.from_numpy(prepared).to(pixels.device, classifier.dtype))
        share = logit_difference(logits_of(classifier, pixels), raw)
    text = (
        f"logits of {len(pixels)} images differ from those of the bare network, on pixels "
        f"normalised with NumPy, by {share:.2g} of the largest"
    )
    return passed(text) if share < SAME_LOGITS else failed(text)


def as_declared(evidence: Evidence) -> CheckResult:
    """Compare the preprocessing in use with the declared one."""
    return _compared(evidence.classifier.input, declared(evidence), "in use", "declared")


def as_published(evidence: Evidence) -> CheckResult:
    """Compare a card's own preprocessing with what was published with the weights."""
    card = evidence.classifier.card
    if card.input is None:
        return undecided("the card leaves the preprocessing to its source")
    if card.checkpoint is not None:
        return undecided("the weights are the user's own file")
    published = source_of(card).facts(card.model_copy(update={"input": None})).input
    if published is None:
        return undecided("nothing was published with the weights")
    return _compared(card.input, published, "on the card", "published")


def _compared(first: Input, second: Input, first_place: str, second_place: str) -> CheckResult:
    names = type(first).model_fields
    fields = {name: (getattr(first, name), getattr(second, name)) for name in names}
    wrong = [
        f"{name} {a} {first_place}, {b} {second_place}" for name, (a, b) in fields.items() if a != b
    ]
    return failed("; ".join(wrong)) if wrong else passed(f"{len(fields)} fields are equal: {first}")


_SOURCE = (
    "Carlini et al. 2019, section 5 (clean accuracy); wrong order, scale or crop in many ports"
)


MAX_PICTURES = 4
"""Pictures that are decoded a second time."""
MAX_LEVEL_DIFFERENCE = 0.6
"""Mean difference of pixels, of 255 levels, that rounding can cause."""


def same_pixels(evidence: Evidence) -> CheckResult:
    """Decode, resize and crop a few pictures again, with PIL and NumPy only."""
    spec = declared(evidence)
    places = {name: i for i, name in enumerate(evidence.probe.ids)}
    differences: list[float] = []
    for image in evidence.images:
        if len(differences) == MAX_PICTURES:
            break
        picture = _opened(image)
        if picture is None or image.id not in places:
            continue
        by_hand = _cropped(_resized(picture, spec), spec)
        shown = evidence.probe.pixels[places[image.id]].cpu().numpy().transpose(1, 2, 0) * 255.0
        if shown.shape != by_hand.shape:
            return failed(f"{image.id} is {shown.shape[:2]}, by hand {by_hand.shape[:2]}")
        differences.append(float(np.abs(shown - by_hand).mean()))
    if not differences:
        return undecided("no picture is plain RGB or grey")
    text = (
        f"{len(differences)} pictures, prepared again with PIL and NumPy, differ by at most "
        f"{max(differences):.2g} of 255 on the mean of their pixels"
    )
    return passed(text) if max(differences) <= MAX_LEVEL_DIFFERENCE else failed(text)


def _opened(image: Image) -> NDArray[np.uint8] | None:
    """Return pixels (height, width, 3), or None where PIL alone cannot convert to RGB."""
    from PIL import Image as pil

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pil.open(image.path) as file:
            if file.mode not in ("RGB", "L") or "transparency" in file.info:
                return None
            return np.asarray(file.convert("RGB"))


def _resized(picture: NDArray[np.uint8], spec: Input) -> NDArray[np.uint8]:
    from PIL import Image as pil

    if spec.resize is None:
        return picture
    height, width = picture.shape[:2]
    if isinstance(spec.resize, tuple):
        tall, wide = spec.resize
    else:
        # the longer side is cut to whole pixels, as torchvision does
        short, side = min(height, width), spec.resize
        tall, wide = int(side * height / short), int(side * width / short)
    kind = pil.Resampling[spec.interpolation.upper()]
    return np.asarray(pil.fromarray(picture).resize((wide, tall), kind))


def _cropped(picture: NDArray[np.uint8], spec: Input) -> NDArray[np.float64]:
    if spec.crop is None:
        return picture.astype(np.float64)
    tall, wide = (spec.crop, spec.crop) if isinstance(spec.crop, int) else spec.crop
    height, width = picture.shape[:2]
    above, left = max(tall - height, 0) // 2, max(wide - width, 0) // 2
    canvas = np.zeros((max(tall, height), max(wide, width), 3))
    canvas[above : above + height, left : left + width] = picture
    top, start = round((len(canvas) - tall) / 2), round((canvas.shape[1] - wide) / 2)
    return canvas[top : top + tall, start : start + wide]


CHECKS = (
    ValidityCheck(
        id="S3", name="pictures as the card says",
        meaning="Another crop, or a resize without antialiasing, gives the network other pixels.",
        source="Parmar et al. 2022, section 3; resize libraries that do not antialias",
        scope="images", guards=every, run=same_pixels,
    ),
    ValidityCheck(
        id="S3", name="wrapped equals raw",
        meaning="A wrapper with another channel order, scale or mean evaluates another network.",
        source=_SOURCE,
        scope="classifier", guards=every, run=raw_logits,
    ),
    ValidityCheck(
        id="S3", name="preprocessing as declared",
        meaning="A preprocessing other than that of the training lowers accuracy without an error.",
        source=_SOURCE,
        scope="classifier", guards=every, run=as_declared,
    ),
    ValidityCheck(
        id="S3", name="input as published",
        meaning="A card that overrides the published preprocessing needs a reason.",
        source=_SOURCE,
        severity="warn", scope="classifier", guards=every, run=as_published,
    ),
)  # fmt: skip
