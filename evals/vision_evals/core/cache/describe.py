"""A description of a value that is the same in every process, or an error where there is none.

Two values with equal descriptions compute alike.
"""

from __future__ import annotations

import collections
import enum
import fractions
import functools
import hashlib
import inspect
import io
import logging
import pathlib
import re
import threading
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

MAX_PARTS = 20_000
"""A value of more parts is not described: it may be a data set that is stored in a module."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, range, slice, type(...))
_WRITTEN = (pathlib.PurePath, fractions.Fraction, re.Pattern, np.dtype)
_IDLE = (
    *(logging.Logger, logging.Handler, io.IOBase, types.ModuleType),
    *(type(threading.Lock()), type(threading.RLock()), threading.local),
)
"""Types that compute nothing."""


class UnknownValueError(Exception):
    """A value cannot be described from outside."""


def describe(value: object, tensor: Callable[[Any], str | None] = lambda _: None) -> str:
    """Return a value in words: no address, no order of sets, every attribute of its parts.

    Functions are described by their name, code, defaults and closures.

    Args:
        value: of any kind.
        tensor: returns the description of a value that it knows, None for others.

    Raises:
        UnknownValueError: it holds something that hides what it is, or too much to look at.
    """
    try:
        return _Description(tensor).of(value)
    except UnknownValueError:
        raise
    except Exception as error:  # attributes may be computed, and refuse
        raise UnknownValueError(f"{type(error).__name__} while looking at it") from error


class _Description:
    """One description: a part that was met before is only referred to, and there is a limit."""

    def __init__(self, tensor: Callable[[Any], str | None]) -> None:
        self._tensor = tensor
        self._met: dict[int, int] = {}
        self._alive: list[object] = []  # or an address could be used twice

    def of(self, value: object) -> str:
        if isinstance(value, enum.Enum):
            return f"{_name(type(value))}.{value.name}"
        if type(value) in _PLAIN or isinstance(value, _WRITTEN):
            return f"{type(value).__name__} {value!r}"
        if isinstance(value, np.generic | np.ndarray):
            return self._array(np.asarray(value))
        if (description := self._tensor(value)) is not None:
            return description
        if id(value) in self._met:
            return f"met {self._met[id(value)]}"
        if len(self._met) >= MAX_PARTS:
            raise UnknownValueError("it holds too much to look at")
        self._met[id(value)] = len(self._met)
        self._alive.append(value)
        return self._compound(value)

    def _array(self, value: np.ndarray[Any, Any]) -> str:
        if value.dtype.hasobject:
            return f"objects {value.shape} {self._all(value.ravel().tolist())}"
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"{value.dtype} {value.shape} {content}"

    def _compound(self, value: object) -> str:
        if isinstance(value, Mapping):
            pairs = sorted(f"{self.of(key)}: {self.of(item)}" for key, item in list(value.items()))
            return f"{_name(type(value))} {{{', '.join(pairs)}}} {self._rest(value)}"
        if isinstance(value, list | tuple | collections.deque):
            return f"{_name(type(value))} {self._all(value)} {self._rest(value)}"
        if isinstance(value, set | frozenset):
            return f"{_name(type(value))} {sorted(self.of(item) for item in value)}"
        if isinstance(value, functools.partial):
            return f"partial {self._all((value.func, value.args, value.keywords))}"
        if inspect.ismethod(value):
            return f"method {self._all((value.__self__, value.__func__))}"
        if inspect.isfunction(value):
            return self._function(value)
        if isinstance(value, type | types.BuiltinFunctionType | types.GenericAlias | np.ufunc):
            return _name(value)
        if isinstance(value, types.CellType):
            return self._cell(value)
        if isinstance(value, weakref.ReferenceType):
            return f"reference to {self.of(value())}"
        if (inner := getattr(value, "__wrapped__", None)) is not None and callable(value):
            return f"{_name(type(value))} of {self.of(inner)}"
        if isinstance(value, _IDLE):
            return _name(type(value))
        return self._object(value)

    def _all(self, values: Any) -> str:
        return f"[{', '.join([self.of(value) for value in values])}]"

    def _rest(self, value: object) -> str:
        own = getattr(value, "__dict__", None)
        return "" if not own else self.of(dict(own))

    def _function(self, value: types.FunctionType) -> str:
        cells = [self._cell(cell) for cell in value.__closure__ or ()]
        defaults = self._all((value.__defaults__, value.__kwdefaults__))
        name = f"{value.__module__}.{value.__qualname__}"
        code = self._code(value.__code__)
        return f"function {name} {code} {cells} {defaults} {self._rest(value)}"

    def _cell(self, cell: types.CellType) -> str:
        try:
            return self.of(cell.cell_contents)
        except ValueError:  # not filled yet
            return "empty"

    def _code(self, code: types.CodeType) -> str:
        constants = [
            self._code(constant) if isinstance(constant, types.CodeType) else self.of(constant)
            for constant in code.co_consts
        ]
        return f"{code.co_names} {code.co_varnames} {constants} {code.co_code.hex()}"

    def _object(self, value: object) -> str:
        slots: list[str] = []
        for kind in type(value).__mro__:
            declared = kind.__dict__.get("__slots__", ())
            slots += [declared] if isinstance(declared, str) else declared
        slots = [name for name in slots if name not in {"__dict__", "__weakref__"}]
        own = getattr(value, "__dict__", None)
        if own is None and not slots:
            raise UnknownValueError(f"a {_name(type(value))} hides what it is")
        attributes = {name: getattr(value, name) for name in slots if hasattr(value, name)}
        return f"{_name(type(value))} {self.of({**attributes, **(own or {})})}"


def _name(value: Any) -> str:
    home = getattr(value, "__module__", None)
    return f"{home}.{getattr(value, '__qualname__', None) or getattr(value, '__name__', value)}"
