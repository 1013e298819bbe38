"""How far a faster path, or another device, is from the plain path on a CPU: measured on images."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vision_evals.models.answers import decision, margin
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.policy import FastPathPlan

MIN_IMAGES_ON_CPU = 128
"""Least number of images whose logits a CPU computes too: fewer give no useful share."""
IMAGES_PER_FORWARD = 64
"""Images in one forward."""


@dataclass
class Parity:
    """The comparison for one classifier in the calibration of a pass; counted on the device."""

    pictures: int = 0
    hosted: int = 0
    _changed: list[Tensor] = field(default_factory=list)
    _hosted_changed: int = 0
    _hosted_error: float = 0.0

    def compare(
        self, classifier: Classifier, pixels: Tensor, plain: Tensor, accepted: Tensor | None
    ) -> None:
        """Compare the decisions for pictures that the device and PIL decoded, some also on a CPU.

        Args:
            classifier: gives the logits.
            pixels: (n, 3, H, W) as the device decoded and resized them.
            plain: the same pictures, decoded and resized by PIL.
            accepted: (n, a) right answers padded with -1; None without labels.
        """
        for rows in torch.arange(len(pixels), device=pixels.device).split(IMAGES_PER_FORWARD):  # type: ignore[no-untyped-call]
            right = None if accepted is None else accepted[rows]
            try:
                with torch.inference_mode():
                    self._compare(classifier, pixels[rows], plain[rows], right)
            except Exception:  # noqa: BLE001 - the network's own forward fails again, and reports it
                return

    def _compare(
        self, classifier: Classifier, pixels: Tensor, plain: Tensor, right: Tensor | None
    ) -> None:
        logits, reference = classifier.logits(pixels), classifier.logits(plain)
        self.pictures += len(pixels)
        self._changed.append((decision(logits, right) != decision(reference, right)).sum())
        if pixels.device.type == "cpu" or self.hosted >= MIN_IMAGES_ON_CPU:
            return
        host = replace(classifier, network=deepcopy(classifier.network)).to("cpu")
        logits, reference = reference.cpu(), host.logits(plain.cpu())
        right = None if right is None else right.cpu()
        self.hosted += len(pixels)
        self._hosted_changed += int((decision(logits, right) != decision(reference, right)).sum())
        self._hosted_error = max(self._hosted_error, float((logits - reference).abs().amax()))

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the log."""
        return {
            "pictures": self.pictures,
            "pictures_changed": int(sum(map(int, self._changed))),
            "hosted": self.hosted,
            "hosted_changed": self._hosted_changed,
            "hosted_error": self._hosted_error if self.hosted else None,
        }


SAFETY_FACTOR = 3
"""Answers with a margin under this times the largest error of a logit are repeated. Two logits that
err by it in opposite ways move a margin by twice as much; the third is reserve."""
MIN_RELATIVE_ERROR = 4 * torch.finfo(torch.float32).eps
"""Lower bound of the error, as a share of the largest logit. A calibration compares batches
of one size; in a batch of another size the plain path itself adds in another order, which moved
SqueezeNet's logits by up to two roundings (batches of 4 and of 20, one thread)."""
MAX_REPEATED_SHARE = 0.5
"""Share of answers that would have to be repeated above which the fast path is given up."""

MAX_FP32_RELATIVE_ERROR = 1e-3
"""Share of the largest logit that an error by rounding in fp32 may reach."""


@dataclass
class Calibration:
    """The comparison of both paths on the first images; counted on the device."""

    plan: FastPathPlan
    images: int = 0
    bound: float = 0.0
    """Margin under which an answer is not sure; known after these images."""
    _error: torch.Tensor | None = None
    _largest: torch.Tensor | float = 0.0
    """Largest absolute logit of the plain path."""
    _pairs: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """Margins, and whether the decision differs."""

    @property
    def calibrating(self) -> bool:
        """Whether answers are still computed on both paths."""
        return self.images < self.plan.calibrating

    def compare(
        self, fast: torch.Tensor, exact: torch.Tensor, accepted: torch.Tensor | None
    ) -> None:
        """Compare the logits (m, classes) of both paths.

        Args:
            fast: of the faster one.
            exact: of the plain one.
            accepted: (m, a) right answers padded with -1; None without labels.
        """
        error = (fast - exact).abs().amax().nan_to_num(nan=torch.inf)
        self._error = error if self._error is None else torch.maximum(error, self._error)
        self._largest = torch.maximum(exact.abs().amax(), torch.as_tensor(self._largest))
        differs = decision(fast, accepted) != decision(exact, accepted)
        self._pairs.append((margin(fast, accepted), differs))

    def count(self, images: int) -> str | None:
        """Count the images of a batch, and return why the path cannot be used, or None."""
        if not self.calibrating or self._error is None:
            return None
        self.images += images
        error = float(self._error)
        self.bound = SAFETY_FACTOR * max(error, MIN_RELATIVE_ERROR * float(self._largest))
        if not error < torch.inf:
            return "its logits are not finite on the fast path"
        if self.plan.precision != "bf16" and error > MAX_FP32_RELATIVE_ERROR * float(self._largest):
            return f"its logits differ by {error:.2g} on the fast path, which is no rounding"
        margins = torch.cat([pair[0] for pair in self._pairs])
        if float((margins < self.bound).float().mean()) > MAX_REPEATED_SHARE:
            return f"half of the answers are within {self.bound:.3g} of another decision"
        return None

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the log."""
        if self._error is None:
            return {}
        differs = torch.cat([pair[1] for pair in self._pairs])
        error = float(self._error)
        return {
            "images": self.images,
            "logit_error": error if error < torch.inf else None,
            "bound": self.bound if error < torch.inf else None,
            "calibrated": len(differs),
            "calibrated_changed": int(differs.sum()),
        }
