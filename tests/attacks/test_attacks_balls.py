"""Balls: what is drawn, projected and measured, against NumPy and closed forms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.attacks.attack import Draws
from vision_evals.attacks.balls import BALLS, L2Ball, LinfBall

Images = Callable[..., torch.Tensor]
IDS = tuple(f"{i}.png" for i in range(40))


def rounded(n: int, seed: int) -> torch.Tensor:
    """Many pixels lie at 0 and 1."""
    drawn = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return drawn.round(decimals=1)


@given(
    norm=st.sampled_from(sorted(BALLS)),
    epsilon=st.sampled_from([0.0, 1 / 1020, 0.03, 0.5, 4.0]),
    far=st.floats(0, 5),
    seed=st.integers(0, 20),
)
def test_nothing_leaves_the_ball_or_the_box(
    norm: str, epsilon: float, far: float, seed: int
) -> None:
    ball, x = BALLS[norm](epsilon), rounded(3, seed)
    generators = Draws(seed, IDS[:3]).generators
    aimless = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    for moved in (
        ball.project(x + far * aimless, x),
        ball.sample(x, generators("a")),
        ball.noise(x, generators("b")),
    ):
        assert float(ball.distance(moved, x).max()) <= epsilon * (1 + 1e-5) + 1e-6
        assert float(moved.min()) >= 0
        assert float(moved.max()) <= 1
        if epsilon == 0:
            assert torch.equal(moved, x)
        assert torch.allclose(ball.project(moved, x), moved, atol=1e-6)


def test_distances_equal_numpys(images: Images) -> None:
    a, b = images(4), images(4, 2)
    flat = (a - b).flatten(1).numpy()
    assert L2Ball(1).distance(a, b).numpy() == pytest.approx(np.linalg.norm(flat, axis=1))
    assert LinfBall(1).distance(a, b).numpy() == pytest.approx(
        np.linalg.norm(flat, ord=np.inf, axis=1)
    )


def test_projecting_onto_l2_scales_and_then_clips(images: Images) -> None:
    x, moved = images(3), images(3, 5) * 4 - 2
    step = (moved - x).numpy()
    length = np.sqrt((step**2).sum(axis=(1, 2, 3), keepdims=True))
    expected = np.clip(x.numpy() + step * np.minimum(1, 0.7 / length), 0, 1)
    assert np.allclose(L2Ball(0.7).project(moved, x).numpy(), expected, atol=1e-14)
    inside = (x + 1e-3).clamp(0, 1)
    assert torch.equal(L2Ball(0.7).project(inside, x), inside)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_the_l2_direction_has_length_1_at_any_scale(scale: float) -> None:
    gradient = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * scale
    gradient[1] = 0
    direction = L2Ball(1).steepest(gradient)
    assert direction.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    unscaled = gradient[0].double() / scale
    assert torch.allclose(direction[0].double(), unscaled / unscaled.norm(), atol=1e-6)


def test_the_steepest_direction_gains_most(images: Images) -> None:
    """Dual norms: the best gain of length 1 is the L1 norm in linf, and the L2 norm in l2."""
    gradient = images(1) - 0.5
    for ball, dual in ((LinfBall(1), 1), (L2Ball(1), 2)):
        gain = (ball.steepest(gradient) * gradient).sum()
        assert float(gain) == pytest.approx(float(np.linalg.norm(gradient.flatten(), ord=dual)))


def test_samples_are_uniform() -> None:
    """Far from the box: radii follow r ** d, coordinates of the cube are uniform."""
    x = torch.full((2000, 1, 1, 2), 0.5, dtype=torch.float64)
    generators = Draws(0, tuple(map(str, range(2000)))).generators("uniform")
    radii = L2Ball(0.25).distance(L2Ball(0.25).sample(x, generators), x) / 0.25
    # of a disc a quarter lies within half its radius, a half within sqrt(1/2)
    assert float((radii < 0.5).double().mean()) == pytest.approx(0.25, abs=0.04)
    assert float((radii < 0.5**0.5).double().mean()) == pytest.approx(0.5, abs=0.04)
    generators = Draws(0, tuple(map(str, range(2000)))).generators("uniform")
    offsets = (LinfBall(0.25).sample(x, generators) - x).flatten() / 0.25
    quarters = torch.histc(offsets, bins=4, min=-1, max=1) / len(offsets)
    assert quarters.tolist() == pytest.approx([0.25] * 4, abs=0.03)
    assert abs(float(offsets.mean())) < 0.04


def test_noise_has_the_full_size(images: Images) -> None:
    x, generators = images(4, low=0.4, high=0.6), Draws(0, IDS[:4]).generators
    linf, l2 = LinfBall(0.05).noise(x, generators("n")), L2Ball(0.3).noise(x, generators("n"))
    assert torch.allclose((linf - x).abs(), torch.full_like(x, 0.05))
    assert 0.4 < float((linf > x).double().mean()) < 0.6
    assert (l2 - x).flatten(1).norm(dim=1).tolist() == pytest.approx([0.3] * 4)


@pytest.mark.parametrize("norm", sorted(BALLS))
def test_draws_depend_on_the_image_and_nothing_else(norm: str, images: Images) -> None:
    x, draws, ball = images(5), Draws(7, IDS[:5]), BALLS[norm](0.3)
    for drawn in (ball.sample, ball.noise):
        together = drawn(x, draws.generators("start", "0"))
        for i in range(5):
            alone = drawn(x[i : i + 1], draws.of([i]).generators("start", "0"))
            assert torch.equal(alone[0], together[i])
        backwards = drawn(x.flip(0), draws.of([4, 3, 2, 1, 0]).generators("start", "0"))
        assert torch.equal(backwards.flip(0), together)
        assert not torch.equal(drawn(x, draws.generators("start", "1")), together)
        assert not torch.equal(drawn(x, Draws(8, IDS[:5]).generators("start", "0")), together)
