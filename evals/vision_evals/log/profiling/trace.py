"""A trace of the first batches of a pass, by torch's profiler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vision_evals.core.progress import Advance
from vision_evals.log.profiling.stages import traces

TRACED_BATCHES = 8
"""Batches in a trace: that of a whole run would have gigabytes."""


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

    def count(n: int, message: str = "") -> None:
        nonlocal batches
        batches += bool(n)
        if n and batches == TRACED_BATCHES:
            profiler.stop()
        advance(n, message)

    try:
        yield count
    finally:
        if batches < TRACED_BATCHES:
            profiler.stop()
        profiler.export_chrome_trace(str(file))
        traces(file)
