"""Auto-PGD against traces by hand and against the paper's algorithm written with lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from vision_evals.attacks.apgd import AutoPGD, checkpoints
from vision_evals.attacks.attack import Draws
from vision_evals.attacks.balls import BALLS, LinfBall
from vision_evals.attacks.criteria import Misclassification

Images = Callable[..., torch.Tensor]
Watched = Any
"""The victim of conftest."""


@dataclass(frozen=True, slots=True)
class Centred(LinfBall):
    """A ball whose random points are all its centre, so that a trace can be worked out by hand."""

    def sample(self, start: torch.Tensor, generators: Sequence[torch.Generator]) -> torch.Tensor:
        assert len(generators) == len(start)
        return start.clone()


@dataclass(frozen=True, slots=True)
class Knots:
    """A function of the first pixel: near each knot a height and whether it rises (+) or falls.

    The cross-entropy is softplus(height): it orders points as the heights do, and its gradient has
    the sign of the slope.
    """

    heights: dict[float, tuple[float, int]]

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        at = pixels[:, 0, 0, 0]
        knots = torch.tensor(list(self.heights), dtype=torch.float64)
        nearest = (at.detach()[:, None] - knots).abs().argmin(1)
        table = torch.tensor(list(self.heights.values()), dtype=torch.float64)[nearest]
        height = table[:, 0] + 1e-3 * table[:, 1] * (at - knots[nearest])
        return torch.stack([-height, torch.zeros_like(height)], dim=1)


def path(victim: Watched) -> list[float]:
    return [float(shown[0, 0, 0, 0]) for shown in victim.shown]


@dataclass(frozen=True, slots=True)
class Unbreakable(Misclassification):
    """The loss of the labels is climbed, and never high enough."""

    def met(self, logits: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(logits), dtype=torch.bool)

    def of(self, rows: torch.Tensor) -> Unbreakable:
        return Unbreakable(self.label[rows], self.accepted[rows])


def unbreakable(label: list[int]) -> Unbreakable:
    return Unbreakable(torch.tensor(label), torch.tensor(label)[:, None])


def climb(victim: Watched, steps: int) -> torch.Tensor:
    x = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    found = AutoPGD(steps=steps)(victim, x, unbreakable([0]), Centred(0.1), Draws(0, ("a",)))
    assert not found.ever.any()
    assert found.steps.tolist() == [steps]
    return found.pixels[0, 0, 0, 0]


def test_the_checkpoints_of_the_paper() -> None:
    """Shares 0, 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99 (section 3.1)."""
    assert checkpoints(100) == (22, 41, 57, 70, 80, 87, 93, 99)
    assert checkpoints(10) == (3, 5, 6, 7, 8, 9)
    assert checkpoints(18) == (4, 8, 11, 13, 15, 16, 17)
    assert checkpoints(1) == ()


def test_a_trace_by_hand(watched: Callable[..., Watched]) -> None:
    """f(x) = -|x - 0.53| around 0.5 with epsilon 0.1, ten steps; the stride begins at 0.2.

    x1 = z = 0.5 + 0.2, projected                                      = 0.6
    x2 = 0.6 + 0.75 (0.4 - 0.6) + 0.25 (0.6 - 0.5)                     = 0.475
    x3 = 0.475 + 0.75 (0.6 - 0.475) + 0.25 (0.475 - 0.6)               = 0.5375, the best so far
    x4 = 0.5375 + 0.75 (0.4 - 0.5375) + 0.25 (0.5375 - 0.475)          = 0.45
    checkpoint 3: of the steps 0, 1, 2 two rose, less than 0.75 * 3: condition 1 alone, for the
    best has improved. Stride 0.1, and x4 = x3 = 0.5375.
    x5 = 0.5375 + 0.75 (0.4375 - 0.5375) + 0.25 * 0                    = 0.4625
    x6 = 0.4625 + 0.75 (0.5625 - 0.4625) + 0.25 (0.4625 - 0.5375)      = 0.51875
    checkpoint 5: neither step 3 nor 4 rose. Stride 0.05, x6 = 0.5375.
    x7 = 0.5375 + 0.75 (0.4875 - 0.5375) + 0.25 (0.5375 - 0.4625)      = 0.51875
    checkpoint 6: step 5 rose. The best is what it was, but the stride was halved at the last
    checkpoint, so condition 2 does not hold: nothing happens.
    x8 = 0.51875 + 0.75 (0.56875 - 0.51875) + 0.25 (0.51875 - 0.5375)  = 0.5515625
    checkpoint 7: step 6 did not rise. Stride 0.025, x8 = 0.5375.
    x9 = 0.5375 + 0.75 (0.5125 - 0.5375) + 0.25 (0.5375 - 0.51875)     = 0.5234375, a new best
    checkpoint 8: step 7 did not rise. Stride 0.0125, and x9 is the best already.
    x10 = 0.5234375 + 0.75 * 0.0125 + 0.25 (0.5234375 - 0.5375)        = 0.529296875, the best
    """

    def function(pixels: torch.Tensor) -> torch.Tensor:
        height = -(pixels[:, 0, 0, 0] - 0.53).abs()
        return torch.stack([-height, torch.zeros_like(height)], dim=1)

    victim = watched(function)
    best = climb(victim, 10)
    first, second = path(victim)[:6], path(victim)[6:]
    assert first == pytest.approx([0.5, 0.6, 0.475, 0.5375, 0.45, 0.4625], abs=1e-12)
    assert second == pytest.approx([0.51875, 0.51875, 0.5515625, 0.5234375, 0.529296875], abs=1e-12)
    assert float(best) == pytest.approx(0.529296875, abs=1e-12)
    assert victim.differentiated == [True] * 10 + [False]


def test_condition_2_alone(watched: Callable[..., Watched]) -> None:
    """Three of four steps rise, as many as rho asks for, but none gets above the start.

    So at checkpoint 4 the stride becomes 0.1, x5 = 0.450 + 0.75 * 0.15 + 0.25 (0.45 - 0.5375)
    = 0.540625 is given up for the start, and x6 = 0.5 + 0.75 * 0.1 + 0.25 (0.5 - 0.45) = 0.5875.
    """
    heights = {0.5: (0.0, 1), 0.6: (-4.0, -1), 0.475: (-3.0, 1), 0.5375: (-2.0, -1), 0.45: (-1, 1)}
    victim = watched(Knots(heights))
    climb(victim, 18)
    assert path(victim)[:7] == pytest.approx([0.5, 0.6, 0.475, 0.5375, 0.45, 0.540625, 0.5875])


def test_neither_condition(watched: Callable[..., Watched]) -> None:
    """The same, but the fourth step gets above the start: the stride stays, nothing restarts.

    x6 = 0.540625 + 0.75 (0.4 - 0.540625) + 0.25 (0.540625 - 0.45) = 0.4578125.
    """
    heights = {0.5: (0.0, 1), 0.6: (-4.0, -1), 0.475: (-3.0, 1), 0.5375: (-2.0, -1), 0.45: (1, 1)}
    victim = watched(Knots(heights))
    climb(victim, 18)
    assert path(victim)[:7] == pytest.approx([0.5, 0.6, 0.475, 0.5375, 0.45, 0.540625, 0.4578125])


def by_the_paper(
    look: Callable[[np.ndarray], tuple[float, np.ndarray]],
    x0: np.ndarray,
    centre: np.ndarray,
    norm: str,
    epsilon: float,
    steps: int,
) -> tuple[list[float], np.ndarray, int]:
    """Algorithm 1 with everything kept in lists, as the paper indexes it; one image."""

    def project(point: np.ndarray) -> Any:
        delta = point - centre
        if norm == "linf":
            return np.clip(centre + np.clip(delta, -epsilon, epsilon), 0, 1)
        length = np.sqrt((delta**2).sum())
        return np.clip(centre + delta * min(1, epsilon / max(length, 1e-300)), 0, 1)

    def direction(g: np.ndarray) -> Any:
        return np.sign(g) if norm == "linf" else g / np.sqrt((g**2).sum())

    p = [0, 22]
    while p[-1] < 100:
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    w = [int(np.ceil(one * steps / 100 - 1e-9)) for one in p]
    f0, g0 = look(x0)
    x, f, g, rose, eta, best_until = [x0], [f0], [g0], [], 2 * epsilon, [f0]
    computed, halvings, halved_at = [f0], 0, set()
    best = (f0, x0, g0)
    for k in range(steps):
        z = project(x[k] + eta * direction(g[k]))
        new = z if k == 0 else project(x[k] + 0.75 * (z - x[k]) + 0.25 * (x[k] - x[k - 1]))
        f_new, g_new = look(new)
        computed.append(f_new)
        rose.append(f_new > f[k])
        best = max(best, (f_new, new, g_new), key=lambda one: one[0])
        x, f, g = [*x, new], [*f, f_new], [*g, g_new]
        if k in w[1:]:
            j = w.index(k)
            one = sum(rose[w[j - 1] : w[j]]) < 0.75 * (w[j] - w[j - 1])
            two = w[j - 1] not in halved_at and best_until[w[j - 1]] == best_until[w[j]]
            if one or two:
                eta, halvings = eta / 2, halvings + 1
                halved_at.add(k)
                f[-1], x[-1], g[-1] = best
        best_until.append(max(best_until[-1], f_new))
    return computed, best[1], halvings


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.6)])
def test_on_a_network_it_equals_the_paper(
    norm: str, epsilon: float, curved: Watched, images: Images
) -> None:
    x, label, ball = images(4), torch.tensor([0, 1, 2, 0]), BALLS[norm](epsilon)
    draws = Draws(5, ("a", "b", "c", "d"))
    criterion = unbreakable(label.tolist())
    found = AutoPGD(steps=40)(curved, x, criterion, ball, draws)
    start = ball.sample(x, draws.generators("apgd", "start", "0"))
    differing = set()
    for i in range(4):

        def look(point: np.ndarray, i: int = i) -> tuple[float, np.ndarray]:
            pixels = torch.tensor(point)[None].requires_grad_()
            loss = cross_entropy(curved.function(pixels), label[i : i + 1])
            (gradient,) = torch.autograd.grad(loss, pixels)
            return float(loss.detach()), gradient[0].numpy()

        trace, best, halvings = by_the_paper(
            look, start[i].numpy(), x[i].numpy(), norm, epsilon, 40
        )
        assert found.losses[:, i].numpy() == pytest.approx(trace, abs=1e-9)
        assert np.abs(found.pixels[i].numpy() - best).max() < 1e-9
        differing.add(halvings)
    assert max(differing) >= 2


def test_pixels_keep_their_dtype_whatever_the_logits_are(
    watched: Callable[..., Watched], images: Images
) -> None:
    victim = watched(lambda pixels: pixels.mean(dim=(2, 3)).double())
    x = images(2).float()
    found = AutoPGD(steps=5)(victim, x, unbreakable([0, 1]), LinfBall(0.1), Draws(0, ("a", "b")))
    assert {shown.dtype for shown in victim.shown} == {torch.float32}
    assert found.pixels.dtype == torch.float32


@pytest.mark.parametrize("norm", sorted(BALLS))
def test_the_best_point_comes_back(norm: str, curved: Watched, images: Images) -> None:
    x, label = images(5), torch.tensor([0, 1, 2, 0, 1])
    criterion, ball = Misclassification(label, label[:, None]), BALLS[norm](0.3)
    draws = Draws(0, tuple("abcde"))
    found = AutoPGD(steps=25, early_stop=False)(curved, x, criterion, ball, draws)
    loss = cross_entropy(curved.function(found.pixels), label, reduction="none")
    assert torch.allclose(loss, found.losses.amax(0), atol=1e-12)
    if norm == "linf":
        assert (found.losses.argmax(0) < 25).any()  # the last is not always the best


def test_with_early_stop_the_first_broken_iterate_comes_back(
    curved: Watched, images: Images
) -> None:
    x = images(8)
    label = curved.function(x).argmax(1)
    criterion = Misclassification(label, label[:, None])
    curved.shown.clear()
    found = AutoPGD(steps=30)(curved, x, criterion, LinfBall(0.022), Draws(0, tuple("abcdefgh")))
    met = criterion.met(curved.function(found.pixels))
    assert met.any()
    assert torch.equal(met, found.ever)
    looked = (~found.losses.isnan()).sum(0)
    assert torch.equal(looked, found.steps + 1)
    assert (found.steps[~met] == 30).all()
    loss = cross_entropy(curved.function(found.pixels), label, reduction="none")
    for i in range(8):
        end = found.losses[looked[i] - 1, i] if met[i] else found.losses[:, i].nan_to_num(-1).amax()
        assert loss[i].item() == pytest.approx(end.item(), abs=1e-12)
    assert not met.all()
    assert len(set(looked.tolist())) > 1
    counted = [int((looked > k).sum()) for k in range(31)]
    assert [len(rows) for rows in curved.shown[:31]] == counted
