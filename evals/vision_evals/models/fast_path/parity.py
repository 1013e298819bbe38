"""How far a device differs from the reference: PIL's pixels, and the plain path on a CPU."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vision_evals.models.answers import decision
from vision_evals.models.classifier import Classifier

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
