"""From a plan to a forward: copied, folded, in bf16, compiled, recorded."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vision_evals.core.paths import user_cache
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.bf16 import to_bf16
from vision_evals.models.fast_path.cuda_graph import Forward, Graphed, refuse_waiting
from vision_evals.models.fast_path.fold_batchnorm import fold_batchnorms
from vision_evals.models.fast_path.policy import FastPathPlan


@dataclass(frozen=True, slots=True)
class BuiltForward:
    """A forward from normalised pixels, and how it was built."""

    forward: Forward | None
    """From normalised pixels to logits; None once it was released."""
    folded: int
    compiled: bool
    graphed: bool
    left_out: str
    """The parts of the plan that failed, and why."""


def build_forward(
    classifier: Classifier, plan: FastPathPlan, sample: torch.Tensor, kernels: Path | None
) -> BuiltForward:
    """Return the forward that a plan describes; the classifier's own network stays as it is.

    Args:
        classifier: whose network is copied.
        plan: what to do.
        sample: (n, 3, H, W) pixels in [0, 1], a batch of the usual size.
        kernels: folder in which compiled kernels are kept for later runs.

    Raises:
        Exception: any error of folding or casting.
    """
    pixels = classifier.prepared(sample)
    network, count = classifier.network, 0
    if plan.fold:
        network, count = fold_batchnorms(network)
    elif plan.precision == "bf16":
        network = deepcopy(network)
    forward: Forward = to_bf16(network, pixels) if plan.precision == "bf16" else network
    left, plainly = [], forward
    if plan.compile:
        try:
            forward = compile_forward(forward, pixels, kernels)
            if kernels is not None:
                with contextlib.suppress(OSError):
                    _marker(kernels, classifier, plan.precision).touch()
        except Exception as error:  # noqa: BLE001 - no C++ compiler, an operation it does not know
            left.append(f"not compiled: {brief_error(error)}")
    whole = not left
    if plan.graph:
        try:
            refuse_waiting(plainly, pixels)
            forward = Graphed(forward, pixels)
        except Exception as error:  # noqa: BLE001 - a forward that waits for the device, say
            left.append(f"no graph: {brief_error(error)}")
    graphed = isinstance(forward, Graphed)
    return BuiltForward(forward, count, plan.compile and whole, graphed, "; ".join(left))


def compile_forward(forward: Forward, sample: torch.Tensor, kernels: Path | None) -> Forward:
    """Return a forward with kernels for batches of one shape; others run as they are."""
    frozen: dict[str, Any] = {"freezing": True} if sample.device.type == "cpu" else {}
    fast = torch.compile(forward, dynamic=False, options=frozen)
    with _inductor_cache(kernels), torch.inference_mode():
        fast(sample)

    def either(pixels: torch.Tensor) -> torch.Tensor:
        # a second shape would be compiled for as long as the first
        return fast(pixels) if pixels.shape == sample.shape else forward(pixels)

    return either


def brief_error(error: Exception) -> str:
    """Return the class and the first line of an error."""
    return f"{type(error).__name__}: {str(error).strip().split(chr(10), maxsplit=1)[0][:200]}"


def kernels_cached(kernels: Path | None, classifier: Classifier, precision: str) -> bool:
    """Return whether an earlier run left this network's kernels."""
    return kernels is not None and _marker(kernels, classifier, precision).is_file()


def _marker(kernels: Path, classifier: Classifier, precision: str) -> Path:
    """Kernels depend on structure, device, layout, precision and torch, not on the weights."""
    parts = [repr(classifier.network), classifier.geometry.size, precision, torch.__version__]
    parts += [classifier.device.type, classifier.layout]
    return kernels / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}.kernels"


@contextlib.contextmanager
def _inductor_cache(kernels: Path | None) -> Iterator[None]:
    """Make Inductor write its kernels to a folder."""
    if kernels is None:
        yield
        return
    kernels.mkdir(parents=True, exist_ok=True)
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    os.environ[name] = str(kernels)
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


def user_kernels() -> Path:
    """Return the user's folder of compiled kernels.

    Kernels are code that runs; a project's cache may come from anywhere, such as from CI.
    """
    return user_cache() / "kernels"
