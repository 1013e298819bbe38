"""A run of as many images and networks as one likes, as a session would leave it."""

from __future__ import annotations

from tests.large.run import write

__all__ = ["write"]
