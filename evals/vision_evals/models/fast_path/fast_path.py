"""The fast path: forwards of one classifier without gradients, with the decisions of fp32."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vision_evals import log
from vision_evals.core.errors import contained
from vision_evals.core.rng import generator
from vision_evals.log.profiling.stages import timed
from vision_evals.models.answers import decision, margin
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.build import BuiltForward, brief_error, build_forward
from vision_evals.models.fast_path.calibration import Calibration, Parity
from vision_evals.models.fast_path.policy import FastPathPlan
from vision_evals.suite.declared_options import SEED

RECHECKED_SHARE = 0.01
"""Share of the other answers that are drawn and computed on the plain path too."""

Pixels = Callable[[torch.Tensor], torch.Tensor]
"""From rows (r,), ascending indices, to their pixels (r, 3, H, W)."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What one process counts on a fast path."""

    answers: int
    tallies: tuple[torch.Tensor, ...]
    used: bool
    refused: str | None


@dataclass
class FastPath:
    """Computes logits on the plan's path, and measures how far it is from the plain one.

    The first images are computed on both paths, and the plain one gives the answers. After that,
    the plain path repeats each answer whose margin is under three times the largest logit error so
    far (at least four roundings of fp32), and a random 1 % of the others. So no decision is known
    to differ, be it whether an answer is right or, without labels, which one it is; and the share
    of unknown differences is estimated.
    """

    classifier: Classifier
    plan: FastPathPlan
    seed: int = SEED
    kernels: Path | None = None
    """Folder of compiled kernels."""
    refused: str | None = None
    """Why the plain path is used after all."""
    seconds: float = 0.0
    """How long building it took."""
    parity: Parity = field(default_factory=Parity)
    """The comparison of the device with the reference."""
    used: bool = False
    """Whether it computed any logits."""
    calibration: Calibration = field(init=False)
    _built: BuiltForward | None = None
    _answers: int = 0
    """How many, after the calibration."""
    _tallies: list[torch.Tensor] = field(default_factory=list)
    """Counts (repeated, rechecked, changed), on the device until `record`."""

    def __post_init__(self) -> None:
        """Begin its calibration."""
        self.calibration = Calibration(self.plan)

    @property
    def fast(self) -> bool:
        """Whether the plan's path is used."""
        return self.refused is None and not self.plan.plain

    @property
    def calibrating(self) -> bool:
        """Whether answers are still computed on both paths."""
        return self.calibration.calibrating

    def fast_logits(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) in fp32 of pixels (n, 3, H, W), not settled yet."""
        self.used = True
        if self.fast and (self._built is None or self._built.forward is None):
            self._build(pixels)
        forward = self._built.forward if self.fast and self._built is not None else None
        with torch.inference_mode(), timed("forward"):
            if forward is not None:
                try:
                    with contained():
                        output = forward(self.classifier.prepared(pixels))
                    return self.classifier.checked(output, len(pixels))
                except torch.OutOfMemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - the plain path raises the network's own
                    self.refused = brief_error(error)
            return self.classifier.logits(pixels)

    def settle(
        self,
        logits: torch.Tensor,
        accepted: torch.Tensor | None,
        pixels: Pixels,
        names: tuple[str, ...],
        batch_size: int,
    ) -> torch.Tensor:
        """Return the logits; close decisions are computed again on the plain path.

        Args:
            logits: (m, classes) of `see`.
            accepted: (m, a) right answers padded with -1; None without labels.
            pixels: of what the logits are.
            names: seed the choice of answers that are rechecked.
            batch_size: images in one forward.
        """
        if not self.fast:
            return logits
        m = len(logits)
        if self.calibrating:
            rows = torch.arange(m, device=logits.device)
            exact = self._exact(rows, pixels, batch_size)
            self.calibration.compare(logits, exact, accepted)
            return exact
        close = ~(margin(logits, accepted) >= self.calibration.bound)  # NaN counts as close
        draws = torch.rand(m, generator=generator(self.seed, "lane", *names)) < RECHECKED_SHARE
        drawn = draws.to(logits.device, non_blocking=True)
        rows = torch.nonzero(close | drawn)[:, 0]
        self._answers += m
        if not len(rows):
            return logits
        exact = self._exact(rows, pixels, batch_size)
        right = None if accepted is None else accepted[rows]
        differs = decision(logits[rows], right) != decision(exact, right)
        sure = ~close[rows]
        self._tallies.append(torch.stack([(~sure).sum(), sure.sum(), (sure & differs).sum()]))
        return logits.index_copy(0, rows, exact)

    def count_images(self, images: int) -> None:
        """Count the images of a batch; after those of the calibration the bound is known."""
        if self.fast:
            self.refused = self.calibration.count(images)

    def take_counts(self) -> Counts:
        """Return what was counted since the last call, in a process that shares a pass."""
        counts = Counts(self._answers, tuple(self._tallies), self.used, self.refused)
        self._answers, self._tallies, self.used = 0, [], False
        return counts

    def add_counts(self, counts: Counts) -> None:
        """Add what such a process counted."""
        self._answers += counts.answers
        self._tallies += counts.tallies
        self.used |= counts.used
        self.refused = self.refused or counts.refused

    def release(self) -> None:
        """Free the copy, its kernels and its graph; the measurements stay."""
        if self._built is not None:
            self._built = replace(self._built, forward=None)

    def _build(self, pixels: torch.Tensor) -> None:
        started = time.perf_counter()
        try:
            with contained():
                self._built = build_forward(self.classifier, self.plan, pixels, self.kernels)
        except torch.OutOfMemoryError:
            self.refused = "the device has no memory for its copy"
        except Exception as error:  # noqa: BLE001 - a network of any kind may refuse
            self.refused = brief_error(error)
        self.seconds += time.perf_counter() - started

    def _exact(self, rows: torch.Tensor, pixels: Pixels, batch_size: int) -> torch.Tensor:
        with torch.inference_mode():
            parts = torch.split(rows, batch_size)
            return torch.cat([self.classifier.logits(pixels(part)) for part in parts])

    def record(self) -> log.FastPath:
        """Return the entry in the log."""
        fields = self.calibration.log_fields()
        if self._tallies:
            tally = torch.stack(self._tallies).sum(dim=0).tolist()
            fields |= dict(zip(("repeated", "rechecked", "changed"), tally, strict=True))
        # also for a path that was given up after it had given answers
        path, fast = self._built, self.fast or bool(self._answers)
        return log.FastPath(
            classifier=self.classifier.name,
            precision=self.plan.precision if fast or self.plan.precision == "tf32" else "fp32",
            layout=self.classifier.layout,
            folded=path.folded if path and fast else 0,
            compiled=bool(path and fast and path.compiled),
            graphed=bool(path and fast and path.graphed),
            because="; ".join(filter(None, [self.plan.because, path.left_out if path else ""])),
            refused=self.refused,
            build_seconds=self.seconds,
            answers=self._answers,
            device=self.classifier.device.type,
            **self.parity.log_fields(),
            **fields,
        )
