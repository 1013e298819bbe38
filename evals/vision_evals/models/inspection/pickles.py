"""What a pickle would import and call, read from its instructions. Nothing is executed.

A pickle is a program for a machine with a stack. ``pickletools`` knows what each instruction
takes and leaves; that is enough to know the two words of every import, unless the pickle computes
them: then it is reported as `COMPUTED`. No torch.
"""

from __future__ import annotations

import io
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_PICKLE_BYTES = 64 << 20
"""How much of a pickle is read. The one in a checkpoint names tensors and holds no numbers."""

MAX_INSTRUCTIONS = 5_000_000
"""How many instructions are read; a tensor takes about 40."""

COMPUTED = "a name that is computed while the pickle runs"
"""Stands for an import whose words are not in the pickle."""

_MARK = pickletools.markobject
_STORES = {"PUT", "BINPUT", "LONG_BINPUT"}
_FETCHES = {"GET", "BINGET", "LONG_BINGET"}
_EXTENSIONS = {"EXT1", "EXT2", "EXT4"}
_WORDS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PickleImports:
    """What one or several pickles that follow each other would import."""

    names: tuple[str, ...]
    """Each ``module.name`` once, in the order of the first mention."""
    pickles: int
    """How many were read to their end."""
    broken: str | None
    """Why the next one was not read to its end; the part before would run all the same."""


def read_imports(data: bytes, most: int | None = None) -> PickleImports:
    """Read the pickles that ``data`` begins with, at most ``most``, without running them.

    Args:
        data: one pickle or several, one after the other, and then perhaps something else.
        most: how many pickles; None for all.
    """
    file = io.BytesIO(data[:MAX_PICKLE_BYTES])
    names: dict[str, None] = {}
    pickles = steps = 0
    broken = None
    while (most is None or pickles < most) and file.tell() < len(data) and broken is None:
        machine = _Machine()
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


class _Machine:
    """The stack and the memo of the pickle machine; strings are kept, all else is ``None``."""

    def __init__(self) -> None:
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
            literal = len(words) == 2 and all(isinstance(word, str) for word in words)
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
            word = argument if name in _WORDS else None
            self._take(operation.stack_before)
            stack.extend(_MARK if kind is _MARK else word for kind in operation.stack_after)

    def _take(self, takes: list[pickletools.StackObject]) -> None:
        stack = self._stack
        if takes and takes[-1] is pickletools.stackslice:
            while stack and stack.pop() is not _MARK:
                pass
            takes = takes[: takes.index(_MARK)]
        for _ in takes:
            if stack:
                stack.pop()


def _python3_name(module: str, name: str) -> str:
    """Return the Python 3 name of a name that Python 2 wrote."""
    if (module, name) in NAME_MAPPING:
        return ".".join(NAME_MAPPING[module, name])
    return f"{IMPORT_MAPPING.get(module, module)}.{name}"
