"""Distinct pictures of realistic sizes, from the photographs that foolbox brings."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from vision_evals import log
from vision_evals.engine.pictures import WEBP_QUALITY, Sample, file_name, pick
from vision_evals.measures.intervals import generator
from vision_evals.measures.measure import Measure

SIDE = 224
COUNT = 8
"""Pictures a check and network."""

Pixels = NDArray[np.uint8]


@functools.cache
def _photographs() -> tuple[Pixels, ...]:
    spec = importlib.util.find_spec("foolbox")
    assert spec is not None
    assert spec.origin is not None
    files = sorted((Path(spec.origin).parent / "data").glob("imagenet_*.jpg"))
    return tuple(np.asarray(Image.open(file).convert("RGB").resize((256, 256))) for file in files)


def photograph(image: str) -> Pixels:
    """Return (SIDE, SIDE, 3) of an image: always the same crop of one of the photographs."""
    rng = generator(0, "photograph", image)
    whole = _photographs()[rng.integers(len(_photographs()))]
    top, left = rng.integers(0, whole.shape[0] - SIDE, 2)
    crop = whole[top : top + SIDE, left : left + SIDE]
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def _triptych(image: str, levels: int) -> Pixels:
    """Return image, perturbation and adversarial side by side."""
    clean = photograph(image).astype(np.int64)
    signs = generator(0, "signs", image).choice([-1, 1], (SIDE // 2, SIDE // 2, 3))
    signs = signs.repeat(2, axis=0).repeat(2, axis=1)  # gradients are smoother than noise
    moved = np.clip(clean + levels * signs, 0, 255)
    return np.concatenate([clean, 128 + 90 * signs, moved], axis=1).astype(np.uint8)


def drawn(
    measure: Measure, rows: pd.DataFrame, names: Sequence[str], directory: Path, prefix: str
) -> tuple[log.Picture, ...]:
    """Return the pictures of a check, written below ``directory/pictures``."""
    if measure.badness is None:
        return ()
    picked = pick(measure.badness(rows), COUNT, gallery=measure.gallery)
    return tuple(_drawn(measure, picked, rows, names, directory, prefix))


def _drawn(
    measure: Measure,
    picked: Mapping[str, Sample],
    rows: pd.DataFrame,
    names: Sequence[str],
    directory: Path,
    prefix: str,
) -> Iterator[log.Picture]:
    shown = rows[rows["image"].isin(list(picked))].drop_duplicates("image").set_index("image")
    for image, sample in picked.items():
        row, file = shown.loc[image], file_name(prefix, image)
        moved = measure.axis is not None
        pixels = _triptych(image, 2) if moved else photograph(image)
        Image.fromarray(pixels).save(directory / file, quality=WEBP_QUALITY)
        answer = names[row["top5"][0] if "top5" in row else row["label"]]
        titles = ("image", "perturbation x 64", "adversarial at 2/255") if moved else ()
        yield log.Picture(
            image=image,
            file=file,
            sample=sample,
            caption=f"seen as {answer} {row['confidence']:.2f}",
            panels=tuple(
                log.Panel(
                    title=title,
                    answer=answer,
                    confidence=row["confidence"],
                    original=title == "image",
                )
                for title in titles
            ),
        )
