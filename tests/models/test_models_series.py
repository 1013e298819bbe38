"""A pattern of checkpoints: files, order, aliases and places, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.models.request import Request, aliases, parse_requests, places, unique


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "odd [1]" / "runs"
    folder.mkdir(parents=True)
    for number in (10, 2, 1):
        (folder / f"epoch_{number}.pth").touch()
    (folder / "epoch_3.pth").mkdir()
    return folder


def test_each_file_in_natural_order(runs: Path) -> None:
    for text, base in (
        ("alexnet@epoch_*.pth", runs),
        ("alexnet@runs/epoch_*.pth", runs.parent),
        ("alexnet@**/epoch_?*.pth", runs.parent),
    ):
        assert parse_requests(text, base) == tuple(
            Request(f"epoch_{n}", "alexnet", runs / f"epoch_{n}.pth", "alexnet", float(n))
            for n in (1, 2, 10)
        )


def test_a_given_alias_goes_before_the_stem(runs: Path) -> None:
    found = parse_requests("mine=alexnet@epoch_[12].pth", runs)
    assert [(one.alias, one.series) for one in found] == [
        ("mine-epoch_1", "mine"),
        ("mine-epoch_2", "mine"),
    ]


def test_what_is_no_series(runs: Path) -> None:
    (runs / "epoch_*.pth").touch()
    assert parse_requests("alexnet@epoch_*.pth", runs) == (
        Request("alexnet", "alexnet", runs / "epoch_*.pth"),
    )
    (runs / "lr[0.1]?.pth").touch()
    assert [one.series for one in parse_requests("a=alexnet@lr[0.1]?.pth", runs)] == [None]
    assert [one.series for one in parse_requests("alexnet@nothing.pth", runs)] == [None]
    assert parse_requests("alexnet", runs) == (Request("alexnet", "alexnet", None),)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (
            "epoch_*.pt",
            r'the folder \S+ \[1\]/runs holds no file epoch_\*\.pt; did you mean "epoch',
        ),
        ("nowhere/epoch_*.pth", "there is no folder .*/runs/nowhere"),
        ("../runs/epoch_3.pth/*", r"the folder .*epoch_3.pth holds no file at all"),
        ("*/epoch_7*", r"holds no file \*/epoch_7\*"),
    ],
)
def test_a_pattern_without_a_file(runs: Path, pattern: str, says: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_requests(f"alexnet@{pattern}", runs)
    assert f"alexnet@{pattern}" in str(raised.value)
    assert re.search(says, str(raised.value))


def test_one_stem_in_two_folders(runs: Path) -> None:
    for name in ("a", "b"):
        (runs / name).mkdir()
        (runs / name / "last.pth").touch()
    with pytest.raises(UserError, match=r"two classifiers are called .last.*a series of its own"):
        unique(parse_requests("alexnet@*/last.pth", runs))
    apart = [*parse_requests("a=alexnet@a/*.pth", runs), *parse_requests("alexnet@b/*", runs)]
    assert [one.alias for one in unique(apart)] == ["a-last", "last"]


@pytest.mark.parametrize(
    ("stems", "expected"),
    [
        (["epoch_1", "epoch_2", "epoch_10"], [1, 2, 10]),
        (["epoch=3-val_loss=0.12", "epoch=4-val_loss=0.11"], [3, 4]),
        (["resnet18-step1000", "resnet18-step2000"], [1000, 2000]),
        (["net_0.5", "net_0.75"], [0.5, 0.75]),
        (["best", "epoch_1"], [1, 2]),
        (["a1", "b1", "c2"], [1, 2, 3]),
        (["x"], [1]),
    ],
)
def test_places(stems: list[str], expected: list[float]) -> None:
    assert places([Path(f"{stem}.pth") for stem in stems]) == expected


@given(st.lists(st.text(min_size=1).filter(lambda s: "/" not in s and "\0" not in s), min_size=1))
def test_any_file_has_an_alias_and_a_place(stems: list[str]) -> None:
    found = [Path("runs") / f"{stem}.pth" for stem in stems]
    assert all(re.fullmatch(r"[A-Za-z0-9._:-]+", alias) for alias in aliases(found, "a-"))
    assert len(set(places(found))) == len(found)
