"""What fits on a page, and in which order pictures are taken for it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from PIL import Image

from vision_evals.report import picture_budget
from vision_evals.report.addresses import Inline
from vision_evals.report.picture_budget import Wanted


def picture(directory: Path, name: str) -> int:
    """Write a picture and return how many bytes of a page it takes."""
    out = io.BytesIO()
    Image.frombytes("RGB", (8, 8), random.Random(7).randbytes(192)).save(out, "WEBP", lossless=True)
    (directory / name).write_bytes(out.getvalue())
    return len(Inline().address(out.getvalue(), name))


def want(directory: Path, *names: str) -> tuple[list[Wanted], int]:
    """Return pictures named by check and number, such as ``a1``, or ``a1-fair``; and their cost."""
    costs = {picture(directory, name) for name in names}
    assert len(costs) == 1
    return [Wanted(name, name, name[0], name.endswith("fair")) for name in names], costs.pop()


def test_the_worst_of_each_check_in_turn_and_the_fair_last(tmp_path: Path) -> None:
    names = ("a1", "a2", "a3", "a4-fair", "b1", "b2-fair", "c1", "c2")
    order = ("a1", "b1", "c1", "a2", "c2", "a3", "a4-fair", "b2-fair")
    wanted, cost = want(tmp_path, *names)
    for number in range(len(names) + 1):
        found = picture_budget.select(wanted, tmp_path, Inline(), number * cost)
        assert {one.name for one in found.shown} == set(order[:number])
        assert [one.name for one in found.left_out] == [
            name for name in names if name not in order[:number]
        ]


def test_no_byte_more_than_there_is_room_for(tmp_path: Path) -> None:
    wanted, cost = want(tmp_path, "a1", "b1")
    found = picture_budget.select(wanted, tmp_path, Inline(), 2 * cost - 1)
    assert sum(len(shown.address) for shown in found.shown.values()) == cost
    assert [one.name for one in found.left_out] == ["b1"]


def test_what_is_missing_takes_no_room(tmp_path: Path) -> None:
    wanted, cost = want(tmp_path, "a1", "a2")
    (tmp_path / "a1").unlink()
    found = picture_budget.select(wanted, tmp_path, Inline(), cost)
    assert {one.name for one in found.shown} == {"a2"}
    assert found.missing == {wanted[0]: "a1 is missing"}
    assert not found.left_out


@pytest.mark.parametrize("file", ["../outside", "/etc/passwd", "sub/../../outside", "nul\0l"])
def test_nothing_is_taken_from_outside_the_run(tmp_path: Path, file: str) -> None:
    inside = tmp_path / "run"
    inside.mkdir()
    picture(tmp_path, "outside")
    found = picture_budget.select([Wanted(file, "n", "a", False)], inside, Inline(), 10**6)
    assert not found.shown
    assert list(found.missing.values()) == [f"{file} is missing"]
