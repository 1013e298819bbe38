"""Class maps against the packages they come from, and labels against class maps."""

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models import AlexNet_Weights

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import Image, ImageSet, collect
from vision_evals.images.labels import ClassMap, class_map, targets
from vision_evals.images.sources import load

IMAGENET = class_map("imagenet", Path("/nowhere"))


def labelled(*labels: str, accepted: tuple[str, ...] = ()) -> ImageSet:
    images = (Image(f"{n}.png", Path("x"), label, accepted) for n, label in enumerate(labels))
    return collect("pets", tuple(images))


def test_imagenet_against_timm_and_torchvision() -> None:
    spec = find_spec("timm")
    assert spec is not None
    assert spec.origin is not None
    synsets = (Path(spec.origin).parent / "data/_info/imagenet_synsets.txt").read_text().split()
    assert list(IMAGENET.synsets or ()) == synsets == sorted(synsets)
    assert list(IMAGENET.names) == AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    assert len(IMAGENET) == 1000
    assert IMAGENET.name == "imagenet"


def test_the_index_in_the_samples_file_names_comes_back() -> None:
    samples = load("imagenet_samples", Path())
    want = [int(image.id[:-4].split("_")[2]) for image in samples.images]
    got = targets(samples, IMAGENET)
    assert got.label.dtype == np.int64
    assert got.label.tolist() == want
    assert got.among.tolist() == sorted(set(want))
    assert got.accepted == tuple(frozenset({index}) for index in want)


@given(st.integers(0, 999))
def test_every_kind_of_token_means_the_same_class(index: int) -> None:
    assert IMAGENET.synsets is not None
    tokens = IMAGENET.synsets[index], IMAGENET.names[index], str(index), f"{index:05d}"
    assert {IMAGENET.index(token) for token in tokens} == {index}


def test_another_case_where_one_class_is_left() -> None:
    assert IMAGENET.index("BULL Mastiff") == 243
    assert (IMAGENET.index("Cardigan"), IMAGENET.index("cardigan")) == (264, 474)
    with pytest.raises(UserError, match=r'"CARDIGAN" could mean any of the classes \[264, 474\]'):
        IMAGENET.index("CARDIGAN")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("airplane", 'not a class of imagenet; did you mean .*"airliner"'),
        ("n02108423", 'not a class of imagenet; did you mean "n0'),
        ("1000", '"1000" is outside the classes 0 to 999 of imagenet; use the map'),
        ("-1", '"-1" is not a class of imagenet'),
        ("²", '"²" is not a class of imagenet'),
        ("9" * 5000, "is not a class of imagenet"),
        ("", '"" is not a class of imagenet'),
    ],
)
def test_unknown_tokens(token: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        IMAGENET.index(token)


def test_names_that_are_numbers_must_agree_with_the_index() -> None:
    digits = ClassMap("digits", tuple("0123456789"), None)
    assert [digits.index(str(n)) for n in range(10)] == list(range(10))
    shifted = ClassMap("shifted", ("1", "2", "3"), None)
    with pytest.raises(UserError, match=r'"1" could mean any of the classes \[0, 1\] of shifted'):
        shifted.index("1")
    assert shifted.index("3") == 2
    some = ClassMap("some", ("3", "7"), None)
    assert some.index("7") == 1
    with pytest.raises(UserError, match='"1" is not a class of some; known are 3, 7'):
        some.index("1")


def test_a_name_borne_by_two_classes() -> None:
    birds = ClassMap("birds", ("crane", "crane"), ("n02012849", "n03126707"))
    assert birds.index("n03126707") == 1
    with pytest.raises(UserError, match=r"\[0, 1\] of birds; use synsets, or give each class"):
        birds.index("crane")


def test_accepted_labels_count_beside_the_own() -> None:
    got = targets(labelled("967", "968", accepted=("espresso", "504")), IMAGENET)
    assert got.accepted == (frozenset({967, 504}), frozenset({968, 967, 504}))
    assert got.among.tolist() == [967, 968]


@pytest.mark.parametrize(
    ("image_set", "message"),
    [
        (labelled("0", "poodle"), 'pets: image "1.png", label "poodle" is not a class of imagenet'),
        (labelled("1000"), 'pets: image "0.png", label "1000" is outside the classes 0 to 999'),
        (labelled("0", accepted=("x",)), 'pets: image "0.png", label "x" is not a class'),
        (ImageSet("pets", labelled("0").images, ("0", "x"), 2), 'pets: label "x" is not a class'),
        (collect("art", (Image("a", Path("a")),)), "art: the images have no labels; sort them"),
    ],
)
def test_labels_that_mean_nothing(image_set: ImageSet, message: str) -> None:
    with pytest.raises(UserError, match=message):
        targets(image_set, IMAGENET)


def test_fifty_thousand_images_take_no_time() -> None:
    many = labelled(*(IMAGENET.names[n % 1000] for n in range(50_000)))
    start = time.perf_counter()
    assert targets(many, IMAGENET).among.tolist() == list(range(1000))
    assert time.perf_counter() - start < 5


def test_fingerprint_is_of_the_classes_not_of_the_file() -> None:
    one = ClassMap("a", ("cat", "dog"), None)
    assert one.fingerprint == ClassMap("b", ("cat", "dog"), None).fingerprint
    others = [("dog", "cat"), ("cat", "do", "g"), ("catdog",)]
    prints = {ClassMap("a", names, None).fingerprint for names in others}
    prints.add(ClassMap("a", ("cat", "dog"), ("n1", "n2")).fingerprint)
    assert len({one.fingerprint, *prints}) == 5
