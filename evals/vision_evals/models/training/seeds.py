"""Random numbers that follow from a recipe's seed alone; global generators stay as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vision_evals.core.rng import generator


def training_rng(seed: int, *names: str) -> torch.Generator:
    """Return a CPU generator of a training, such as of (seed, "order", epoch)."""
    return generator(seed, "training", *names)


@contextmanager
def seeded(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Seed the global generators, from which dropout for example draws, and restore them after."""
    number = training_rng(seed, purpose).initial_seed()
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(number)
            yield
        return
    kind = getattr(torch, device.type)
    index = device.index if device.index is not None else kind.current_device()
    with torch.random.fork_rng(devices=[index], device_type=device.type):
        torch.default_generator.manual_seed(number)
        if device.type == "cuda":
            with torch.cuda.device(index):
                torch.cuda.manual_seed(number)
        else:
            kind.manual_seed(number)
        yield
