"""The answers of a classifier to eight fixed inputs: what no fingerprint sees shows in them."""

from __future__ import annotations

import base64
import hashlib
import platform

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from vision_evals.log import ProbeAnswers
from vision_evals.log.environment import versions
from vision_evals.models.classifier import Classifier
from vision_evals.models.device import name_of, numerics
from vision_evals.models.fast_path.calibration import (
    MAX_FP32_RELATIVE_ERROR,
    MIN_RELATIVE_ERROR,
    SAFETY_FACTOR,
)

INPUTS = 8
AGAIN = 2
"""Inputs that are answered a second time, in a smaller batch: how far rounding goes."""

MAX_ROUNDINGS = 8
"""How many roundings of a weight's type may be between two answers, where fp32 allows fewer."""

MAX_COLUMNS = 1000
"""Columns of logits that are kept."""

LIBRARIES = ("vision-evals", "python", "torch", "torchvision", "timm", "numpy", "pillow")
"""Libraries that networks compute with."""


def inputs(size: tuple[int, int]) -> Tensor:
    """Return eight pictures (8, 3, height, width) in [0, 1]: squares of noise, coarse to fine."""
    draw = torch.Generator().manual_seed(0)
    pictures = [
        interpolate(torch.rand(1, 3, n, n, generator=draw), size, mode="nearest")
        for n in (2, 4, 7, 14, 28, 56, 112, 224)
    ]
    return torch.cat(pictures)


def probe_answers(classifier: Classifier) -> ProbeAnswers:
    """Return the classifier's logits for the fixed inputs, or why there are none."""
    try:
        return _probe_answers(classifier)
    except Exception as error:  # noqa: BLE001 - a network of any kind may refuse noise
        return ProbeAnswers(unknown=f"{type(error).__name__} on fixed inputs")


def _probe_answers(classifier: Classifier) -> ProbeAnswers:
    pixels = inputs(classifier.geometry.size)
    moved = pixels.to(classifier.device)
    # not in inference mode: a network may make parameters in its first forward, and keep them
    with torch.no_grad(), numerics(classifier.device, "fp32"):
        logits = classifier.logits(moved).float()
        error = float((logits[:AGAIN] - classifier.logits(moved[:AGAIN])).abs().amax())
        largest = float(logits.abs().amax())
    steady = max(MAX_FP32_RELATIVE_ERROR, MAX_ROUNDINGS * torch.finfo(classifier.dtype).eps)
    if not error <= steady * largest:
        return ProbeAnswers(unknown=f"two answers to one input differ by {error:.2g}")
    return ProbeAnswers(
        inputs=hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
        logits=(base64.b64encode(folded(logits).cpu().numpy().tobytes()).decode(),),
        noise=SAFETY_FACTOR * max(error, MIN_RELATIVE_ERROR * largest),
        environment=environment(classifier.device),
    )


def folded(logits: Tensor) -> Tensor:
    """Return at most `MAX_COLUMNS` columns: those whose indices leave one rest are added up."""
    missing = -logits.shape[1] % MAX_COLUMNS
    if logits.shape[1] <= MAX_COLUMNS:
        return logits
    return pad(logits, (0, missing)).reshape(len(logits), -1, MAX_COLUMNS).sum(1)


def environment(device: torch.device) -> dict[str, str]:
    """Return what may move an answer by more than rounding on one machine."""
    installed = versions()
    return {
        "device": f"{device.type} {name_of(device)}",
        "threads": str(torch.get_num_threads()),
        "system": f"{platform.system()} {platform.machine()}",
        **{name: installed[name] for name in LIBRARIES if name in installed},
        "torch": torch.__version__,  # of which kind, too
    }
