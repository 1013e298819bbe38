"""What measures share that move pixels by several sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vision_evals.attacks.balls import LinfBall
from vision_evals.measures.sweeps import outside


def test_how_far_outside() -> None:
    """By NumPy, on pixels handed in that leave the ball, the box, neither, or are not numbers."""
    x = torch.full((5, 3, 2, 2), 0.5)
    moved = x.clone()
    moved[1, 0, 0, 0], moved[2, 1, 1, 1], moved[3, 2, 0, 1] = 0.75, 1.5, -0.25
    moved[4, 0, 0, 0] = float("nan")
    ball = LinfBall(0.125)
    found = outside(moved, ball.distance(moved, x), 0.125).numpy()
    away = np.abs(moved.numpy() - x.numpy()).max(axis=(1, 2, 3)) - 0.125
    assert found[:4].tolist() == [0.0, 0.125, 0.875, 0.625]
    assert found[:4] == pytest.approx(np.maximum(away, 0)[:4], abs=0)
    assert np.isnan(found[4])
    white = torch.full_like(x, 1.5)
    assert outside(white, ball.distance(white, white), 1.0)[0] == 0.5
