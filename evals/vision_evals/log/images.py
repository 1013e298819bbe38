"""Image sets, and the passes over them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vision_evals.log.fast_path import FastPath
from vision_evals.log.record import Record


class Unreadable(Record):
    """A picture that could not be decoded."""

    image: str
    """Its id."""
    reason: str
    """What is wrong with it."""


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
