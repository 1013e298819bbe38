"""The path of a classifier's forwards where no gradient is needed."""

from __future__ import annotations

from typing import Literal

from vision_evals.log.record import Precision, Record


class FastPath(Record):
    """How forwards alone were computed, and how far that is from the plain path.

    The plain path is the network as it was loaded, run by torch operation for operation, at the
    precision of gradients. Calibrating answers and repeated ones are the plain path's own.
    """

    classifier: str
    """Name of the classifier."""
    precision: Precision
    """Of the layers after the first."""
    layout: Literal["channels_last", "contiguous"]
    """Order of the channels in memory, on either path."""
    folded: int = 0
    """Batch norms that were folded into the convolution before them."""
    compiled: bool = False
    """Whether ``torch.compile`` made the kernels."""
    graphed: bool = False
    """Whether full batches replay a CUDA graph."""
    because: str
    """The rule that chose, with its numbers."""
    refused: str | None = None
    """Why the plain path was taken after all."""
    build_seconds: float = 0.0
    """Copying, folding, compiling and the first forward."""
    device: str = "cpu"
    """Kind of the device."""
    pictures: int = 0
    """Images of which the device's decoder and PIL gave pixels to compare."""
    pictures_changed: int = 0
    """Of those, how many decisions on clean pixels differed."""
    hosted: int = 0
    """Images whose logits were computed on the CPU too; only where that is not the device."""
    hosted_changed: int = 0
    """Of those, how many decisions differed."""
    hosted_error: float | None = None
    """Largest difference of a logit there."""
    images: int = 0
    """Images of the calibration, from the first of the pass on."""
    logit_error: float | None = None
    """Largest difference of a logit from the plain path's there."""
    bound: float | None = None
    """Margin under which an answer is repeated on the plain path: three times that, or twelve
    roundings of the largest logit in fp32 where they are more."""
    calibrated: int = 0
    """Answers of the calibration: images times points of a sweep."""
    calibrated_changed: int = 0
    """Of those, how many decisions differed: by margins under ``bound``, so that later all of them
    would be repeated."""
    answers: int = 0
    """Answers after the calibration."""
    repeated: int = 0
    """Of those, how many were under ``bound``."""
    rechecked: int = 0
    """Of the others, how many were drawn at random (1 %) and looked at on the plain path too."""
    changed: int = 0
    """Of the rechecked, how many decisions differed."""

    @property
    def plain(self) -> bool:
        """Whether every answer is the plain path's, as all of a calibration are."""
        return not self.answers
