"""A clean pass over files beside the usual loop, and beside what its parts alone would allow."""

# ruff: noqa: T201 - of a script, and a table is what it is for
from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from subjects import classifier_of, fast_path_of, theirs

if TYPE_CHECKING:
    import torch

    from vision_evals.engine.tasks import TaskGroup
    from vision_evals.images.image_set import ImageSet


@dataclass(frozen=True, slots=True)
class PassResult:
    """How fast a pass was."""

    rate: float
    """Images/s of all."""
    steady: float
    """Images/s of the last three quarters of its batches."""


def clean(names: Sequence[str], folder: Path, asked: argparse.Namespace) -> None:
    """Print a pass of several networks together."""
    import torch

    from vision_evals.images import sources
    from vision_evals.models.device import numerics

    device = torch.device(asked.device)
    image_set = sources.load(str(folder), Path())
    with numerics(device, asked.precision):
        pairs = [_station(name, image_set, device, asked) for name in names]
        groups = [group for group, _ in pairs]
        limit, said = _limit(groups, sum(1 / rate for _, rate in pairs), image_set, device)
        found = _walked(groups, image_set, device)
        loop = _usual_loop(groups, folder, device, min(len(image_set.images), asked.peer_images))
    print(
        f"| clean pass from {len(image_set.images):,} JPEGs | {' + '.join(names)} | "
        f"{found.rate:,.1f} images/s (steady {found.steady:,.1f}) | DataLoader: "
        f"{found.rate / loop:.2f} times ({loop:,.1f} images/s, {os.cpu_count()} workers) | | "
        f"{found.rate / limit:.2f} of the limit {limit:,.1f}/s ({said}); steady "
        f"{found.steady / limit:.2f} |",
        flush=True,
    )


def _station(
    name: str, image_set: ImageSet, device: torch.device, asked: argparse.Namespace
) -> tuple[TaskGroup, float]:
    """Return a classifier on its lane, warmed, and how many images/s its forwards alone reach."""
    import torch
    from peers import forward_alone

    from vision_evals.engine.tasks import Task, TaskGroup
    from vision_evals.images.labels import targets
    from vision_evals.measures import accuracy
    from vision_evals.measures.probe import answers
    from vision_evals.models.device import default_batch

    classifier = classifier_of(name, asked.device)
    forwards = max(asked.planned, len(image_set.images))
    fast_path = fast_path_of(classifier, forwards, asked.precision, asked.kernels)
    batch = default_batch(device, classifier.geometry.area, gradients=False)
    x = torch.rand(batch, 3, *classifier.geometry.size, device=device)
    started = time.perf_counter()
    fast_path.fast_logits(x)
    if device.type == "cuda":
        torch.cuda.synchronize()
    warmed = time.perf_counter() - started
    rate = forward_alone(fast_path.fast_logits, x, 5)
    print(
        f"| forward alone | {name} | {rate:,.0f} images/s | | | {fast_path.plan.because}; to warm "
        f"{warmed:.1f} s |",
        flush=True,
    )
    known = answers(targets(image_set, classifier.classes))
    task = Task(accuracy.MEASURE, accuracy.Parameters(), name)
    return TaskGroup(classifier, known, (task,), fast_path), rate


def _limit(
    groups: Sequence[TaskGroup], forwards: float, image_set: ImageSet, device: torch.device
) -> tuple[float, str]:
    """Return the images/s that nothing can exceed, given seconds of forwards an image, and why."""
    from peers import decode_alone, decode_device_alone

    paths = [image.path for image in image_set.images[:512]]
    geometries = {group.classifier.geometry for group in groups}
    decode = min(decode_alone(paths, 1, g.resize, g.crop) for g in geometries)
    print(f"| decode alone, PIL, one thread | | {decode:,.0f} images/s | | | |")
    if device.type == "cuda":
        fast = decode_device_alone(paths, device, 256)
        print(f"| decode alone, on the device | | {fast:,.0f} images/s | | | |")
        return 1 / forwards, "1 / sum of forwards"
    cores = os.cpu_count() or 1
    return 1 / (forwards + 1 / decode / cores), "1 / (forwards + decode / cores)"


def _walked(groups: Sequence[TaskGroup], image_set: ImageSet, device: torch.device) -> PassResult:
    """Walk as a run does, and return how fast."""
    from vision_evals.engine.loop import run_loop
    from vision_evals.engine.tasks import PassResult as Left
    from vision_evals.models.device import default_batch

    area = max(group.classifier.geometry.area for group in groups)
    batch, stamps = default_batch(device, area, gradients=False), [(time.perf_counter(), 0)]

    def advance(images: int, _message: str = "") -> None:
        stamps.append((time.perf_counter(), images))

    with tempfile.TemporaryDirectory() as place:
        run_loop(
            image_set, tuple(groups), device=device, batch_size=batch, seed=0,
            directory=Path(place), advance=advance, result=Left(),
        )  # fmt: skip
        seconds = time.perf_counter() - stamps[0][0]
    quarter = len(stamps) // 4
    later = sum(images for _, images in stamps[quarter + 1 :])
    steady = later / (stamps[-1][0] - stamps[quarter][0])
    return PassResult(len(image_set.images) / seconds, steady)


def _usual_loop(
    groups: Sequence[TaskGroup], folder: Path, device: torch.device, images: int
) -> float:
    """Return the images/s of a loop with a DataLoader for each network, one after the other."""
    from peers import as_loaded, loader_loop, usual_transform

    seconds = 0.0
    for group in groups:
        given = group.classifier.input
        # normalised within the network
        transform = usual_transform(given.resize, given.crop, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        loop = loader_loop(
            folder, as_loaded(theirs(group.classifier)), transform, device,
            workers=os.cpu_count() or 1, batch_size=min(64, images), limit=images,
        )  # fmt: skip
        seconds += loop.seconds / loop.images
    return 1 / seconds
