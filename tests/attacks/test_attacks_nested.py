"""Balls within balls: what is stretched, who is attacked again, and what a row may say."""

# ruff: noqa: ARG002 - scripted attacks look at nothing
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pytest
import torch

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import BALLS, Ball
from vision_evals.attacks.criteria import Criterion, Misclassification
from vision_evals.attacks.nested import Nested, nested_worst_cases
from vision_evals.attacks.worst import CLEAN, NONE

GREY = 0.5


@dataclass
class Walks:
    """Moves every pixel value up by a script's share of epsilon, and notes whom it was given."""

    share: dict[str, dict[float, float]]
    """Id to radius to share; 0 where nothing stands."""
    given: list[tuple[float, tuple[str, ...]]] = field(default_factory=list)
    name: ClassVar[str] = "walks"
    norms: ClassVar[frozenset[str]] = frozenset({"linf", "l2"})
    iterated: ClassVar[bool] = True

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        self.given.append((ball.epsilon, draws.ids))
        n, values = len(pixels), pixels[0].numel()
        length = ball.epsilon if ball.norm == "linf" else ball.epsilon / values**0.5
        way = [length * self.share.get(i, {}).get(ball.epsilon, 0) for i in draws.ids]
        none = torch.zeros(n, dtype=torch.int64)
        moved = pixels + torch.tensor(way)[:, None, None, None]
        return Attacked(moved, none.bool(), none.bool(), none, torch.zeros(1, n))


@dataclass
class Shell:
    """Answers 1, which is wrong, where an image's mean lies in one of its bands; else 0."""

    bands: dict[str, tuple[tuple[float, float], ...]]
    ids: tuple[str, ...]
    alias: str = "shell"

    def look(self, pixels: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        change = pixels.flatten(1).mean(dim=1) - GREY
        wrong = torch.tensor(
            [
                any(low <= c <= high for low, high in self.bands.get(self.ids[row], ()))
                for row, c in zip(rows.tolist(), change.tolist(), strict=True)
            ]
        )
        return torch.stack([~wrong, wrong], dim=1).float()

    @property
    def climbed(self) -> Shell:
        return self

    def logits(self, pixels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("only the forward that decides is asked")


SIZES = (0.0, 0.01, 0.02, 0.04)


def nested(shell: Shell, attack: Walks, norm: str = "linf") -> list[Nested]:
    n = len(shell.ids)
    pixels, zero = torch.full((n, 3, 2, 2), GREY), torch.zeros(n, dtype=torch.int64)
    scale = 1 if norm == "linf" else 12**0.5
    balls = [BALLS[norm](scale * size) for size in SIZES]
    draws, criterion = Draws(0, shell.ids), Misclassification(zero, zero[:, None])
    return list(nested_worst_cases(shell, pixels, criterion, balls, [attack], draws, shell.look))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_broken_image_is_stretched_and_not_attacked_again(norm: str) -> None:
    """From half of the first ball to half of each other: a forward there decides."""
    scale = 1 if norm == "linf" else 12**0.5
    script = {"a": {scale * 0.01: 0.5}, "b": {scale * 0.02: 1.0}}
    attack = Walks(script)
    shell = Shell({"a": ((0.004, 1),), "b": ((0.015, 1),)}, ("a", "b", "stands"))
    zero, *others = nested(shell, attack, norm)
    assert zero.broken_at.tolist() == [-1, -1, -1]
    assert [ids for _, ids in attack.given] == [("a", "b", "stands"), ("b", "stands"), ("stands",)]
    by_size = [result.worst for result in others]
    assert [w.broken.tolist() for w in by_size] == [
        [True, False, False], [True, True, False], [True, True, False],
    ]  # fmt: skip
    assert [w.by.tolist() for w in by_size] == [[0, NONE, NONE], [0, 0, NONE], [0, 0, NONE]]
    moved = [(w.pixels - GREY).amax(dim=(1, 2, 3)).tolist() for w in by_size]
    assert moved[0] == pytest.approx([0.005, 0, 0], abs=1e-6)
    assert moved[1] == pytest.approx([0.010, 0.02, 0], abs=1e-6)
    assert moved[2] == pytest.approx([0.020, 0.04, 0], abs=1e-6)
    radii = [result.broken_at.tolist() for result in others]
    assert radii[2] == pytest.approx([scale * 0.04, scale * 0.04, -1])
    # the script says of no path that it met the goal; a stretched point did
    assert [w.ever.tolist() for w in by_size] == [
        [False, False, False], [True, False, False], [True, True, False],
    ]  # fmt: skip


def test_where_stretching_fails_the_image_is_attacked_there() -> None:
    attack = Walks({"a": {0.01: 1.0, 0.02: 0.25}})
    shell = Shell({"a": ((0.004, 0.011),)}, ("a",))
    _, small, middle, large = nested(shell, attack)
    assert [size for size, _ in attack.given] == [0.01, 0.02]
    assert small.worst.broken.tolist() == middle.worst.broken.tolist() == [True]
    assert float((middle.worst.pixels - GREY).amax()) == pytest.approx(0.005)
    # a quarter of the middle ball becomes a quarter of the largest, which is in the band
    assert large.worst.broken.tolist() == [True]
    assert float((large.worst.pixels - GREY).amax()) == pytest.approx(0.010)
    assert [r.broken_at.item() for r in (small, middle, large)] == pytest.approx([0.01, 0.02, 0.04])


def test_where_both_fail_the_smaller_ball_is_the_reason() -> None:
    """The row's own point breaks nothing, and the row says which ball's does."""
    attack = Walks({"a": {0.01: 1.0}})
    shell = Shell({"a": ((0.009, 0.011),)}, ("a",))
    _, small, middle, large = nested(shell, attack)
    assert small.broken_at.item() == pytest.approx(0.01)
    for result in (middle, large):
        assert result.worst.broken.tolist() == [False]
        assert result.broken_at.item() == pytest.approx(0.01)
        assert result.worst.by.tolist() == [0]
        assert not result.worst.ever.any()
        assert torch.equal(result.worst.pixels, torch.full((1, 3, 2, 2), GREY))


def test_what_is_wrong_when_clean_is_never_attacked() -> None:
    attack = Walks({})
    shell = Shell({"wrong": ((-1, 1),)}, ("wrong", "right"))
    for result in nested(shell, attack):
        assert result.worst.by.tolist() == [CLEAN, NONE]
        assert result.broken_at.tolist() == [0, -1]
        assert float((result.worst.pixels - GREY).abs().max()) == 0
    assert all(ids == ("right",) for _, ids in attack.given)
