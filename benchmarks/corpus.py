"""Pictures by the ten thousand, as heavy to read as ImageNet's: `python benchmarks/corpus.py`.

Each is a crop of one of the twenty packaged photographs, its colours shifted a little, brought to
a size as ImageNet has them. Enlarged photographs are smooth and would make small files that decode
too fast, so grain is added, and quality drawn, until the mean file has about 90 kB. What number
`i` looks like depends on `i`, the seed and the size alone.
"""

# ruff: noqa: T201 - also a script
from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from vision_evals.images import sources

VERSION = 1
"""Raised whenever the same number would give other bytes."""
MARKER = ".corpus.json"
"""Hidden, so neither ImageFolder nor evals takes it for a picture."""
GRAIN, COLOUR = 15, 4
"""Standard deviations of the noise that all channels share, and of each channel's own; of 255."""
SHEET = 1024
"""Side of the sheet of noise in pixels; pictures are smaller."""
CHUNK = 100
"""Pictures a process is sent at once; fewer than that are not worth starting one."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a corpus is made by, as its marker keeps it."""

    n: int
    seed: int
    side: tuple[int, int] | None
    """Height and width of every picture in pixels, or a mixture as ImageNet has it."""
    version: int = VERSION


def make(folder: Path, n: int, *, side: tuple[int, int] | None = None, seed: int = 0) -> Path:
    """Write JPEG files into class folders, `folder/n02108422/000120.jpeg`.

    Files that are there already stay, so a killed call goes on where it was, and one that finished
    is known by its marker. A larger n adds to a smaller corpus.

    Args:
        folder: where; made if need be.
        n: how many, numbered from 0.
        side: height and width of every picture in pixels; None for a mixture as ImageNet has it.
        seed: another makes other pictures.

    Returns:
        The folder.

    Raises:
        ValueError: the folder holds a larger corpus, or one of another seed, side or version; or
            a side is out of range.
    """
    if side and (min(side) < 1 or max(side) >= SHEET):
        raise ValueError(f"sides of {side} pixels; give 1 to {SHEET - 1}")
    recipe, marker = Recipe(n, seed, side), folder / MARKER
    if marker.exists():
        there = json.loads(marker.read_text(encoding="utf-8"))
        done = there.pop("done")
        asked = json.loads(json.dumps(asdict(recipe)))
        if there == asked and done:
            return folder
        if there | {"n": n} != asked or there["n"] > n:
            raise ValueError(f"{folder}: holds the corpus {there}, not {asked}; name another one")
    photographs = sources.load("imagenet_samples", Path()).images
    folder.mkdir(parents=True, exist_ok=True)
    for image in photographs[:n]:  # ImageFolder refuses empty classes
        (folder / str(image.label)).mkdir(exist_ok=True)
    _mark(marker, recipe, done=False)
    known = [(image.path, str(image.label)) for image in photographs]
    jobs = [(i, *known[i % len(known)]) for i in range(n)]
    jobs = [job for job in jobs if not _place(folder, job[2], job[0]).exists()]
    work = functools.partial(_write, folder, recipe)
    if len(jobs) <= CHUNK:
        work(jobs)
    else:
        parts = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
        # spawned: whoever calls may have started threads or CUDA, which a fork does not survive
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(os.cpu_count() or 1, len(parts)), context) as pool:
            list(pool.map(work, parts))
    _mark(marker, recipe, done=True)
    return folder


def _mark(marker: Path, recipe: Recipe, *, done: bool) -> None:
    part = marker.with_suffix(".part")
    part.write_text(json.dumps(asdict(recipe) | {"done": done}), encoding="utf-8")
    part.replace(marker)


def _place(folder: Path, label: str, number: int) -> Path:
    return folder / label / f"{number:06d}.jpeg"


def _write(folder: Path, recipe: Recipe, jobs: Iterable[tuple[int, Path, str]]) -> None:
    for number, photograph, label in jobs:
        place = _place(folder, label, number)
        # under its own name only when whole: a killed call leaves no half picture
        part = place.with_suffix(".part")
        part.write_bytes(_picture(photograph, number, recipe))
        part.replace(place)


def _picture(photograph: Path, number: int, recipe: Recipe) -> bytes:
    rng = np.random.default_rng([recipe.seed, number])
    width, height = recipe.side[::-1] if recipe.side else _size(rng)
    source = _photograph(photograph)
    # the largest window of the new shape that fits, or down to half its sides
    scale = min(source.width / width, source.height / height) * rng.uniform(0.5, 1)
    left = rng.uniform(0, source.width - width * scale)
    top = rng.uniform(0, source.height - height * scale)
    box = (left, top, left + width * scale, top + height * scale)
    picture = source.resize((width, height), Image.Resampling.BILINEAR, box)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    levels = np.arange(256)
    gain, shift = rng.uniform(0.85, 1.15, 3), rng.uniform(-12, 12, 3)
    shifted = gain[:, None] * (levels - 128) + 128 + shift[:, None]
    picture = picture.point(shifted.clip(0, 255).astype(int).ravel().tolist())
    grain = _grain(recipe.seed)
    x, y = (int(rng.integers(0, side)) for side in (grain.width - width, grain.height - height))
    noise = grain.crop((x, y, x + width, y + height))
    picture = ImageChops.add(picture, noise, 1, -128)
    written = BytesIO()
    picture.save(written, "jpeg", quality=int(rng.integers(76, 97)))
    return written.getvalue()


def _size(rng: np.random.Generator) -> tuple[int, int]:
    kind = rng.random()
    if kind < 0.75:
        return (500, 375) if kind < 0.6 else (375, 500)
    width, height = rng.integers(250, 701, 2)
    return int(width), int(height)


@functools.cache
def _photograph(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@functools.cache
def _grain(seed: int) -> Image.Image:
    # one sheet that every picture takes its own window of: drawing anew would take most of the time
    rng = np.random.default_rng([seed, 2**31])
    shared, own = (
        rng.normal(128, GRAIN, (SHEET, SHEET, 1)),
        rng.normal(0, COLOUR, (SHEET, SHEET, 3)),
    )
    return Image.fromarray((shared + own).clip(0, 255).astype(np.uint8))


def main() -> None:
    """Make a corpus, and say how large its files are and how long the call took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("n", type=int)
    parser.add_argument("--side", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    side = (arguments.side[0], arguments.side[1]) if arguments.side else None
    began = time.perf_counter()
    make(arguments.folder, arguments.n, side=side, seed=arguments.seed)
    seconds = time.perf_counter() - began
    sizes = [path.stat().st_size for path in arguments.folder.glob("*/*.jpeg")]
    print(f"{len(sizes):,} files of {np.mean(sizes) / 1000:.1f} kB on average, {seconds:.1f} s")


if __name__ == "__main__":
    main()
