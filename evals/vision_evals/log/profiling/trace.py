"""A trace of the first batches of a pass, by torch's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vision_evals.log.profiling.stages import traces

TRACED_BATCHES = 8
"""Batches in a trace: that of a whole run would have gigabytes."""

Advance = Callable[[int], None]


@contextlib.contextmanager
def traced(file: Path | None, advance: Advance) -> Iterator[Advance]:
    """Yield a function that counts batches; the trace is written after the first of them.

    Args:
        file: ``.json`` for chrome://tracing or Perfetto; None: nothing is traced.
        advance: called for every batch.
    """
    if file is None:
        yield advance
        return
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    profiler: Any = torch.profiler.profile(activities=activities)
    batches = 0
    profiler.start()

    def count(images: int) -> None:
        nonlocal batches
        batches += 1
        if batches == TRACED_BATCHES:
            profiler.stop()
        advance(images)

    try:
        yield count
    finally:
        if batches < TRACED_BATCHES:
            profiler.stop()
        profiler.export_chrome_trace(str(file))
        traces(file)
