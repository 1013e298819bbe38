"""torchvision without the compiler of torch, which half of its import would go to.

One function for detection networks asks at its call whether code can be compiled there. For that,
torchvision imports ``torch._dynamo``, two to three seconds of CPU in every process. Whatever is
imported from here instead of torchvision leaves that import to the first call.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo.utils"


class _StandIn(ModuleType):
    """Is imported in place of the compiler's module, and passes every use on to it."""

    def is_compile_supported(self, device: Any) -> Any:
        return _compiler().is_compile_supported(device)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_compiler(), name)


def _compiler() -> ModuleType:
    if isinstance(sys.modules.get(COMPILER), _StandIn):
        del sys.modules[COMPILER]
    return importlib.import_module(COMPILER)


def _import_torchvision() -> None:
    sys.modules.setdefault(COMPILER, _StandIn(COMPILER))
    try:
        importlib.import_module("torchvision")
    finally:
        if isinstance(sys.modules.get(COMPILER), _StandIn):
            del sys.modules[COMPILER]


_import_torchvision()

from torchvision import models  # noqa: E402
from torchvision.transforms import functional  # noqa: E402

__all__ = ["functional", "models"]
