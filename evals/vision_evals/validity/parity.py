"""Whether a classifier is fed what its card, or who published its weights, says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from vision_evals.core.errors import NotApplicableError
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
    from vision_evals.models.card import Input

MAX_IMAGES = 8
"""Images that are prepared by hand."""


def declared(evidence: Evidence) -> Input:
    """Return what the card says, else the source; never what the classifier holds."""
    classifier = evidence.classifier
    card = classifier.card
    if card.recipe is not None:
        raise NotApplicableError("trained here: no card says how its pictures are prepared")
    return preprocessing(classifier.alias, card, source_of(card).facts(card))


def raw_logits(evidence: Evidence) -> CheckResult:
    """Prepare the pixels by hand and feed the bare network."""
    said, classifier = declared(evidence), evidence.classifier
    pixels = evidence.probe.pixels[:MAX_IMAGES]
    planes = pixels.detach().cpu().numpy().astype(np.float64)
    planes = planes[:, ::-1] if said.channels == "bgr" else planes
    mean, std = (np.array(three)[None, :, None, None] for three in (said.mean, said.std))
    prepared = np.ascontiguousarray((planes * said.range - mean) / std, dtype=np.float32)
    with exact_fp32(pixels.device):
        with torch.inference_mode():
            raw = classifier.network(torch.from_numpy(prepared).to(pixels.device))
        share = logit_difference(logits_of(classifier, pixels), raw)
    evidence_said = (
        f"logits of {len(pixels)} images differ from those of the bare network, fed by hand, by "
        f"{share:.2g} of the largest"
    )
    return passed(evidence_said) if share < SAME_LOGITS else failed(evidence_said)


def as_declared(evidence: Evidence) -> CheckResult:
    """Compare the preprocessing in force with the declared one."""
    return _compared(evidence.classifier.input, declared(evidence), "in force", "declared")


def as_published(evidence: Evidence) -> CheckResult:
    """Compare a card's own preprocessing with what was published with the weights."""
    card = evidence.classifier.card
    if card.input is None:
        return undecided("the card leaves the preprocessing to its source")
    if card.checkpoint is not None:
        return undecided("the weights are a file of the user's own")
    published = source_of(card).facts(card.model_copy(update={"input": None})).input
    if published is None:
        return undecided("nothing was published with the weights")
    return _compared(card.input, published, "on the card", "published")


def _compared(one: Input, other: Input, here: str, there: str) -> CheckResult:
    fields = {name: (getattr(one, name), getattr(other, name)) for name in type(one).model_fields}
    wrong = [f"{name} {a} {here}, {b} {there}" for name, (a, b) in fields.items() if a != b]
    return failed("; ".join(wrong)) if wrong else passed(f"{len(fields)} fields are equal: {one}")


_SOURCE = (
    "Carlini et al. 2019, section 5 (clean accuracy); wrong order, scale or crop in many ports"
)

CHECKS = (
    ValidityCheck(
        id="S3", name="wrapped equals raw",
        meaning="A wrapper that feeds another order, scale or mean judges another network.",
        source=_SOURCE,
        scope="classifier", guards=every, run=raw_logits,
    ),
    ValidityCheck(
        id="S3", name="preprocessing as declared",
        meaning="Pictures that are prepared otherwise than the network was trained with cost "
        "accuracy silently.",
        source=_SOURCE,
        scope="classifier", guards=every, run=as_declared,
    ),
    ValidityCheck(
        id="S3", name="input as published",
        meaning="A card that overrides the published preprocessing should know why.",
        source=_SOURCE,
        severity="warn", scope="classifier", guards=every, run=as_published,
    ),
)  # fmt: skip
