"""Trainings side by side: the weights of one after the other, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from vision_evals.core.progress import Advance
from vision_evals.models.card import Card
from vision_evals.models.processes import can_fork
from vision_evals.models.training.ahead import train_ahead
from vision_evals.models.training.build import RecipePlan, plan_recipe, train_recipe

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not can_fork(CPU), reason="needs Linux without an accelerator")


@pytest.fixture
def plan(card_of: Callable[..., Card]) -> Callable[..., RecipePlan]:
    def planned(alias: str = "net", **recipe: object) -> RecipePlan:
        card = card_of(**{"seeds": [3, 4, 5], "dropout": 0.3, **recipe})
        return plan_recipe(alias, card, Path(), None, CPU)

    return planned


class Shown:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.titles: list[tuple[str, int, str]] = []
        self.steps = 0
        self.messages: list[str] = []

    @contextmanager
    def __call__(self, title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        self.titles.append((title, total, unit))

        def advance(n: int, message: str = "") -> None:
            self.steps += n
            self.messages.append(message)

        yield advance


def weights(plan: RecipePlan, cache: Path, **more: object) -> list[dict[str, torch.Tensor]]:
    classifiers = train_recipe(plan, cache=cache, show=Shown(), **more)  # type: ignore[arg-type]
    return [classifier.network.state_dict() for classifier in classifiers]


def equal(first: list[dict[str, torch.Tensor]], second: list[dict[str, torch.Tensor]]) -> bool:
    return all(
        torch.equal(one[name], other[name])
        for one, other in zip(first, second, strict=True)
        for name in one
    )


def test_two_processes_train_as_one_does_bit_for_bit(
    plan: Callable[..., RecipePlan], tmp_path: Path
) -> None:
    plans, shown = [plan("a"), plan("b", optimizer={"lr": 0.5})], Shown()
    finished = train_ahead(plans, cache=tmp_path / "shared", processes=2, show=shown)
    assert finished.keys() == {(alias, seed) for alias in "ab" for seed in (3, 4, 5)}
    assert shown.titles == [("6 trainings", sum(3 * plan.steps for plan in plans), "steps")]
    assert shown.steps == shown.titles[0][1]
    assert any("b, seed 5 (3 of 3) epoch 1 of 1" in message for message in shown.messages)
    for each in plans:
        alone = weights(each, tmp_path / "alone")
        assert equal(weights(each, tmp_path / "shared", finished=finished), alone)
        assert equal(weights(each, tmp_path / "shared"), alone)  # from the cache
        assert not equal(alone[:1], alone[1:2])
    assert not finished


def test_a_training_of_this_run_is_not_called_cached(
    plan: Callable[..., RecipePlan], tmp_path: Path
) -> None:
    finished = train_ahead([plan()], cache=tmp_path, processes=2, show=Shown())
    fresh = train_recipe(plan(), cache=tmp_path, show=Shown(), finished=finished)
    kept = train_recipe(plan(), cache=tmp_path, show=Shown())
    assert [c.training.cached for c in fresh if c.training] == [False] * 3
    assert [c.training.cached for c in kept if c.training] == [True] * 3


def test_only_what_the_cache_lacks_is_trained(
    plan: Callable[..., RecipePlan], tmp_path: Path
) -> None:
    weights(plan(seeds=[3]), tmp_path)
    finished = train_ahead([plan()], cache=tmp_path, processes=2, show=Shown())
    assert finished.keys() == {("net", 4), ("net", 5)}
    shown = Shown()
    assert train_ahead([plan()], cache=tmp_path, processes=2, show=shown) == {}
    assert shown.titles == []


def test_one_training_or_one_process_forks_nothing(
    plan: Callable[..., RecipePlan], tmp_path: Path
) -> None:
    assert train_ahead([plan(seeds=[3])], cache=tmp_path, processes=2, show=Shown()) == {}
    assert train_ahead([plan()], cache=tmp_path, processes=1, show=Shown()) == {}


def test_weights_do_not_depend_on_the_threads_of_torch(
    plan: Callable[..., RecipePlan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = RecipePlan.train

    def spy(self: RecipePlan, *arguments: object) -> object:
        seen.append(torch.get_num_threads())
        return train(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(RecipePlan, "train", spy)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        weights(plan(), tmp_path)
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 1, 1]
