"""Order, limit and fingerprint of image sets."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.images.image_set import Image, ImageSet, collect, fingerprint, limited, natural

IDS = st.lists(st.text(min_size=1), min_size=1, unique=True)


def of(ids: list[str]) -> ImageSet:
    return collect("pets", tuple(Image(name, Path(name)) for name in ids))


def ids(image_set: ImageSet) -> list[str]:
    return [image.id for image in image_set.images]


@given(IDS, st.integers(1, 20))
def test_limit_keeps_the_smallest_hashes_in_order(names: list[str], n: int) -> None:
    smallest = sorted(names, key=lambda name: sha256(name.encode()).hexdigest())[:n]
    cut = limited(of(names), n)
    assert ids(cut) == [name for name in names if name in smallest]
    assert (cut.total, cut.limit) == (len(names), n)


@given(IDS, st.integers(1, 20), st.randoms())
def test_limit_ignores_order_and_nests(names: list[str], n: int, random: Random) -> None:
    kept = set(ids(limited(of(names), n)))
    assert kept <= set(ids(limited(of(names), n + 1)))
    shuffled = names.copy()
    random.shuffle(shuffled)
    assert kept == set(ids(limited(of(shuffled), n)))


def test_limit_keeps_the_classes_of_the_whole_source() -> None:
    pets = collect("pets", (Image("a", Path("a"), "cat"), Image("b", Path("b"), "dog")))
    assert limited(pets, 1).labels == ("cat", "dog")
    assert pets.labelled
    assert not of(["a"]).labelled


def test_limit_below_1() -> None:
    with pytest.raises(UserError, match="pets: limit 0 leaves no image; use 1 or more"):
        limited(of(["a"]), 0)


def test_natural_order() -> None:
    names = ["10", "2", "b10/1", "b9/2", "b9/10", "01", "1", "1" * 5000]
    assert sorted(names, key=natural) == (
        ["01", "1", "2", "10", "1" * 5000, "b9/2", "b9/10", "b10/1"]
    )


@given(st.lists(st.integers(0)))
def test_natural_order_of_numbers_is_numerical(numbers: list[int]) -> None:
    names = [f"x{number}.jpg" for number in numbers]
    assert sorted(names, key=natural) == [f"x{number}.jpg" for number in sorted(numbers)]


@given(st.lists(st.text(alphabet="01a/.", max_size=6)), st.randoms())
def test_natural_order_is_total(names: list[str], random: Random) -> None:
    shuffled = names.copy()
    random.shuffle(shuffled)
    assert sorted(names, key=natural) == sorted(shuffled, key=natural)


def test_fingerprint_changes_with_everything_it_covers() -> None:
    image = Image("a", Path("a"), "cat", ("dog",))
    others = [
        replace(image, id="b"),
        replace(image, label="lynx"),
        replace(image, accepted=()),
        replace(image, label=None, accepted=()),
    ]
    prints = [fingerprint(collect("x", (one,)), {one.id: "00"}) for one in (image, *others)]
    prints.append(fingerprint(collect("x", (image,)), {"a": "11"}))
    prints.append(fingerprint(collect("x", (image,)), {}))
    assert len(set(prints)) == len(prints)
    elsewhere = collect("y", (replace(image, path=Path("/else/a")),))
    assert fingerprint(elsewhere, {"a": "00"}) == prints[0]


def test_fingerprint_depends_on_the_order() -> None:
    digests = {"a": "00", "b": "11"}
    assert fingerprint(of(["a", "b"]), digests) != fingerprint(of(["b", "a"]), digests)
