"""A classifier is fed what its card says; every way of feeding it otherwise is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as pil
from torch import nn
from torch.nn import functional

from vision_evals.core.errors import NotApplicableError
from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, pixels
from vision_evals.images.image_set import Image
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier
from vision_evals.validity import preprocessing
from vision_evals.validity.check import Evidence

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]

CARD = Input(
    resize=24, crop=16, mean=(104.0, 117.0, 123.0), std=(2, 3, 4), channels="bgr", range=255
)
WRONG: dict[str, dict[str, Any]] = {
    "another order": {"channels": "rgb"},
    "another mean": {"mean": (123.0, 117.0, 104.0)},
    "another std": {"std": (1, 1, 1)},
    "not normalised": {"mean": (0.0, 0.0, 0.0), "std": (1, 1, 1)},
    "another scale": {"range": 1, "mean": (0.4, 0.5, 0.5)},
}


@pytest.fixture
def fed(small: Small, curved: nn.Module) -> Callable[..., Classifier]:
    """Return a function that makes a classifier with one card and another input in force."""

    def make(**changes: Any) -> Classifier:
        plain = small(curved)
        card = Card(network="tests:small", input=CARD)
        return replace(plain, card=card, input=CARD.model_copy(update=changes))

    return make


def test_what_the_card_says_is_fed(fed: Small, asked: Make) -> None:
    assert preprocessing.raw_logits(asked(fed())).outcome == "passed"
    found = preprocessing.as_declared(asked(fed()))
    assert found.outcome == "passed"
    assert found.evidence.startswith("7 fields are equal")


@pytest.mark.parametrize("name", WRONG)
def test_another_feeding_falls(name: str, fed: Small, asked: Make) -> None:
    evidence = asked(fed(**WRONG[name]))
    assert preprocessing.raw_logits(evidence).outcome == "failed"
    found = preprocessing.as_declared(evidence)
    assert found.outcome == "failed"
    for field in WRONG[name]:
        assert f"{field} {WRONG[name][field]} in use" in found.evidence


def test_a_wrapper_that_does_not_do_what_it_holds(
    fed: Small, asked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fields are right and the operation is not: only the logits tell."""
    evidence = asked(fed())
    monkeypatch.setattr("vision_evals.models.classifier.Normalise.forward", lambda _, x: x)
    assert preprocessing.as_declared(evidence).outcome == "passed"
    assert preprocessing.raw_logits(evidence).outcome == "failed"


@pytest.mark.parametrize("own", [None, "same", "other", "checkpoint", "module"])
def test_a_card_that_overrides_what_was_published(
    own: str | None, small: Small, asked: Make
) -> None:
    same = Input(
        resize=256, crop=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3
    )  # what the authors of EfficientNet-Lite write
    given = {None: None, "same": same}.get(own, same.model_copy(update={"crop": 200}))
    card = Card(
        network="tests:small" if own == "module" else "packaged:efficientnet_lite0",
        input=given,
        checkpoint="mine.pt" if own == "checkpoint" else None,
    )
    found = preprocessing.as_published(asked(replace(small(), card=card)))
    outcome = {"same": "passed", "other": "failed"}.get(own or "", "undecided")
    assert found.outcome == outcome, found.evidence
    assert outcome != "failed" or found.evidence == "crop 200 on the card, 224 published"


def test_a_recipe_has_no_card_to_compare_with(small: Small, asked: Make) -> None:
    from vision_evals.models.registry import Registry

    registry = Registry.read({}, None, Path())
    evidence = asked(replace(small(), card=registry.card("small_step")[0]))
    for look in (preprocessing.raw_logits, preprocessing.as_declared, preprocessing.same_pixels):
        with pytest.raises(NotApplicableError, match="trained here"):
            look(evidence)


def _seen(picture: pil.Image, how: str, said: Input) -> torch.Tensor:
    """Prepare a picture, right or wrong in one way; uint8 (3, height, width)."""
    if how == "no antialias":
        whole = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1)[None].float()
        small = functional.interpolate(whole, (24, 24), mode="bilinear", antialias=False)
        return small[0, :, 4:20, 4:20].round().to(torch.uint8)
    wrong = {
        "right": said.geometry,
        "crop off by one": said.geometry,
        "another resize": Geometry(17, 16),
        "another blend": Geometry(24, 16, "nearest"),
        "another size": Geometry(24, 15),
    }[how]
    if how == "crop off by one":
        return torch.roll(pixels(picture, wrong), 1, dims=2)
    return pixels(picture, wrong)


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("right", "passed"),
        ("no antialias", "failed"),
        ("crop off by one", "failed"),
        ("another resize", "failed"),
        ("another blend", "failed"),
        ("another size", "failed"),
    ],
)
def test_pictures(
    how: str, outcome: str, fed: Small, asked: Make, pictures: tuple[Image, ...]
) -> None:
    seen = torch.stack([_seen(read(image.path).picture, how, CARD) for image in pictures])
    found = preprocessing.same_pixels(asked(fed(), pixels=seen.float() / 255, images=pictures))
    assert found.outcome == outcome, found.evidence


@pytest.mark.parametrize(("off", "outcome"), [(0.5, "passed"), (0.7, "failed")])
def test_pictures_may_differ_by_rounding(
    off: float, outcome: str, fed: Small, asked: Make, pictures: tuple[Image, ...]
) -> None:
    seen = torch.stack([_seen(read(image.path).picture, "right", CARD) for image in pictures])
    evidence = asked(fed(), pixels=(seen + off) / 255, images=pictures)
    assert preprocessing.same_pixels(evidence).outcome == outcome


@pytest.mark.parametrize(
    "said",
    [
        Input(resize=(20, 31), crop=None, mean=(0, 0, 0), std=(1, 1, 1), interpolation="lanczos"),
        Input(resize=None, crop=(50, 45), mean=(0, 0, 0), std=(1, 1, 1)),
        Input(resize=30, crop=(64, 20), mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic"),
        Input(resize=17, crop=17, mean=(0, 0, 0), std=(1, 1, 1), interpolation="nearest"),
    ],
    ids=str,
)
def test_every_geometry_is_prepared_alike(
    said: Input, small: Small, asked: Make, pictures: tuple[Image, ...]
) -> None:
    """A second implementation agrees with the reader to the bit: padding, odd rests, all blends."""
    seen = torch.stack([pixels(read(image.path).picture, said.geometry) for image in pictures])
    card = Card(network="tests:small", input=said)
    evidence = asked(replace(small(), card=card), pixels=seen.float() / 255, images=pictures)
    found = preprocessing.same_pixels(evidence)
    assert found.outcome == "passed"
    assert "differ by at most" in found.evidence
    assert float(found.evidence.split("at most ")[1].split()[0]) < 1e-4


def test_pictures_that_need_more_than_pil_are_left_out(
    fed: Small, asked: Make, pictures: tuple[Image, ...]
) -> None:
    pil.new("RGBA", (30, 30)).save(pictures[0].path)
    seen = torch.zeros(1, 3, 16, 16)
    evidence = asked(fed(), pixels=seen, images=pictures[:1])
    assert preprocessing.same_pixels(evidence).outcome == "undecided"
