"""Random numbers for pixels: a generator an image, the same on every device and in every batch."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *names: str) -> torch.Generator:
    """Return a CPU generator of (seed, names), such as (seed, measure, purpose, image id)."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
