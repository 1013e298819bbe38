"""How far a device is from the reference: PIL's pixels, and the plain path on a CPU."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.margins import decision

MIN_IMAGES_ON_CPU = 128
"""Images at least whose logits are computed on the CPU, too: of a few no share can be told."""
IMAGES_PER_FORWARD = 64
"""Images in one forward."""


@dataclass
class Parity:
    """What was found of one classifier in the calibration of a pass; counted on the device."""

    pictures: int = 0
    hosted: int = 0
    _changed: list[torch.Tensor] = field(default_factory=list)
    _hosted_changed: int = 0
    _hosted_error: float = 0.0

    def compare(
        self,
        classifier: Classifier,
        pixels: torch.Tensor,
        plain: torch.Tensor,
        accepted: torch.Tensor | None,
    ) -> None:
        """Look at the same images as the device and as PIL decoded them, and at some on a CPU.

        Args:
            classifier: who looks.
            pixels: (n, 3, H, W) as the device decoded and resized them.
            plain: the same, by PIL.
            accepted: (n, a) right answers padded with -1; None without labels.
        """
        for rows in torch.arange(len(pixels), device=pixels.device).split(IMAGES_PER_FORWARD):  # type: ignore[no-untyped-call]
            try:
                right = None if accepted is None else accepted[rows]
                self._look(classifier, pixels[rows], plain[rows], right)
            except Exception:  # noqa: BLE001 - it is asked the same again, and fails alone there
                return

    def _look(
        self,
        classifier: Classifier,
        pixels: torch.Tensor,
        plain: torch.Tensor,
        accepted: torch.Tensor | None,
    ) -> None:
        with torch.inference_mode():
            seen, wanted = classifier.logits(pixels), classifier.logits(plain)
        self.pictures += len(pixels)
        self._changed.append((decision(seen, accepted) != decision(wanted, accepted)).sum())
        if pixels.device.type != "cpu" and self.hosted < MIN_IMAGES_ON_CPU:
            right = None if accepted is None else accepted.cpu()
            self._host(classifier, plain.cpu(), wanted.cpu(), right)

    def _host(
        self,
        classifier: Classifier,
        pixels: torch.Tensor,
        here: torch.Tensor,
        accepted: torch.Tensor | None,
    ) -> None:
        host = replace(classifier, network=deepcopy(classifier.network)).to("cpu")
        with torch.inference_mode():
            there = host.logits(pixels)
        self.hosted += len(pixels)
        self._hosted_changed += int((decision(here, accepted) != decision(there, accepted)).sum())
        self._hosted_error = max(self._hosted_error, float((here - there).abs().amax()))

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the log."""
        return {
            "pictures": self.pictures,
            "pictures_changed": int(sum(map(int, self._changed))),
            "hosted": self.hosted,
            "hosted_changed": self._hosted_changed,
            "hosted_error": self._hosted_error if self.hosted else None,
        }
