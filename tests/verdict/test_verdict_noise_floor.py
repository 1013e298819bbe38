"""Floors of made-up metrics, against NumPy; what a file keeps and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_evals.core.errors import UserError
from vision_evals.log import Metric, Precision
from vision_evals.verdict.noise_file import noise_path, read, write
from vision_evals.verdict.noise_floor import Noise, NoiseEntry, NoiseKey, Variation, noise_entry

VALUES = st.floats(-1e3, 1e3)


def metric(name: str, value: float | None, at: str | None = None) -> Metric:
    reason = None if value is not None else "none"
    return Metric(
        name=name, at=at, value=value, unit="nats", n=1, denominator="images", reason=reason
    )


def variation(batch: int, precision: Precision = "fp32") -> Variation:
    return Variation(device="cpu", precision=precision, batch_size=batch, threads=1)


def check_input(fingerprint: str = "f", **more: object) -> NoiseKey:
    fields = {"classifier": "a", "check": "c", "measure": "m", "parameters": {"x": [1, "1/255"]}}
    return NoiseKey.model_validate(
        {**fields, "fingerprint": fingerprint, "images": ("i",), **more}, strict=True
    )


def taken(*values: float | None, precision: Precision = "fp32") -> NoiseEntry:
    rows = [(variation(1 + n, precision), [metric("v", v)]) for n, v in enumerate(values)]
    return noise_entry(check_input(), rows, "2026-11-24")


@given(st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=8))
def test_a_floor_is_the_largest_distance_from_the_reference(
    pairs: list[tuple[float, float]],
) -> None:
    rows = [
        (variation(1 + n), [metric("a", a, "0"), metric("a", b, "1")])
        for n, (a, b) in enumerate(pairs)
    ]
    found = noise_entry(check_input(), rows, "2026-11-24")
    table = np.array(pairs)
    expected = np.abs(table - table[0]).max(axis=0)
    assert [m.at for m in found.floors] == ["0", "1"]
    np.testing.assert_array_equal([m.floor for m in found.floors], expected)
    np.testing.assert_array_equal([m.reference for m in found.floors], table[0])
    for column, moved in enumerate(found.floors):
        if moved.most is None:
            assert expected[column] == 0
        else:
            row = moved.most.batch_size - 1
            assert abs(table[row, column] - table[0, column]) == moved.floor > 0


def test_a_metric_without_a_value_somewhere_has_no_floor() -> None:
    assert taken(1.0, None, 2.0).floors == ()
    assert taken(None, 1.0).floors == ()


def test_precisions_never_share_a_floor() -> None:
    exact = taken(0.5, 0.51)
    rows = [(variation(n, "bf16"), [metric("v", v)]) for n, v in ((1, 0.7), (2, 0.72))]
    rough = noise_entry(check_input(), rows, "2026-11-25", exact)
    assert rough.floors[0].from_fp32 == pytest.approx(0.2)
    assert exact.floors[0].from_fp32 is None
    noise = Noise(machine="m").merged((exact, rough))
    for precision, expected in (("fp32", 0.01), ("bf16", 0.02), ("tf32", None)):
        found = noise.floor(check_input(), precision, metric("v", 0.5))  # type: ignore[arg-type]
        assert (found and found.value) == (expected and pytest.approx(expected))


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": "g"},
        {"measure": "n"},
        {"parameters": {"x": [1, "2/255"]}},
        {"images": ("j",)},
        {"images": ("i", "j")},
    ],
)
def test_another_question_has_no_floor(other: dict[str, object]) -> None:
    noise = Noise(machine="m").merged((taken(1.0, 2.0),))
    assert noise.floor(check_input(), "fp32", metric("v", 1.0)) is not None
    assert noise.floor(check_input(**other), "fp32", metric("v", 1.0)) is None  # type: ignore[arg-type]
    assert noise.floor(check_input(), "fp32", metric("w", 1.0)) is None
    assert noise.floor(check_input(), "fp32", metric("v", 1.0, at="0")) is None


def test_names_for_people_do_not_count() -> None:
    noise = Noise(machine="m").merged((taken(1.0, 2.0),))
    assert noise.floor(check_input(classifier="b", check="d"), "fp32", metric("v", 1.0)) is not None


def test_the_newer_entry_stays_unless_it_was_interrupted() -> None:
    noise = Noise(machine="m").merged((taken(1.0, 2.0, 1.5),))
    again = noise.merged((taken(1.0, 1.25, 1.5),))
    assert [m.floor for e in again.entries for m in e.floors] == [0.5]
    brief = noise.merged((taken(1.0, 1.25),))
    assert brief == noise


def test_runs_of_other_variations_never_lower_a_floor() -> None:
    """One thread at three batch sizes, then all threads, interrupted: each saw its own."""
    one = taken(1.0, 1.5, 1.0)
    rows = [(variation(n), [metric("v", v)]) for n, v in ((1, 1.0), (7, 1.25), (8, 1.0), (9, 1.0))]
    both = (
        Noise(machine="m").merged((one,)).merged((noise_entry(check_input(), rows, "2026-11-25"),))
    )
    (found,) = both.entries
    assert [moved.floor for moved in found.floors] == [0.5]
    assert {v.batch_size for v in found.variations} == {1, 2, 3, 7, 8, 9}
    wide = [(variation(n), [metric("v", 1.0)]) for n in (1, 2, 3, 7, 8, 9)]
    (last,) = both.merged((noise_entry(check_input(), wide, "2026-11-26"),)).entries
    assert [moved.floor for moved in last.floors] == [0.0]


def test_a_file_comes_back_as_it_was_and_is_merged(tmp_path: Path) -> None:
    file = noise_path(tmp_path, "Xeon(R) @ 2.10GHz, torch 2")
    assert file.parent == tmp_path / "noise"
    assert file.name.startswith("xeon-r-2-10ghz-torch-2-")
    assert noise_path(tmp_path, "Xeon(R) @ 2.10GHz, torch 3") != file
    said: list[str] = []
    assert read(file, "m", said.append) == Noise(machine="m")
    noise = Noise(machine="m").merged((taken(0.1, 0.3), taken(1.0, 2.0, precision="bf16")))
    write(file, noise)
    found = read(file, "m", said.append)
    assert (found, said) == (noise, [])
    assert found.floor(check_input(), "fp32", metric("v", 0.1)) is not None
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("damage", ["half", "negative", "key", "number", "bytes", "version"])
def test_a_damaged_file_is_named_and_ignored(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "noise.json"
    write(file, Noise(machine="m").merged((taken(0.1, 0.3),)))
    text = file.read_text(encoding="utf-8")
    data = json.loads(text)
    if damage == "half":
        file.write_text(text[: len(text) // 2], encoding="utf-8")
    elif damage == "bytes":
        file.write_bytes(b"\xff\x00")
    else:
        moved = data["entries"][0]["floors"][0]
        moved |= {
            "negative": {"floor": -1.0},
            "key": {"flor": 1.0},
            "number": {"floor": "0.1"},
        }.get(damage, {})
        data |= {"version": 2} if damage == "version" else {}
        file.write_text(json.dumps(data), encoding="utf-8")
    said: list[str] = []
    assert read(file, "m", said.append) == Noise(machine="m")
    (warning,) = said
    assert str(file) in warning
    assert "\n" not in warning


def test_the_file_of_another_machine_is_no_use(tmp_path: Path) -> None:
    file = tmp_path / "noise.json"
    write(file, Noise(machine="other").merged((taken(0.1, 0.3),)))
    said: list[str] = []
    assert read(file, "m", said.append).entries == ()
    assert "measured on other" in said[0]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "noise").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be kept"):
        write(tmp_path / "noise" / "m.json", Noise(machine="m"))
