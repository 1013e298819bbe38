"""Stages count their own time, and add up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vision_evals.log.profiling.stages import Stages, add, counting, timed
from vision_evals.log.profiling.trace import TRACED_BATCHES, traced


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, which only the test moves."""
    now = [100.0]
    monkeypatch.setattr("vision_evals.log.profiling.stages.time.perf_counter", lambda: now[0])
    return now


def test_what_happens_within_another_stage_is_not_the_outer_ones(clock: list[float]) -> None:
    found = Stages()
    with counting(found):
        with timed("attack"):
            clock[0] += 1
            with timed("forward"):
                clock[0] += 2
                with timed("forward"):
                    clock[0] += 4
            clock[0] += 8
        clock[0] += 16
        with pytest.raises(ZeroDivisionError), timed("rows"):
            clock[0] += 32 / (clock[0] < 0)
        with timed("rows"):
            clock[0] += 32
        add("read", 64)
    told = found.record(127.0)
    assert [(s.name, s.seconds, s.calls, s.beside) for s in told.stages] == [
        ("rows", 32, 2, False),
        ("attack", 9, 1, False),
        ("forward", 6, 2, False),
        ("read", 64, 1, True),
    ]
    assert told.rest == 127 - 47


def test_nothing_is_counted_where_nobody_asked(clock: list[float]) -> None:
    found = Stages()
    with timed("forward"):
        clock[0] += 1
    with counting(found), counting(None), timed("forward"):
        clock[0] += 1
    add("read", 1)
    assert found.record(2.0).stages == ()


def test_the_device_is_waited_for_at_every_border(clock: list[float]) -> None:
    def wait() -> None:
        clock[0] += 1

    found = Stages(wait=wait, synchronised=True)
    with counting(found), timed("attack"), timed("forward"):
        pass
    assert found.record(9.0).synchronised
    assert dict(found.seconds) == {"attack": 2, "forward": 1}


@pytest.mark.parametrize("batches", [0, 3, TRACED_BATCHES + 2])
def test_a_trace_holds_the_first_batches(tmp_path: Path, batches: int) -> None:
    told: list[int] = []
    found = Stages()
    with (
        counting(found),
        traced(tmp_path / "photographs.json", lambda n, _="": told.append(n)) as advance,
    ):
        for _ in range(batches):
            torch.rand(8, 8) @ torch.rand(8, 8)
            advance(4)
    assert told == [4] * batches
    (file,) = found.traces
    events = json.loads(file.read_text())["traceEvents"]
    seen = sum(event.get("name") == "aten::matmul" for event in events)
    assert seen == min(batches, TRACED_BATCHES)


def test_without_a_folder_nothing_is_traced(tmp_path: Path) -> None:
    told: list[int] = []
    with traced(None, lambda n, _="": told.append(n)) as advance:
        advance(1)
    assert told == [1]
    assert not list(tmp_path.iterdir())
