"""The variations that are run on a machine, and those that it does not have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import get_args

import torch

from vision_evals.core.errors import UserError
from vision_evals.log import Precision
from vision_evals.models.device import default_batch, numerics, resolve
from vision_evals.verdict.noise_floor import Variation

BATCHES = (1, 16)
"""Batch sizes in addition to the device's own."""


def plan(*, whole: int | None = None) -> tuple[tuple[Variation, ...], tuple[str, ...]]:
    """Return the variations by precision, the reference of each first, and what is missing.

    The reference is what a run does by default: the device of ``auto``, its batch size, all
    threads. On a GPU the number of threads changes nothing and is not varied.

    Args:
        whole: how many threads are all; None for torch's own number.

    Returns:
        variations, and what this machine cannot do, with the reason.
    """
    threads = whole or torch.get_num_threads()
    devices = dict.fromkeys((resolve("auto"), torch.device("cpu")))
    variations: list[Variation] = []
    missing: dict[str, None] = {}
    if threads == 1:
        reason = "OMP_NUM_THREADS is 1" if os.environ.get("OMP_NUM_THREADS") == "1" else "one core"
        missing[f"threads: torch uses one here ({reason})"] = None
    if len(devices) == 1:
        missing["cuda: there is no CUDA device here"] = None
    for precision in get_args(Precision):
        for device in devices:
            try:
                with numerics(device, precision):
                    pass
            except UserError as error:
                missing[str(error)] = None
                continue
            counts = (threads,) if device.type != "cpu" else (threads, 1)
            variations += [
                Variation(device=str(device), precision=precision, batch_size=batch, threads=count)
                for count in dict.fromkeys(counts)
                for batch in dict.fromkeys((default_batch(device), *BATCHES))
            ]
    return tuple(variations), tuple(missing)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with so many threads, then restore torch's number."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
