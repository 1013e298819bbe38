"""Forked processes: every unit once, errors as they were raised, no process left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from vision_evals.core.errors import UserError
from vision_evals.models.processes import (
    EndedError,
    can_fork,
    forked,
    one_thread,
    processes_on,
    threads,
)

CPU = torch.device("cpu")
needs_fork = pytest.mark.skipif(not can_fork(CPU), reason="needs Linux without an accelerator")


def no_child_is_left() -> bool:
    return not multiprocessing.active_children()


def echo(units: Iterator[int], send: Callable[[Any], None]) -> None:
    for unit in units:
        send((unit, os.getpid(), torch.get_num_threads()))


@needs_fork
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_every_unit_is_done_once_in_other_processes_of_one_thread(count: int) -> None:
    results = list(forked(range(count), 3, echo))
    assert Counter(unit for unit, _, _ in results) == Counter(range(count))
    assert os.getpid() not in {process for _, process, _ in results}
    assert {number for _, _, number in results} == {1}
    assert no_child_is_left()


@needs_fork
def test_the_results_are_those_of_one_process_bit_for_bit() -> None:
    weights = torch.rand(64, 300, generator=torch.Generator().manual_seed(0))

    def multiply(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            inputs = torch.rand(300, 40, generator=torch.Generator().manual_seed(unit))
            send((unit, weights @ inputs))

    alone: dict[int, torch.Tensor] = {}
    with one_thread(CPU):
        multiply(iter(range(9)), lambda result: alone.update([result]))
    shared = dict(forked(range(9), 2, multiply))
    assert shared.keys() == alone.keys()
    assert all(torch.equal(shared[unit], alone[unit]) for unit in alone)


@needs_fork
def test_an_error_is_raised_as_it_was_and_ends_the_others() -> None:
    def fail(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            if unit == 3:
                raise UserError("unit 3 is wrong")
            send(unit)
            time.sleep(0.05)

    with pytest.raises(UserError, match="unit 3 is wrong"):
        list(forked(range(1000), 2, fail))
    assert no_child_is_left()


class UnportableError(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")


@needs_fork
def test_an_error_that_cannot_be_pickled_keeps_its_words() -> None:
    def fail(_: Iterator[int], __: Callable[[Any], None]) -> None:
        raise UnportableError(1, 2)

    with pytest.raises(RuntimeError, match="UnportableError: 1 and 2"):
        list(forked(range(2), 2, fail))


@needs_fork
def test_a_process_that_is_killed_is_a_sentence() -> None:
    def die(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            send(unit)
            if unit == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(UserError, match=r"was ended \(SIGKILL\), perhaps for lack of memory"):
        list(forked(range(1000), 2, die))
    assert no_child_is_left()


@needs_fork
@pytest.mark.parametrize(
    ("end", "said"),
    [(lambda: os._exit(0), "exit code 0"), (os.abort, "SIGABRT")],
)
def test_how_a_process_ended_and_at_which_unit(
    end: Callable[[], None], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def die(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            send(unit)
            if unit == 2:
                end()

    with pytest.raises(EndedError) as caught:
        list(forked(range(5), 1, die))
    assert caught.value.unit == 2
    assert caught.value.reason == f"its process was ended ({said})"
    assert capfd.readouterr().err == ""  # no traceback of faulthandler
    assert no_child_is_left()


@needs_fork
def test_a_process_that_left_a_child_behind_has_ended_all_the_same() -> None:
    """Its child holds the pipe open, so that no end of it is seen."""

    def die(units: Iterator[int], send: Callable[[Any], None]) -> None:
        next(units)
        if child := os.fork():
            send(child)
            os._exit(3)
        signal.pause()

    results = forked(range(2), 1, die)
    child = next(results)
    try:
        with pytest.raises(EndedError, match="exit code 3"):
            next(results)
    finally:
        os.kill(child, signal.SIGKILL)


@needs_fork
def test_a_process_that_does_not_end_in_time_is_ended() -> None:
    def hang(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for _ in units:
            send("something that takes long")
            signal.pause()

    with pytest.raises(EndedError) as caught:
        list(forked(range(2), 1, hang, 0.01, grace=0.01))
    assert caught.value.unit == 0
    assert "took longer than the 0.01 s of --evals-timeout" in caught.value.reason
    assert no_child_is_left()


@needs_fork
def test_work_may_fork_itself_and_none_of_it_is_left() -> None:
    def outer(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            for result in forked(range(3), 2, echo):
                send((unit, result[0]))

    results = sorted(forked(range(2), 1, outer, nested=True))
    assert results == [(unit, inner) for unit in range(2) for inner in range(3)]
    assert no_child_is_left()


@needs_fork
def test_a_reader_that_stops_leaves_no_process() -> None:
    results = forked(range(1000), 2, echo)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert no_child_is_left()


@needs_fork
def test_warnings_are_given_here() -> None:
    def warn(units: Iterator[int], send: Callable[[Any], None]) -> None:
        for unit in units:
            warnings.warn(f"of unit {unit}", UserWarning, stacklevel=1)
            send(unit)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        list(forked(range(4), 2, warn))
    assert sorted(str(w.message) for w in caught) == [f"of unit {unit}" for unit in range(4)]


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    with one_thread(CPU):
        assert torch.get_num_threads() == 1
    with threads(CPU):
        assert torch.get_num_threads() == (1 if can_fork(CPU) else before)
    with one_thread(torch.device("meta")):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("cores", "sharing", "count"), [(1, 1, 1), (2, 1, 2), (8, 3, 2), (2, 4, 1), (64, 1, 16)]
)
def test_processes_share_the_threads_of_torch(
    monkeypatch: pytest.MonkeyPatch, cores: int, sharing: int, count: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr("vision_evals.models.processes.can_fork", lambda device: device == CPU)
    assert processes_on(CPU, sharing) == count
    assert processes_on(torch.device("meta"), sharing) == 1


def test_only_linux_without_an_accelerator_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not can_fork(CPU)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr("sys.platform", "darwin")
    assert not can_fork(CPU)
    monkeypatch.setattr("sys.platform", "linux")
    assert can_fork(CPU)
    assert not can_fork(torch.device("cuda:0"))
