"""What a pickle would import and call, read from its instructions. Nothing is executed.

A pickle is a program for a machine with a stack. ``pickletools`` knows what each instruction
takes and leaves; that is enough to know the two words of every import, unless the pickle computes
them: then it is reported as `COMPUTED`. What torch allows for weights can still ask for memory or
time without end; such calls break a pickle here. No torch.
"""

from __future__ import annotations

import io
import math
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_PICKLE_BYTES = 64 << 20
"""How much of a pickle is read. The one in a checkpoint names tensors and holds no numbers."""

MAX_INSTRUCTIONS = 2_000_000
"""How many instructions are read; a tensor takes about 40."""

COMPUTED = "a name that is computed while the pickle runs"
"""Stands for an import whose words are not in the pickle."""

_MAX_NESTED, _MAX_TUPLE = 100, 1_000_000
"""Tuples in tuples, and values in all of them; to hash a key, Python goes through all."""

_MAX_ITEMS = 16
"""Values of a tuple that are kept; tensors have fewer dimensions."""

_MARK = pickletools.markobject
_STORES = {"PUT", "BINPUT", "LONG_BINPUT"}
_FETCHES = {"GET", "BINGET", "LONG_BINGET"}
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}
_LITERALS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4",
}  # fmt: skip
_TUPLES = {"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
_CALLS = {"REDUCE", "NEWOBJ"}


@dataclass(frozen=True, slots=True)
class PickleImports:
    """What one or several pickles that follow each other would import."""

    names: tuple[str, ...]
    """Each ``module.name`` once, in the order of the first mention."""
    pickles: int
    """How many were read to their end."""
    broken: str | None
    """Why the next one was not read to its end; the part before would run all the same."""


def read_imports(data: bytes, most: int | None = None, size: int | None = None) -> PickleImports:
    """Read the pickles that ``data`` begins with, at most ``most``, without running them.

    Args:
        data: one pickle or several, one after the other, and then perhaps something else.
        most: how many pickles; None for all.
        size: bytes of the whole file, in which the numbers are; by default those of ``data``.
    """
    file = io.BytesIO(data[:MAX_PICKLE_BYTES])
    names: dict[str, None] = {}
    pickles = steps = 0
    broken = None
    while (most is None or pickles < most) and file.tell() < len(data) and broken is None:
        machine = _Machine(len(data) if size is None else size)
        try:
            for operation, argument, _ in pickletools.genops(file):
                steps += 1
                names.update(dict.fromkeys(machine.step(operation, argument)))
                if steps > MAX_INSTRUCTIONS:
                    raise ValueError(f"more than {MAX_INSTRUCTIONS:,} instructions")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - hostile bytes raise anything
            broken = f"{type(error).__name__}: {error}"[:200]
        else:
            pickles += 1
    if broken is not None and len(data) > MAX_PICKLE_BYTES:
        broken = f"longer than {MAX_PICKLE_BYTES >> 20} MiB, which are read"
    return PickleImports(tuple(names), pickles, broken)


class _Name(str):
    """An import."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Tuple:
    items: tuple[Any, ...] | None
    """None where they are too many to be kept."""
    values: int
    """In this and all tuples in it, as often as they occur."""
    nested: int

    @classmethod
    def of(cls, items: list[Any]) -> _Tuple:
        """Return a tuple, or raise a ValueError where hashing it would take for ever."""
        inner = [item for item in items if isinstance(item, _Tuple)]
        values = len(items) + sum(item.values for item in inner)
        nested = 1 + max((item.nested for item in inner), default=0)
        if values > _MAX_TUPLE or nested > _MAX_NESTED:
            raise ValueError("tuples in tuples without end")
        return cls(tuple(items) if len(items) <= _MAX_ITEMS else None, values, nested)


def _items(value: Any) -> tuple[Any, ...] | None:
    return value.items if isinstance(value, _Tuple) else None


class _Machine:
    """The stack and the memo of the pickle machine; what is no literal and no import is None."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._storages: dict[str | int, int] = {}
        self._numbers = 0
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, operation: pickletools.OpcodeInfo, argument: Any) -> Iterator[str]:
        """Do one instruction, and yield what it would import."""
        name = operation.name
        if name in {"GLOBAL", "INST"}:  # INST calls it at once
            yield _python3_name(*str(argument).split(" ", 1))
        elif name in _EXTENSIONS:
            yield f"extension {argument} of copyreg"
        elif name == "STACK_GLOBAL":
            words = self._stack[-2:]
            literal = len(words) == 2 and all(type(word) is str for word in words)
            yield ".".join(words) if literal else COMPUTED
        elif name in {"NEXT_BUFFER", "READONLY_BUFFER"}:
            yield "a buffer from outside the file"
        self._move(operation, argument)

    def _move(self, operation: pickletools.OpcodeInfo, argument: Any) -> None:
        name, stack = operation.name, self._stack
        top = stack[-1] if stack else None
        if name in _STORES:
            self._memo[int(argument)] = top
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = top
        elif name in _FETCHES:
            stack.append(self._memo.get(int(argument)))
        elif name == "DUP":
            stack.append(top)
        else:
            made = self._made(name, argument, self._take(operation.stack_before))
            kept = {_MARK: _MARK, pickletools.pylist: pickletools.pylist}
            stack.extend(kept.get(kind, made) for kind in operation.stack_after)

    def _made(self, name: str, argument: Any, taken: list[Any]) -> Any:
        """Return what an instruction leaves on the stack, if it is known."""
        first, last = (taken[0], taken[-1]) if taken else (None, None)
        if name in _LITERALS:
            return argument
        if name in _TUPLES:
            return _Tuple.of(taken)
        if name == "GLOBAL":
            return _Name(_python3_name(*str(argument).split(" ", 1)))
        if name == "STACK_GLOBAL":
            return _Name(".".join(map(str, taken)))
        if name == "BINPERSID":
            self._refuse_large(first)
        elif name == "BUILD":  # of before torch 0.4: storage, offset, shape, strides
            state = _items(last) or ()
            if len(state) == 4 or last is pickletools.pylist:
                self._refuse_shape(state[2] if state else None)
        elif name in _CALLS:
            self._refuse_endless(first, last)
            if first == "torch.Size":  # as then
                return next(iter(_items(last) or ()), None)
        return None

    def _take(self, takes: list[pickletools.StackObject]) -> list[Any]:
        """Take values from the stack, and return those behind a mark, or all without one."""
        stack: list[Any] = self._stack
        slice_: list[Any] = []
        if takes and takes[-1] is pickletools.stackslice:
            while stack and (item := stack.pop()) is not _MARK:
                slice_.append(item)
            takes = takes[: takes.index(_MARK)]
            for _ in takes[: len(stack)]:
                stack.pop()
            return slice_[::-1]
        taken = [stack.pop() for _ in takes[: len(stack)]]
        return taken[::-1]

    def _refuse_large(self, storage: Any) -> None:
        """Raise a ValueError where storages have more numbers than the file has bytes."""
        items = _items(storage)
        # kind, type, key, place, numbers; a key that is no literal is new every time
        if items is not None and len(items) > 4 and type(items[4]) is int:
            key = items[2] if type(items[2]) is str else len(self._storages)
            self._numbers += max(0, items[4] - self._storages.get(key, 0))
            self._storages[key] = max(items[4], self._storages.get(key, 0))
            if self._numbers > self._size:
                raise ValueError(f"storages of {self._numbers:,} numbers in {self._size:,} bytes")

    def _refuse_shape(self, shape: Any) -> None:
        """Raise a ValueError where a tensor has more numbers than the file has bytes."""
        sides = _items(shape)
        if sides is None or any(type(side) is not int or side < 0 for side in sides):
            raise ValueError("a tensor whose shape is computed while the pickle runs")
        if math.prod(sides) > self._size:
            raise ValueError(f"of {sides}: the numbers are not all there")

    def _refuse_endless(self, called: Any, args: Any) -> None:
        """Raise a ValueError where an allowed call would take memory or time without end."""
        if not isinstance(called, _Name):
            return
        items = _items(args)
        module, _, name = called.rpartition(".")
        if called in {"builtins.bytearray", "_codecs.encode"}:  # of n bytes; by a slow codec
            fine = items is not None and items[1:] in {(), ("latin1",), ("latin-1",)}
            fine = fine and all(type(item) is not int for item in items or ())
        elif name == "_rebuild_from_type_v2":  # calls another one
            fine = items is not None and len(items) > 2 and isinstance(items[0], _Name)
            if fine and items:
                self._refuse_endless(items[0], items[2])
        elif name.startswith(("_rebuild_tensor", "_rebuild_qtensor")):
            self._refuse_shape(items[2] if items is not None and len(items) > 2 else None)
            fine = True
        else:
            makes = module.startswith("torch") and name.endswith(("Tensor", "Storage"))
            fine = not makes or items == ()
        if not fine:
            raise ValueError(f"{called} could take memory or time without end")


def _python3_name(module: str, name: str) -> str:
    """Return the Python 3 name of a name that Python 2 wrote."""
    if (module, name) in NAME_MAPPING:
        return ".".join(NAME_MAPPING[module, name])
    return f"{IMPORT_MAPPING.get(module, module)}.{name}"
