"""A trace of the first batches of a pass, by torch's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vision_evals.log.profiling.stages import traces

TRACED = 8
"""Batches in a trace: of a whole run it would be gigabytes."""

Advance = Callable[[int], None]


@contextlib.contextmanager
def traced(file: Path | None, advance: Advance) -> Iterator[Advance]:
    """Yield a way to tell of batches, after the first of which the trace is written.

    Args:
        file: ``.json`` for chrome://tracing or Perfetto; None: nothing is traced.
        advance: told of every batch.
    """
    if file is None:
        yield advance
        return
    activities = [torch.profiler.ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    profiler: Any = torch.profiler.profile(activities=activities)
    seen = 0
    profiler.start()

    def told(images: int) -> None:
        nonlocal seen
        seen += 1
        if seen == TRACED:
            profiler.stop()
        advance(images)

    try:
        yield told
    finally:
        if seen < TRACED:
            profiler.stop()
        profiler.export_chrome_trace(str(file))
        traces(file)
