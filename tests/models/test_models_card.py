"""Cards say everything or are refused with the repair."""

import pytest
from pydantic import ValidationError

from vision_evals.core.errors import UserError
from vision_evals.images.geometry import Geometry
from vision_evals.models.card import Card, Input, parse_cards

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
GOOD = {"network": "torchvision:alexnet", "input": {"mean": MEAN, "std": STD}}


def refused(**keys: object) -> str:
    with pytest.raises(UserError) as raised:
        parse_cards({"my_net": {**GOOD, **keys}}, "cards.toml")
    return str(raised.value)


def test_a_full_card() -> None:
    card = parse_cards(
        {
            "my_net": {
                "network": "my_package.nets:build",
                "checkpoint": "runs/epoch_12.safetensors",
                "sha256": "a" * 64,
                "input": {
                    "resize": [240, 320],
                    "crop": "none",
                    "interpolation": "bicubic",
                    "mean": [104, 117, 123],
                    "std": [1, 1, 1],
                    "channels": "bgr",
                    "range": 255,
                },
                "classes": "classes.txt",
                "published": {"top1_accuracy": 0.58},
            }
        },
        "cards.toml",
    )["my_net"]
    assert card.input is not None
    assert card.input.geometry == Geometry((240, 320), None, "bicubic")
    assert (card.source, card.name) == ("my_package.nets", "build")
    assert str(card.input) == (
        "resize 240x320 bicubic, no crop, mean 104 117 123, std 1 1 1, bgr, range 255"
    )


def test_defaults_in_words() -> None:
    card = parse_cards({"my_net": GOOD}, "cards.toml")["my_net"]
    assert str(card.input) == (
        "resize 256 bilinear, crop 224, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, rgb"
    )
    assert card.classes == "imagenet"


def test_unknown_keys_name_the_nearest() -> None:
    assert refused(chekpoint="a.pt") == (
        'cards.toml, [models.my_net]: unknown key "chekpoint"; did you mean "checkpoint"?'
    )
    assert refused(input={"mean": MEAN, "std": STD, "croop": 3}) == (
        'cards.toml, [models.my_net]: input: unknown key "croop"; did you mean "crop"?'
    )


def test_every_mistake_of_a_card_is_named() -> None:
    message = refused(chekpoint="a.pt", weihgts="b")
    assert "checkpoint" in message.splitlines()[0]
    assert "weights" in message.splitlines()[1]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"network": "alexnet"}, "network = 'alexnet': must be \"torchvision:NAME\""),
        ({"network": 3}, "network = 3"),
        ({"sha256": "abc"}, "sha256 = 'abc': must be 64 lower-case hexadecimal digits"),
        ({"published": {"top1_accuracy": 58.2}}, "published.top1_accuracy = 58.2"),
        ({"input": {"std": STD}}, '"input.mean" is missing'),
        ({"input": {"mean": MEAN, "std": [1, 0, 1]}}, "must be three positive numbers"),
        ({"input": {"mean": MEAN, "std": [1, 1]}}, "input.std"),
        ({"input": {"mean": MEAN, "std": STD, "crop": "none"}}, "leaves pictures of different"),
        (
            {"input": {"mean": MEAN, "std": STD, "crop": "none", "resize": "none"}},
            "give a crop, or resize = [height, width]",
        ),
        ({"input": {"mean": ["a", 0, 0], "std": STD}}, "input.mean.0 = 'a'"),
        ({"input": {"mean": [float("nan"), 0, 0], "std": STD}}, "input.mean.0"),
        (
            {"input": {"mean": MEAN, "std": STD, "resize": 0}},
            "input.resize = 0: must be a number of pixels from 1 to",
        ),
        ({"input": {"mean": MEAN, "std": STD, "crop": True}}, "input.crop = True"),
        ({"input": {"mean": MEAN, "std": STD, "crop": [1, 2, 3]}}, "[height, width]"),
        ({"input": {"mean": MEAN, "std": STD, "crop": []}}, "[height, width]"),
        ({"input": {"mean": MEAN, "std": STD, "channels": "rgba"}}, "input.channels = 'rgba'"),
        ({"input": {"mean": MEAN, "std": STD, "range": 2}}, "input.range = 2"),
        ({"input": {"mean": MEAN, "std": STD, "interpolation": "area"}}, "'area'"),
        ({"input": {"mean": [123, 117, 104], "std": STD}}, "write range = 255"),
        ({"input": {"mean": MEAN, "std": STD, "range": 255}}, "leave range out"),
    ],
)
def test_wrong_values_are_named(keys: dict[str, object], says: str) -> None:
    message = refused(**keys)
    assert message.startswith("cards.toml, [models.my_net]: ")
    assert says in message


@pytest.mark.parametrize(
    ("resize", "crop"),
    [(256, 224), (256, [200, 300]), ([200, 300], "none"), ("none", 224), ([9, 9], [8, 8])],
)
def test_pictures_of_one_size(resize: object, crop: object) -> None:
    given = {"mean": MEAN, "std": STD, "resize": resize, "crop": crop}
    assert parse_cards({"my_net": {**GOOD, "input": given}}, "cards.toml")


def test_a_table_that_is_no_table() -> None:
    with pytest.raises(UserError, match=r"\[models.my_net\]"):
        parse_cards({"my_net": 3}, "cards.toml")


@pytest.mark.parametrize("name", ["a b", "a/b", "timm:x", "a[1]", ""])
def test_names_that_cannot_stand_in_a_test_id(name: str) -> None:
    with pytest.raises(UserError, match="letters, digits"):
        parse_cards({name: GOOD}, "cards.toml")


def test_cards_are_values() -> None:
    given = Input.model_validate(GOOD["input"])
    assert given == Input.model_validate(GOOD["input"])
    assert hash(given) == hash(Input.model_validate(GOOD["input"]))
    with pytest.raises(ValidationError):
        Card(network="torchvision:alexnet").network = "timm:x"
