"""Image sets, the passes over them, and the path that their forwards took."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

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


class Unreadable(Record):
    """A picture that could not be decoded."""

    image: str
    """Its id."""
    reason: str
    """What is wrong with it."""


class LeftOut(Record):
    """Files and folders below a source that are no images of the set, for one reason."""

    reason: str
    """Such as ``folders that are never data``."""
    n: int
    """How many."""
    names: tuple[str, ...]
    """The first of them."""
    usual: bool = False
    """Whether such files lie beside pictures everywhere, and need no remark."""

    def __str__(self) -> str:
        """Return reason, count and names."""
        more = ", ..." if self.n > len(self.names) else ""
        return f"{self.reason}: {self.n:,} ({', '.join(self.names)}{more})"


class ImageSet(Record):
    """Which images a role stood for."""

    role: str
    """Such as ``photographs``."""
    source: str
    """As the user named it: ``imagenet_samples``, a folder, a manifest."""
    n: int
    """Images in it after the limit."""
    total: int
    """Images in it before the limit."""
    limit: int | None = None
    """``--evals-limit``; a limited run is never gated against a full one."""
    sample_of: str | None = None
    """Class map, such as ``imagenet``, of which they are declared to be a random sample: published
    accuracies are compared with such images only."""
    fingerprint: str | None = None
    """Of ids, bytes and labels; null when the pass did not finish."""
    table: str | None = None
    """Of a part of a run: all images with what the fingerprint is made of, below the run
    directory."""
    unreadable: tuple[Unreadable, ...] = ()
    """Pictures left out, with reasons."""
    left_out: tuple[LeftOut, ...] = ()
    """What lies below the source and is no image of the set, by reason; hidden files included."""
    about: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Image id to what is known of it: title, artist, year, shift, source."""
    oriented: int = 0
    """Pictures whose EXIF orientation was ignored, as in the published numbers."""


class PassRecord(Record):
    """Where the time of one pass went, and how it was computed."""

    images: str
    """Role of the image set."""
    batch_size: int | None = None
    """Images in one forward; null in older logs."""
    n: int
    """Images seen."""
    seconds: float
    """From first to last image."""
    decode_seconds: float
    """Reading, decoding and resizing, added over threads."""
    wait_seconds: float
    """How long the networks waited for pixels."""
    forward_seconds: float
    """Networks and measures."""
    rows_seconds: float
    """Moving rows to the host and to disk."""
    picture_seconds: float = 0.0
    """Drawing the pictures of the report, after the pass."""
    decoder: Literal["pil", "nvjpeg"] = "pil"
    """Which decoder read and resized the JPEGs that a device can decode; PIL reads all others."""
    on_device: int = 0
    """Pictures that a device decoded."""
    pixel_difference: float | None = None
    """Mean absolute difference of those of the calibration from PIL's, of 255."""
    fitting: dict[str, int] = Field(default_factory=dict)
    """Classifier to how many images fit into memory at once, where a batch did not."""
    fast_paths: tuple[FastPath, ...] = ()
    """How each classifier's forwards were computed."""
    validity_seconds: float = 0.0
    """Validity checks, after the pass."""
