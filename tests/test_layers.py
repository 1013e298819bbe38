"""Imports go one way, and what must stay light stays light (DESIGN: rooms)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vision_evals

PACKAGE = Path(vision_evals.__file__).parent

LAYERS = (
    {"errors", "paths", "imports", "names", "portion", "worker"},
    {"schema", "log", "statistics", "paired", "progress", "draws", "cache", "profiling"},
    {"spec"},
    {"suite", "options", "environment", "device"},
    {"verdict", "summary"},
    {"results", "init"},
    {"images"},
    {"classifiers"},
    {"attacks", "calls"},
    {"fast_paths"},
    {"probe"},
    {"training"},
    {"measures"},
    {"validity"},
    {"selection", "compare"},
    {"judging", "share"},
    {"baseline"},
    {"passes"},
    {"start"},
    {"session", "merge", "trial", "noise", "predict", "fool", "check_file"},
    {"selftest"},
    {"plugin", "cli", "serve", "xdist", "controller"},
)
"""From the ground up: a room imports from its own layer and those before it."""

ALONE = {"report": {"errors", "paths", "log"}}
"""The report reads the log and nothing else, so an old run renders without torch."""


def imports(file: Path) -> set[str]:
    """Return the rooms of ``evals`` that a file imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evals":
            parts = (node.module or "").split(".")
            names = [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
            found |= set(names) - {"__version__"}
    return found


def rooms() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        found.setdefault(room, set()).update(imports(file) - {room})
    found.pop("__init__")
    return found


def test_every_room_has_a_layer() -> None:
    assert set(rooms()) == set().union(*LAYERS) | set(ALONE)


@pytest.mark.parametrize("room", sorted(rooms()))
def test_imports_go_one_way(room: str) -> None:
    if room in ALONE:
        allowed = ALONE[room]
    else:
        level = next(i for i, layer in enumerate(LAYERS) if room in layer)
        allowed = set().union(*LAYERS[: level + 1])
        reporting = {"session", "merge", "selftest", "compare", "cli", "serve", "results"}
        allowed |= set(ALONE) if room in reporting else set()
    assert rooms()[room] <= allowed


def test_only_the_plugin_imports_pytest() -> None:
    for file in PACKAGE.rglob("*.py"):
        names = {
            name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        # the last two are asked for by pytest-xdist, which has pytest loaded
        may = file.name in {"plugin.py", "xdist.py", "controller.py"}
        assert may or not any(n.split(".")[0] in {"pytest", "xdist"} for n in names), file


def test_no_measure_imports_another() -> None:
    texts = {file.stem: file.read_text("utf-8") for file in (PACKAGE / "measures").glob("*.py")}
    measures = [name for name, text in texts.items() if "\nMEASURE = Measure(" in text]
    assert len(measures) >= 10
    for text in texts.values():
        assert not any(f"measures.{other} import" in text for other in measures)


@pytest.mark.parametrize(
    "module",
    [
        "vision_evals.plugin",
        "vision_evals.suite.suite",
        "vision_evals.engine.jobs",
        "vision_evals.report",
        "vision_evals.report.export.files",
        "vision_evals.report.export.junit",
        "vision_evals.report.export.annotations",
        "vision_evals.report.export.tracking",
        "vision_evals.report.export.mlflow",
        "vision_evals.cli.init",
        "vision_evals.log",
        "vision_evals.cli",
        "vision_evals.measures.accuracy",
        "vision_evals.verdict",
        "vision_evals.cli.merge",
        "vision_evals.cli.serve.server",
    ],
)
def test_without_torch(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_plugin_alone_is_light() -> None:
    """``import vision_evals.plugin`` loads nothing that pytest has not loaded already."""
    code = (
        "import pytest, sys; before = set(sys.modules); import vision_evals.plugin;"
        "print(sorted(n for n in set(sys.modules) - before if not n.startswith('evals')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"[]", "['difflib']"}
