"""Image sources that a user may name, and their image sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.images.art import LIST, art
from vision_evals.images.declared import MANIFESTS, sample_of
from vision_evals.images.files import resolve
from vision_evals.images.folders import folder
from vision_evals.images.image_set import Image, ImageSet, collect
from vision_evals.images.kinds import ARCHIVE, SIGNATURES, why_no_picture
from vision_evals.images.labels import class_map
from vision_evals.images.manifests import manifest


def load(source: str, base: Path) -> ImageSet:
    """Find the images that a source stands for; none is decoded.

    Args:
        source: ``imagenet_samples`` (twenty photographs of ImageNet classes that foolbox brings),
            ``art_samples`` (eighteen paintings and prints), ``digits_test`` (360 handwritten
            digits that no recipe trains on), a folder of class folders, a flat folder, one with an
            ``art.toml``, a manifest in CSV or Parquet, or one picture. A folder called
            ``art_samples`` is reached as ``./art_samples``. Folders and manifests may declare what
            they are a sample of (see `vision_evals.images.declared`).
        base: what relative sources start from.

    Raises:
        UserError: there is no such source, or it is ambiguous or unreadable.
    """
    if source in BUILT_IN:
        return collect(source, BUILT_IN[source]())
    path = resolve(source, base, *BUILT_IN)
    if path.is_dir():
        found = art(path) if (path / LIST).is_file() else folder(path)
        return collect(source, found.images, sample_of(path, len(found.images)), found.left_out)
    extension = path.suffix.lower().removeprefix(".")
    if extension in MANIFESTS:
        images = manifest(path)
        return collect(source, images, sample_of(path, len(images)))
    reason = why_no_picture(str(path))
    if reason is None:
        return collect(source, (Image(path.name, path),))
    if reason == ARCHIVE:
        raise UserError(f"{path}: an archive; unpack it, and name the folder")
    raise UserError(
        f"{path}: neither a folder, a manifest ({', '.join(MANIFESTS)}) nor a picture "
        f"({', '.join(SIGNATURES)})"
    )


def _imagenet_samples() -> tuple[Image, ...]:
    synsets = class_map("imagenet", Path()).synsets
    # found without importing foolbox, which would import torch
    spec = find_spec("foolbox")
    if spec is None or spec.origin is None or synsets is None:
        raise UserError("imagenet_samples: the package foolbox is missing; reinstall vision-evals")
    paths = sorted((Path(spec.origin).parent / "data").glob("imagenet_*_*.jpg"))
    return tuple(Image(path.name, path, synsets[int(path.stem.split("_")[2])]) for path in paths)


BUILT_IN: Mapping[str, Callable[[], tuple[Image, ...]]] = {
    "imagenet_samples": _imagenet_samples,
    "art_samples": lambda: art(data_folder("fixtures") / "art").images,
    "digits_test": lambda: folder(data_folder("fixtures") / "digits").images,
}
"""Sources that have a name instead of a path."""
