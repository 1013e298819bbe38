"""Every call of an activation or dropout in a forward, once, with the module it comes from.

`TorchFunctionMode` sees a function whether a module or the network's own code calls it; it does
not know modules, so hooks keep a stack of them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from vision_evals.core.errors import InvalidError

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a watched function."""

    function: Function
    """The function, as a `TorchFunctionMode` gets it."""
    path: str
    """Of the innermost module whose forward is running; ``""`` for the network itself."""
    number: int
    """From 1: which call of a watched function in that module, within this forward."""
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    axis: int | None = None
    """The axis of the units of the layer before: 1 for a convolution, -1 for a dense layer."""

    def run(self) -> Tensor:
        """Call the function as the network called it."""
        output: Tensor = self.function(*self.arguments, **self.keywords)
        return output

    def changed(self, values: Mapping[tuple[int, str], Any]) -> Call:
        """Return the call with other arguments, each named by its place and its name."""
        arguments, keywords = list(self.arguments), dict(self.keywords)
        for (place, name), value in values.items():
            if len(arguments) > place:
                arguments[place] = value
            else:
                keywords[name] = value
        return replace(self, arguments=tuple(arguments), keywords=keywords)

    def argument(self, place: int, *names: str, default: Any = None) -> Any:
        """Return an argument by its place, or by the first of its names, or the default."""
        if len(self.arguments) > place:
            return self.arguments[place]
        return next((self.keywords[name] for name in names if name in self.keywords), default)

    def __str__(self) -> str:
        return f"{self.path or 'network'}, call {self.number}"


Handler = Callable[[Call], Tensor]
"""Takes a call and returns what the network gets from it."""


@contextlib.contextmanager
def watching(
    network: nn.Module, functions: frozenset[Function], handler: Handler
) -> Iterator[None]:
    """Pass every call of ``functions`` to a handler while the block runs the network.

    Args:
        network: whose module names are used; eager.
        functions: the calls to watch; all others run as they are.
        handler: called in the order of the forward. Its own calls are not watched.

    Raises:
        InvalidError: the network holds TorchScript, whose calls cannot be seen.
    """
    _refuse_opaque(network)
    mode = _Mode(network, functions, handler)
    hooks = (
        nn.modules.module.register_module_forward_pre_hook(mode.enter),
        nn.modules.module.register_module_forward_hook(mode.leave, always_call=True),
    )
    try:
        with mode:
            yield
    finally:
        for hook in hooks:
            hook.remove()


def _refuse_opaque(network: nn.Module) -> None:
    for name, module in network.named_modules():
        compiled = type(module).__name__ == "OptimizedModule"  # torch.compile's
        if compiled or isinstance(module, torch.jit.ScriptModule):
            what = "compiled" if compiled else "TorchScript"
            raise InvalidError(
                f"cannot see inside {name or 'the network'}: it is {what}, which hides its "
                "calls; build the network from its Python source"
            )


class _Mode(TorchFunctionMode):
    """Passes watched calls to a handler, with the module whose forward is running."""

    def __init__(
        self, network: nn.Module, functions: frozenset[Function], handler: Handler
    ) -> None:
        super().__init__()
        self._functions, self._handler = functions, handler
        self._names = {id(module): name for name, module in network.named_modules()}
        self._stack = [""]
        self._axis: int | None = None
        self._calls: Counter[str] = Counter()

    def enter(self, module: nn.Module, _: Any) -> None:
        self._stack.append(self._names.get(id(module), self._stack[-1]))

    def leave(self, module: nn.Module, *_: Any) -> None:
        self._stack.pop()
        if isinstance(module, _ConvNd):
            self._axis = 1
        elif isinstance(module, nn.Linear):
            self._axis = -1

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
        return self._handler(Call(func, path, self._calls[path], args, keywords, self._axis))
