"""Names, labels and colours: what fits holds, what was shifted, swapped or scaled falls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from torch import nn

from vision_evals.images.image_set import Image, ImageSet, collect
from vision_evals.images.labels import ClassMap, class_map
from vision_evals.measures import fgsm
from vision_evals.measures.accuracy import Parameters
from vision_evals.models.classifier import Classifier
from vision_evals.validity import labels
from vision_evals.validity.check import Evidence

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]


def coloured(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures in which red or blue is brightest, in turn, and that class."""
    label = torch.arange(n) % 2 * 2
    pixels = torch.full((n, 3, 16, 16), 51 / 255)
    pixels[torch.arange(n), label] = 204 / 255
    return pixels, label


class Swapped(nn.Module):
    """Knows colours, trained on BGR."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.flip(1).mean(dim=(2, 3)) * 10


class Nearest(nn.Module):
    """Knows dark, medium and bright by the mean of pixels from 0 to ``white``."""

    def __init__(self, white: float) -> None:
        super().__init__()
        self.white = white

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        centres = self.white * torch.tensor([0.2, 0.5, 0.8])
        return -(pixels.mean(dim=(1, 2, 3))[:, None] - centres).abs()


def shades(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.arange(n) % 3
    return (0.2 + 0.3 * label)[:, None, None, None].expand(n, 3, 16, 16).clone(), label


def test_the_channels_of_a_good_network_are_in_order(small: Small, asked: Make) -> None:
    pixels, label = coloured(16)
    found = labels.channels(asked(small(), pixels=pixels, label=label))
    assert found.outcome == "passed"
    assert "0 of 16 right, as declared 16 (0 gained, 16 lost" in found.evidence


def test_bgr_fed_as_rgb_falls(small: Small, asked: Make) -> None:
    pixels, label = coloured(16)
    found = labels.channels(asked(small(Swapped()), pixels=pixels, label=label))
    assert found.outcome == "failed"
    assert "16 of 16 right, as declared 0 (16 gained, 0 lost" in found.evidence


@pytest.mark.parametrize(("n", "outcome"), [(12, "undecided"), (13, "failed")])
def test_seven_images_that_only_the_swap_rights_reach_one_percent(
    n: int, outcome: str, small: Small, asked: Make
) -> None:
    """Every second one is blue, and all channels moved by one right it as well."""
    pixels, label = coloured(n)
    evidence = asked(small(Swapped()), pixels=pixels, label=label)
    assert labels.channels(evidence).outcome == outcome


def test_images_chosen_for_being_hard_say_nothing_of_channels(small: Small, asked: Make) -> None:
    """Whatever changes them rights some: the swap is no better than moving all channels by one."""

    class Contrary(nn.Module):
        """Right about a colour unless it stands in its own channel."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            seen = pixels.mean(dim=(2, 3))
            moved = seen.argmax(dim=1) != label[: len(seen)]
            right = torch.nn.functional.one_hot(label[: len(seen)], 3).float()
            return torch.where(moved[:, None], right, right.roll(1, dims=1))

    pixels, label = coloured(16)
    found = labels.channels(asked(small(Contrary()), pixels=pixels, label=label))
    assert found.outcome == "undecided"
    assert "16 gained, 0 lost" in found.evidence
    assert "with all channels moved by one 16 (0 gained, 0 lost" in found.evidence


def test_a_constant_answer_is_no_better_range(small: Small, asked: Make) -> None:
    """Sixteen pictures of one class, and a network that says it of everything black."""

    class Dark(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            bright = pixels.mean(dim=(1, 2, 3))
            return torch.stack([0.5 - bright, bright - 0.5, 0 * bright - 9], dim=1)

    pixels, _ = coloured(16)
    pixels = pixels / pixels.mean(dim=(1, 2, 3), keepdim=True) * 0.6
    black = torch.zeros(16, dtype=torch.int64)
    found = labels.scale(asked(small(Dark()), pixels=pixels, label=black))
    assert found.outcome == "undecided"
    assert "over 255 16 of 16 right" in found.evidence
    assert "of one class, as a constant answer would give" in found.evidence


def test_grey_pictures_tell_nothing_of_channels(small: Small, asked: Make) -> None:
    assert labels.channels(asked(small(), pixels=shades(16)[0])).outcome == "undecided"


def test_a_network_that_knows_nothing_tells_nothing(small: Small, asked: Make) -> None:
    pixels, label = coloured(16)
    green = torch.ones_like(label)
    found = labels.channels(asked(small(), pixels=pixels, label=green))
    assert found.outcome == "undecided"
    assert "no answer is right" in found.evidence


@pytest.mark.parametrize(
    ("white", "outcome", "said"),
    [
        (1, "passed", "16 of 16"),
        (255, "failed", "times 255 16"),
        (1 / 255, "failed", "over 255 16"),
    ],
)
def test_range(white: float, outcome: str, said: str, small: Small, asked: Make) -> None:
    pixels, label = shades(16)
    found = labels.scale(asked(small(Nearest(white)), pixels=pixels, label=label))
    assert found.outcome == outcome, found.evidence
    assert said in found.evidence or outcome == "passed"


@pytest.mark.parametrize(("n", "outcome"), [(7, "undecided"), (8, "failed")])
def test_two_scales_share_one_percent(n: int, outcome: str, small: Small, asked: Make) -> None:
    """Medium and bright, so that declared pixels name none: seven gained is p = 1 / 128."""
    label = torch.arange(n) % 2 + 1
    pixels = torch.tensor([0.2, 0.5, 0.8])[label][:, None, None, None].expand(n, 3, 16, 16)
    found = labels.scale(asked(small(Nearest(255)), pixels=pixels, label=label))
    assert found.outcome == outcome, found.evidence


@given(gained=st.integers(0, 40), lost=st.integers(0, 40))
def test_mcnemar_against_scipy(gained: int, lost: int) -> None:
    chance = 1.0
    if gained + lost:
        chance = binomtest(gained, gained + lost, alternative="greater").pvalue
    outcome = labels.mcnemar(gained, lost, "").outcome
    assert (outcome == "failed") == (chance < 0.01)
    assert (outcome == "passed") == (gained <= lost)


def imagenet() -> ClassMap:
    return class_map("imagenet", Path())


def test_the_shipped_names_are_the_tables(small: Small, asked: Make) -> None:
    classifier = replace(small(), classes=imagenet())
    found = labels.synset_table(asked(classifier, labelled=False))
    assert found == ("passed", "1000 synsets and names are those of the table, in its order")


@pytest.mark.parametrize("mistake", ["shifted", "two swapped", "one short", "no synsets"])
def test_wrong_names_fall(mistake: str, small: Small, asked: Make) -> None:
    classes = imagenet()
    names, synsets = list(classes.names), list(classes.synsets or ())
    wrong = {
        "shifted": replace(classes, names=(*names[1:], names[0])),
        "two swapped": replace(classes, synsets=(synsets[1], synsets[0], *synsets[2:])),
        "one short": replace(classes, names=tuple(names[:-1]), synsets=tuple(synsets[:-1])),
        "no synsets": replace(classes, synsets=None),
    }[mistake]
    found = labels.synset_table(asked(replace(small(), classes=wrong), labelled=False))
    counts = {"shifted": 1000, "two swapped": 2, "one short": 1, "no synsets": 1000}
    assert found.outcome == "failed"
    assert found.evidence.startswith(f"{counts[mistake]} of 1000 classes")


def test_other_classes_have_no_table(small: Small, asked: Make) -> None:
    assert labels.synset_table(asked(small())).outcome == "undecided"


def set_of(n: int, sample_of: str | None = "colors", total: int | None = None) -> ImageSet:
    images = tuple(Image(str(i), Path(str(i)), "red") for i in range(n))
    return replace(collect("made up", images, sample_of), total=total or n)


def rows_of(label: np.ndarray, first: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(len(label))],
            "label": label,
            "top5": [[one, 0] for one in first],
            "correct1": label == first,
        }
    )


def answered(n: int, right: float, names: list[int], classes: int = 3) -> pd.DataFrame:
    """Return rows of a network that is right with this chance and calls class i names[i]."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % classes
    meant = np.where(rng.random(n) < right, label, rng.integers(0, classes, n))
    return rows_of(label, np.array(names)[meant])


@pytest.mark.parametrize(
    ("names", "right", "outcome"),
    [
        ([0, 1, 2], 0.7, "passed"),
        ([0, 1, 2], 1.0, "passed"),
        ([1, 2, 0], 0.7, "failed"),
        ([1, 0, 2], 0.7, "failed"),
    ],
)
def test_order_of_labels(
    names: list[int], right: float, outcome: str, small: Small, asked: Make
) -> None:
    rows = answered(90, right, names)
    found = labels.order(asked(small(), image_set=set_of(90), rows=rows))
    assert found.outcome == outcome, found.evidence


@pytest.mark.parametrize("counts", [(5, 20, 10), (10, 25, 15), (20, 40, 20)])
def test_a_network_that_says_one_thing_has_no_other_order(
    counts: tuple[int, ...], small: Small, asked: Make
) -> None:
    """Another constant would be right more often; that is bad, and no order of labels."""
    label = np.repeat(np.arange(3), counts)
    rows = rows_of(label, np.zeros_like(label))
    found = labels.order(asked(small(), image_set=set_of(len(label)), rows=rows))
    assert found.outcome != "failed", found.evidence


def test_chance_has_no_better_order(small: Small, asked: Make) -> None:
    """The best renaming always fits the images it was made for: held-out ones it must not fit."""
    fell = 0
    colors = ClassMap("colors", tuple(map(str, range(40))), None)
    classifier = replace(small(), classes=colors)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        rows = rows_of(np.arange(200) % 40, rng.integers(0, 40, 200))
        evidence = asked(classifier, labelled=False, image_set=set_of(200), rows=rows)
        fell += labels.order(evidence).outcome == "failed"
    assert fell <= 2


@pytest.mark.parametrize("why", ["no sample", "too few", "one class", "an axis", "no answers"])
def test_order_cannot_be_told(why: str, small: Small, asked: Make) -> None:
    from vision_evals.core.errors import NotApplicableError

    rows = answered(12 if why == "too few" else 90, 0.7, [1, 2, 0])
    if why == "one class":
        rows = rows[rows["label"] == 0]
    if why == "no answers":
        rows = rows.drop(columns="top5")
    kind = {"measure": fgsm.MEASURE} if why == "an axis" else {}
    images = set_of(90, None if why == "no sample" else "colors")
    with pytest.raises(NotApplicableError):
        labels.order(asked(small(), image_set=images, rows=rows, **kind))


@pytest.mark.parametrize(
    ("right", "outcome"), [(70, "passed"), (62, "passed"), (50, "failed"), (95, "failed")]
)
def test_accuracy_as_published(right: int, outcome: str, small: Small, asked: Make) -> None:
    first = np.where(np.arange(100) < right, 0, 1)
    rows = rows_of(np.zeros(100, dtype=int), first)
    classifier = replace(small(), published={"top1_accuracy": 0.7})
    found = labels.clean_accuracy(asked(classifier, image_set=set_of(100), rows=rows))
    assert found.outcome == outcome, found.evidence
    assert (binomtest(right, 100, 0.7).pvalue < 0.01) == (outcome == "failed")


@pytest.mark.parametrize("why", ["unpublished", "chosen", "limited", "among", "few", "no column"])
def test_accuracy_cannot_be_told(why: str, small: Small, asked: Make) -> None:
    n = 3 if why == "few" else 100
    rows = rows_of(np.zeros(n, dtype=int), np.ones(n, dtype=int))
    evidence = asked(
        replace(small(), published={} if why == "unpublished" else {"top1_accuracy": 0.7}),
        image_set=set_of(n, None if why == "chosen" else "colors", 500 if why == "limited" else n),
        rows=rows.drop(columns="correct1") if why == "no column" else rows,
        parameters=Parameters(among="set" if why == "among" else "all"),
    )
    assert labels.clean_accuracy(evidence).outcome == "undecided"
