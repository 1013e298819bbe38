"""Every call of an activation or dropout in a forward, seen once, with the module it came from.

`TorchFunctionMode` sees a function whether a module or the network's own code calls it; it does
not know modules, so a stack of them is kept beside it by hooks.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vision_evals.core.errors import InvalidError

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function that is watched."""

    function: Function
    """As torch names it to a mode."""
    path: str
    """Of the innermost module whose forward is running; ``""`` for the network itself."""
    number: int
    """From 1: which call of a watched function in that module, within this forward."""
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    axis: int | None = None
    """Where the layer before put its units: 1 after a convolution, -1 after a dense layer."""

    def run(self) -> Tensor:
        """Call the function as it was called."""
        found: Tensor = self.function(*self.arguments, **self.keywords)
        return found

    def __str__(self) -> str:
        return f"{self.path or 'network'}, call {self.number}"


_CONVOLUTIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)

Answer = Callable[[Call], Tensor]
"""Takes a call and returns what the network is to get from it."""


@contextlib.contextmanager
def watching(network: nn.Module, functions: frozenset[Function], answer: Answer) -> Iterator[None]:
    """Answer every call of ``functions`` while the block runs the network.

    Args:
        network: whose module names are used; eager.
        functions: which calls are of interest; all others run as they are.
        answer: called in the order of the forward. Its own calls are not watched.

    Raises:
        InvalidError: the network holds TorchScript, whose calls cannot be seen.
    """
    _seen_through(network)
    stack = [""]
    axes: list[int | None] = [None]
    names = {id(module): name for name, module in network.named_modules()}

    def enter(module: nn.Module, _: Any) -> None:
        stack.append(names.get(id(module), stack[-1]))

    def leave(module: nn.Module, *_: Any) -> None:
        stack.pop()
        if isinstance(module, _CONVOLUTIONS):
            axes[0] = 1
        elif isinstance(module, nn.Linear):
            axes[0] = -1

    hooks = (
        nn.modules.module.register_module_forward_pre_hook(enter),
        nn.modules.module.register_module_forward_hook(leave, always_call=True),
    )
    try:
        with _Mode(functions, answer, stack, axes):
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _seen_through(network: nn.Module) -> None:
    for name, module in network.named_modules():
        compiled = type(module).__name__ == "OptimizedModule"  # torch.compile's
        if compiled or isinstance(module, torch.jit.ScriptModule):
            what = "compiled" if compiled else "TorchScript"
            raise InvalidError(
                f"cannot see inside {name or 'the network'}: it is {what}, which hides its "
                "calls; build the network from its Python source"
            )


class _Mode(TorchFunctionMode):
    def __init__(
        self,
        functions: frozenset[Function],
        answer: Answer,
        stack: list[str],
        axes: list[int | None],
    ) -> None:
        super().__init__()
        self._functions = functions
        self._answer = answer
        self._stack = stack
        self._axes = axes
        self._calls: Counter[str] = Counter()

    def __torch_function__(
        self,
        func: Function,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        keywords = kwargs or {}
        if func not in self._functions:
            return func(*args, **keywords)
        path = self._stack[-1]
        self._calls[path] += 1
        return self._answer(Call(func, path, self._calls[path], args, keywords, self._axes[0]))
