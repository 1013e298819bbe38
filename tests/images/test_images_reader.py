"""Threads that decode share the memory that one of them may take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock

from vision_evals.images.reader import Room


def test_no_more_than_the_room_is_taken_at_once() -> None:
    room, lock, inside, most = Room(100), Lock(), 0, 0

    def work(size: int) -> None:
        nonlocal inside, most
        with room.share() as take:
            take(size)
            with lock:
                inside += size
                most = max(most, inside)
            with lock:
                inside -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [60, 40, 30, 90, 10, 70] * 50))
    assert 0 < most <= 100
    with room.share() as take:
        take(100)  # all of it is free again


def test_one_that_is_larger_than_the_room_waits_for_all_of_it() -> None:
    room, begun, order = Room(100), Event(), list[str]()

    def large() -> None:
        with room.share() as take:
            begun.set()
            take(1000)
            order.append("large")

    with ThreadPoolExecutor(1) as pool:
        with room.share() as take:
            take(1)
            waiting = pool.submit(large)
            begun.wait()
            order.append("small")
        waiting.result()
    assert order == ["small", "large"]


def test_two_that_fit_are_decoded_at_once() -> None:
    """Each waits for the other inside: one after another would never meet."""
    room, meet = Room(100), Barrier(2, timeout=60)

    def work() -> int:
        with room.share() as take:
            take(50)
            return meet.wait()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(f.result() for f in [pool.submit(work), pool.submit(work)]) == [0, 1]
