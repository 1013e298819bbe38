"""Scripts of ``benchmarks/``, which are no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> Any:
    """Return a script as a module."""
    place = FOLDER / f"{name}.py"
    if not place.exists():
        pytest.skip("benchmarks/ is not in the source distribution", allow_module_level=True)
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
