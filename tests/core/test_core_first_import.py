"""No garbage is looked for during the first import of a library, nor among what it made."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from vision_evals.core.first_import import first_import_of


@pytest.fixture
def collections() -> Iterator[list[str]]:
    """Return the phases of collections, filled as they happen."""
    seen: list[str] = []

    def note(phase: str, _: object) -> None:
        seen.append(phase)

    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)


def make_objects() -> list[list[object]]:
    return [[] for _ in range(100_000)]


def test_a_first_import_is_not_interrupted(collections: list[str]) -> None:
    frozen = gc.get_freeze_count()
    with first_import_of("no_such_library"):
        collections.clear()
        kept = make_objects()
        assert collections == []
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)
    make_objects()
    assert collections  # as ever


def test_garbage_of_before_is_collected_and_a_switch_stays_off() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    gc.disable()
    try:
        garbage = weakref.ref(Cycle())
        assert garbage() is not None
        with first_import_of("no_such_library"):
            pass
        assert garbage() is None
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_library_that_is_there_changes_nothing(collections: list[str]) -> None:
    frozen = gc.get_freeze_count()
    with first_import_of("gc"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
    assert collections == []


def test_an_import_that_fails_leaves_collections_on() -> None:
    with pytest.raises(ImportError), first_import_of("no_such_library"):
        raise ImportError
    assert gc.isenabled()
