"""What of a recipe is refused at collection, with the repair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pictures

from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.models.card import Card
from vision_evals.models.training.checks import check_recipe

CardOf = Callable[..., Card]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name in (
        "pets/cat/a.png", "pets/cat/b.png", "pets/dog/a.png", "pets/dog/b.png", "one/cat/a.png",
        "lone/cat/a.png", "lone/dog/a.png", "lone/dog/b.png", "flat/a.png", "hole/cat/a.png",
        "hole/dog/a.png", "given/train/cat/a.png", "given/train/dog/a.png", "given/val/cat/a.png",
        "other/train/cat/a.png", "other/train/dog/a.png", "other/val/cow/a.png",
    ):  # fmt: skip
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Pictures.new("RGB", (4, 4)).save(file)
    (tmp_path / "empty").mkdir()
    (tmp_path / "hole" / "ant").mkdir()
    (tmp_path / "file.txt").write_text("notes")
    return tmp_path


def refused(base: Path, card: Card) -> str:
    with pytest.raises(UserError) as caught:
        check_recipe(card, "net", base)
    assert str(caught.value).startswith("[models.net]: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("digit", 'data = "digit" is neither the built-in "digits" or "FashionMNIST"'),
        ("digit", 'did you mean "digits"'),
        ("pest", 'did you mean "pets"'),
        ("file.txt", "is a file; name a folder of class folders"),
        ("empty", "an empty folder"),
        ("one", "has 1 class (cat)"),
        ("flat", "holds pictures without a class"),
        ("lone", 'class "cat" is left without a training image'),
        ("hole", "ant holds no picture"),
        ("given", 'class "dog" is left without a validation image'),
        ("other", 'val holds class "cow", which train does not'),
    ],
)
def test_data_that_cannot_be_trained_on(
    base: Path, card_of: CardOf, data: str, message: str
) -> None:
    assert message in refused(base, card_of(data=data, examples=None))


def test_too_few_examples(base: Path, card_of: CardOf) -> None:
    card = card_of(data="pets", examples=1)
    assert "left without a training image" in refused(base, card)


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        ("small_cmm", {}, 'no network is called "small_cmm"; did you mean "small_cnn"'),
        ("torchvision:alexnett", {}, 'did you mean "alexnet"'),
        ("packaged:efficientnet_lite0", {}, 'write start = "efficientnet_lite0"'),
        ("alexnet", {"size": 32}, "cannot run on pictures of 32 x 32 pixels"),
        ("resnet18", {"dropout": 0.5}, "dropout = 0.5: the network has no dropout layer"),
        ("googlenet", {"activation": "tanh", "size": 64}, "no ReLU layer"),
        ("densenet121", {"activation": "tanh", "size": 64}, "is a ReLU called as a function"),
        ("convnext_tiny", {"activation": "tanh", "size": 64}, "no ReLU layer"),
    ],
)
def test_networks_that_do_not_fit(
    base: Path, card_of: CardOf, network: str, recipe: dict[str, Any], message: str
) -> None:
    assert message in refused(base, card_of(network, **recipe))


def test_a_network_without_biases_before_its_last(card_of: CardOf) -> None:
    import torch
    from torch import nn

    from vision_evals.models.training.networks import prepare

    last = nn.Linear(4, 2)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Flatten(), last)
    recipe = card_of(bias_start=-1.0).recipe
    assert recipe is not None
    with pytest.raises(UserError, match="no bias in a convolution or dense layer before its last"):
        prepare(network, recipe, "net")
    assert not torch.equal(last.bias, torch.full((2,), -1.0))


def test_keys_that_contradict_each_other(base: Path, card_of: CardOf) -> None:
    recipe = card_of().model_dump(exclude_none=True)["recipe"]
    given = {"mean": [0, 0, 0], "std": [1, 1, 1]}
    for keys, message in (
        ({"network": "small_cnn", "input": given}, "leave out input"),
        ({"start": "alexnet", "recipe": recipe | {"init": "xavier"}}, "init would overwrite"),
        (
            {"start": "alexnet", "recipe": recipe | {"bias_start": 0.0}},
            "bias_start would overwrite",
        ),
    ):
        with pytest.raises(UserError, match=message):
            check_recipe(Card.model_validate({"recipe": recipe} | keys), "net", base)


def test_what_is_missing_here_is_unavailable(
    base: Path, card_of: CardOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError, match=r"FashionMNIST\('.*sets', download=True\)"):
        check_recipe(card_of(data="FashionMNIST", root="sets"), "net", base)
    monkeypatch.setattr("vision_evals.models.training.datasets.find_spec", lambda _: None)
    with pytest.raises(UnavailableError, match=r"pip install 'vision-evals\[recipes\]'"):
        check_recipe(card_of(), "net", base)


@pytest.mark.parametrize("network", ["small_cnn", "small_alexnet", "torchvision:squeezenet1_1"])
def test_good_recipes_pass(base: Path, card_of: CardOf, network: str) -> None:
    check_recipe(card_of(network, size=32), "net", base)
    check_recipe(
        card_of(network, data="pets", size=32, examples=None, bias_start=-1.0), "net", base
    )
