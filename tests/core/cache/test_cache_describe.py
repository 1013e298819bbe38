"""Values in words: other words for other values, the same in every process, or an admission."""

from __future__ import annotations

import collections
import enum
import functools
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_evals.core.cache.describe import UnknownValueError, describe


class Kind(enum.Enum):
    ONE = 1
    TWO = 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


@dataclass
class Config:
    p: float
    inner: dict[str, Any] = field(default_factory=dict)
    _hidden: object = None


class Scaler:
    def __init__(self, by: float) -> None:
        self._by = by

    def scale(self, x: float) -> float:
        return x * self._by


def closure(by: float) -> Callable[[float], float]:
    @functools.lru_cache
    def inner(x: float) -> float:
        return x * by

    return inner


def sourceless(text: str) -> Any:
    return eval(f"lambda x: {text}")


OTHERS: list[tuple[object, object]] = [
    (0.05, 0.95),
    (1, True),
    (np.float32(0.1), np.float32(0.2)),
    (np.arange(3), np.arange(4)),
    (np.arange(3), np.arange(3.0)),
    (Kind.ONE, Kind.TWO),
    (Slotted(1), Slotted(2)),
    (Path("a"), Path("b")),
    (Fraction(1, 2), Fraction(1, 3)),
    (range(3), range(4)),
    (collections.deque([1]), collections.deque([2])),
    ({"a": {"b": {"c": {"d": {"e": 1}}}}}, {"a": {"b": {"c": {"d": {"e": 2}}}}}),
    (Config(0.1), Config(0.2)),
    (Config(0.1, _hidden=1), Config(0.1, _hidden=2)),
    (Scaler(1).scale, Scaler(2).scale),
    (closure(1), closure(2)),
    (functools.partial(max, 1), functools.partial(max, 2)),
    (sourceless("x * 0.5"), sourceless("x * 0.25")),
    (sourceless("x + 1"), sourceless("x - 1")),
    (lambda x, by=1: x * by, lambda x, by=2: x * by),
    ({1, 2}, {1, 3}),
    ([1, 2], (1, 2)),
]


@pytest.mark.parametrize(("one", "other"), OTHERS, ids=map(str, range(len(OTHERS))))
def test_other_values_have_other_words(one: object, other: object) -> None:
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)


class Loud:
    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "value", [iter([1]), (x for x in "ab"), memoryview(b"a"), object(), list(range(30_000)), Loud]
)
def test_what_hides_is_admitted(value: object) -> None:
    if value is Loud:
        value = [Loud(), iter("a")]
    elif isinstance(value, list):
        value = [Scaler(one) for one in value]
    with pytest.raises(UnknownValueError):
        describe(value)


def test_rings_and_knots_have_an_end() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert "met 0" in describe(ring)
    knots: list[list[object]] = [[] for _ in range(200)]
    for knot in knots:
        knot.extend(knots)
    assert len(describe(knots)) < 10**6
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UnknownValueError):
        describe(deep)


def test_locks_and_loggers_compute_nothing() -> None:
    import logging

    held = {"lock": threading.Lock(), "log": logging.getLogger("x"), "module": sys}
    assert describe(held) == describe(
        {"lock": threading.Lock(), "log": logging.getLogger("y"), "module": sys}
    )


def test_words_are_the_same_in_every_process(tmp_path: Path) -> None:
    code = (
        "import functools; from vision_evals.core.cache.describe import describe\n"
        "class A:\n    def __init__(self): self.x, self._s = {'b', 'a', 'c'}, [lambda y: y * 2]\n"
        "def outer(z):\n    def inner(w):\n        return [q for q in (w, z)]\n    return inner\n"
        "print(describe([A(), outer(3), functools.partial(outer, 2), A().__init__]))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**__import__("os").environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
    assert " at 0x" not in said.pop()
