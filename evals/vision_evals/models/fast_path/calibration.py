"""How far a faster path is from the plain one, measured on images that both compute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from vision_evals.models.answers import decision, margin
from vision_evals.models.fast_path.policy import FastPathPlan

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
