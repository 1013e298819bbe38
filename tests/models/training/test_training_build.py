"""From a card with a recipe to classifiers: seeds, cache, fine-tuning, what a recipe changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vision_evals.core.errors import UserError
from vision_evals.core.progress import Advance
from vision_evals.models.card import Card
from vision_evals.models.classifier import Classifier
from vision_evals.models.training import loop
from vision_evals.models.training.build import plan_recipe, train_recipe

Fit = Callable[..., tuple[Classifier, ...]]


def weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    return dict(classifier.network.state_dict())


def equal(first: Classifier, second: Classifier) -> bool:
    one, other = weights(first), weights(second)
    return all(torch.equal(one[name], other[name]) for name in one)


def training_of(classifier: Classifier) -> Any:
    assert classifier.training is not None
    return classifier.training


def test_a_classifier_for_each_seed(fit: Fit) -> None:
    state = torch.get_rng_state()
    found = fit(seeds=[3, 1])
    assert [training_of(c).seed for c in found] == [3, 1]
    assert not equal(*found)
    assert found[0].fingerprint != found[1].fingerprint
    assert torch.equal(torch.get_rng_state(), state)
    for classifier in found:
        assert not any(p.requires_grad for p in classifier.network.parameters())
        assert not any(module.training for module in classifier.network.modules())
        assert classifier.classes.name == "digits"
        assert str(classifier.input.geometry) == "resize 8 bilinear, crop 8"
        assert classifier.logits(torch.rand(2, 3, 8, 8)).shape == (2, 10)
        record = training_of(classifier)
        assert (record.train_images, record.cached, record.returned_epoch) == (150, False, 1)


def test_what_is_judged_is_what_was_validated(fit: Fit) -> None:
    """Logits of the classifier give the recorded validation accuracy."""
    from vision_evals.models.recipe import Recipe
    from vision_evals.models.training.data import MemorySubset, load

    (found,) = fit(epochs=2)
    recipe = found.card.recipe
    assert isinstance(recipe, Recipe)
    part = load(recipe, Path(), "bilinear", "net").validation
    assert isinstance(part, MemorySubset)
    logits = found.logits(part.pixels.expand(-1, 3, -1, -1).float() / 255)
    right = (logits.argmax(1) == torch.from_numpy(part.classes)).double().mean()
    assert training_of(found).epochs[-1].validation_accuracy == pytest.approx(float(right))


def test_a_second_time_it_comes_from_the_cache(fit: Fit, tmp_path: Path) -> None:
    (first,) = fit()
    (again,) = fit()
    assert equal(first, again)
    assert first.fingerprint == again.fingerprint
    assert training_of(again) == training_of(first).model_copy(update={"cached": True})
    assert len(list((tmp_path / "cache" / "recipes").iterdir())) == 1


@pytest.mark.parametrize(
    "change", [{"optimizer": {"lr": 0.06, "momentum": 0.9}}, {"seeds": [1]}, {"validation": 0.3}]
)
def test_what_changes_numbers_is_trained_again(fit: Fit, change: dict[str, Any]) -> None:
    (first,) = fit()
    (other,) = fit(**change)
    assert not training_of(other).cached
    assert not equal(first, other)


def test_one_more_seed_costs_one_training(fit: Fit) -> None:
    fit(seeds=[0])
    assert [training_of(c).cached for c in fit(seeds=[1, 0])] == [False, True]


@pytest.mark.parametrize("damage", ["cut", "bit", "header"])
def test_a_damaged_entry_is_noticed_and_trained_again(
    fit: Fit, tmp_path: Path, damage: str
) -> None:
    (first,) = fit()
    (file,) = (tmp_path / "cache" / "recipes").iterdir()
    content = bytearray(file.read_bytes())
    if damage == "cut":
        content = content[:-100]
    elif damage == "bit":
        content[-1] ^= 1
    else:
        content = content.replace(b'"training"', b'"trainin_"')
    file.write_bytes(content)
    with pytest.warns(UserWarning, match=f"{file.name}: a damaged training in the cache"):
        (again,) = fit()
    assert not training_of(again).cached
    assert equal(first, again)
    assert training_of(fit()[0]).cached


def test_finished_seeds_are_kept_when_it_is_interrupted(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loop.train

    def stopped(*given: Any, **keys: Any) -> Any:
        if given[4] == 2:
            raise KeyboardInterrupt
        return whole(*given, **keys)

    monkeypatch.setattr("vision_evals.models.training.build.train", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(seeds=[0, 1, 2])
    monkeypatch.undo()
    assert [training_of(c).cached for c in fit(seeds=[0, 1, 2])] == [True, True, False]


def test_progress_says_seed_epoch_and_loss(tmp_path: Path, card_of: Callable[..., Card]) -> None:
    words: list[str] = []
    titles: list[tuple[str, int, str]] = []

    @contextmanager
    def show(title: str, total: int, unit: str = "images") -> Iterator[Advance]:
        titles.append((title, total, unit))

        def advance(n: int, message: str = "") -> None:
            words.append(message)

        yield advance

    card = card_of(seeds=[3, 4], epochs=2)
    plan = plan_recipe("net", card, Path(), None, torch.device("cpu"))
    (first, _) = train_recipe(plan, cache=tmp_path, show=show)
    which = "net, seed 3 (1 of 2)", "net, seed 4 (2 of 2)"
    assert titles == [(f"{name}: epoch 1", 6, "steps") for name in which]
    assert [line for line in words if line][:2] == [
        f"{which[0]}: epoch {e.epoch} of 2, loss {e.train_loss:.3f}"
        for e in training_of(first).epochs[1:]
    ]


def kinds(classifier: Classifier) -> list[type[nn.Module]]:
    return [type(module) for module in classifier.network.modules()]


def test_activation_dropout_and_bias(fit: Fit) -> None:
    tiny = {"lr": 1e-12}
    (found,) = fit(activation="tanh", dropout=0.25, bias_start=-1.0, optimizer=tiny)
    assert nn.ReLU not in kinds(found)
    assert kinds(found).count(nn.Tanh) == 5
    dropouts = [m for m in found.network.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for m in dropouts] == [0.25, 0.25]
    biases = [v for k, v in weights(found).items() if k.endswith("bias")]
    assert all(torch.allclose(bias, torch.tensor(-1.0)) for bias in biases[:-1])
    assert not (biases[-1] < -0.5).any()


@pytest.mark.parametrize(
    ("init", "std"),
    [
        ("kaiming", lambda fans: (2 / fans[0]) ** 0.5),
        ("xavier", lambda fans: (2 / sum(fans)) ** 0.5),
        ("normal:0.01", lambda _: 0.01),
        ("default", lambda fans: (1 / (3 * fans[0])) ** 0.5),
    ],
)
def test_first_weights_have_the_spread_of_their_paper(
    fit: Fit, init: str, std: Callable[[tuple[int, int]], float]
) -> None:
    (found,) = fit(init=init, optimizer={"lr": 1e-12})
    for layer in found.network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.weight.numel() > 4000:
            area = layer.weight[0, 0].numel()
            wanted = std((layer.weight.shape[1] * area, layer.weight.shape[0] * area))
            assert float(layer.weight.std()) == pytest.approx(wanted, rel=0.1)


def test_small_alexnet_and_a_network_of_torchvision(fit: Fit) -> None:
    (found,) = fit("small_alexnet", size=32, examples=64)
    assert kinds(found).count(nn.Conv2d) == 5
    (found,) = fit("squeezenet1_1", size=32, examples=64, batch_size=32)
    assert found.logits(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_a_network_of_ones_own(fit: Fit, tmp_path: Path) -> None:
    source = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, {}))
"""
    (tmp_path / "own_nets.py").write_text(source.format(10), encoding="utf-8")
    (tmp_path / "wrong_nets.py").write_text(source.format(7), encoding="utf-8")
    (found,) = fit("own_nets:build")
    assert training_of(found).epochs[-1].dead_fraction is None
    with pytest.raises(UserError, match=r"returns \(2, 7\), not logits of shape \(2, 10\)"):
        fit("wrong_nets:build")


def test_fine_tuning_replaces_the_last_layer_of_a_copy(
    fit: Fit, small: Callable[..., Classifier]
) -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    before = {k: v.clone() for k, v in network.state_dict().items()}
    start = small(network)
    (found,) = fit(start=start, optimizer={"lr": 1e-9})
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    after = weights(found)
    torch.testing.assert_close(after["0.weight"], before["0.weight"])
    assert after["2.weight"].shape == (10, 8, 1, 1)
    assert found.input.mean == start.input.mean
    assert (found.input.resize, found.input.crop) == (8, 8)
    assert found.logits(torch.rand(2, 3, 8, 8)).shape == (2, 10)


def test_a_start_that_does_not_fit(fit: Fit, small: Callable[..., Classifier]) -> None:
    with pytest.raises(UserError, match="no dense layer or 1x1 convolution with 3 outputs"):
        fit(start=small())
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    with pytest.raises(UserError, match="cannot run on pictures of 8 x 8 pixels"):
        fit(start=small(fixed))
    with pytest.raises(UserError, match="init would overwrite"):
        fit(start=small(fixed), init="xavier")


def test_a_last_batch_of_one_under_batch_norm(fit: Fit, tmp_path: Path) -> None:
    source = """
from torch import nn
def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10), nn.BatchNorm1d(10))
"""
    (tmp_path / "normed.py").write_text(source, encoding="utf-8")
    with pytest.raises(
        UserError, match=r"the last batch holds one picture, so try another batch_size"
    ):
        fit("normed:build", examples=65)


def test_a_divergence_is_kept_and_told(fit: Fit) -> None:
    (first,) = fit(optimizer={"lr": 1e9})
    assert "was not finite" in training_of(first).diverged
    assert training_of(fit(optimizer={"lr": 1e9})[0]).cached
    assert all(v.isfinite().all() for v in weights(first).values())
