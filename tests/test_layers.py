"""Imports go down the floors of the house, and what must stay light stays light.

See docs/architecture.md.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import vision_evals

PACKAGE = Path(vision_evals.__file__).parent

BELOW: dict[str, set[str]] = {
    "core": set(),
    "log": {"core"},
    "suite": {"core", "log"},
    "report": {"core", "log"},
    "images": {"core", "log", "suite"},
    "models": {"core", "log", "suite", "images"},
    "attacks": {"core", "log", "suite", "images", "models"},
    "measures": {"core", "log", "suite", "images", "models", "attacks"},
    "validity": {"core", "log", "suite", "images", "models", "attacks", "measures"},
    "verdict": {"core", "log", "suite", "images", "models", "attacks", "measures"},
}
"""Room to the rooms that it may import."""
BELOW["engine"] = {*BELOW, "report"}
BELOW["cli"] = BELOW["plugin"] = {*BELOW}

FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(file): file for file in FILES}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path, *, inside: bool = True) -> set[str]:
    """Return the modules of ours that a file imports.

    Args:
        file: read.
        inside: also those within functions, which cost and bind at another time.
    """
    found = set()
    late = {n for f in ast.walk(tree(file)) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree(file)):
        if node in late and not inside:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vision_evals":
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in NAMES else str(node.module) for name in named}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in NAMES}
    return found - {"vision_evals"}


def room(name: str) -> str:
    return name.split(".")[1]


def test_the_house_has_thirteen_rooms_and_nothing_stands_outside() -> None:
    assert {f.name for f in PACKAGE.iterdir() if f.is_dir() and f.name != "__pycache__"} == {*BELOW}
    assert {file.name for file in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("name", BELOW)
def test_a_room_imports_what_is_below_it(name: str) -> None:
    found = {
        f"{name_of(file)} imports {module}"
        for file in (PACKAGE / name).rglob("*.py")
        for module in imports(file)
        if room(module) not in {name, *BELOW[name]}
    }
    assert not found


def test_no_file_imports_in_a_circle() -> None:
    graph = {name: imports(file) & NAMES.keys() - {name} for name, file in NAMES.items()}
    # a package's __init__ re-exports its own files, which never import it
    while free := {name for name, used in graph.items() if not used & graph.keys()}:
        graph = {name: used for name, used in graph.items() if name not in free}
    assert not graph


def test_nothing_imports_the_source_root_as_a_package() -> None:
    """``evals.vision_evals`` would be a second copy, whose classes are not the first's."""
    root = PACKAGE.parents[1]
    assert not (root / "evals" / "__init__.py").exists()
    for folder in ("evals", "tests", "benchmarks"):
        for file in (root / folder).rglob("*.py"):
            modules = {
                name
                for node in ast.walk(tree(file))
                for name in (
                    [alias.name for alias in node.names]
                    if isinstance(node, ast.Import)
                    else [node.module or ""]
                    if isinstance(node, ast.ImportFrom)
                    else []
                )
            }
            assert not any(name.split(".")[0] == "evals" for name in modules), file


def test_only_the_plugin_imports_pytest() -> None:
    for file in FILES:
        names = {
            name.split(".")[0]
            for node in ast.walk(tree(file))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
            )
        }
        ours = file.is_relative_to(PACKAGE / "plugin")
        assert ours or not names & {"pytest", "xdist"}, file


def test_no_measure_imports_another() -> None:
    texts = {file.stem: file.read_text("utf-8") for file in (PACKAGE / "measures").glob("*.py")}
    measures = [name for name, text in texts.items() if "\nMEASURE = Measure(" in text]
    assert len(measures) >= 10
    for text in texts.values():
        assert not any(f"measures.{other} import" in text for other in measures)


def loaded(code: str) -> set[str]:
    """Return the modules that a new process has after running some code."""
    code += "; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "cli.init",
        "cli.merge",
        "cli.serve.server",
        "engine.jobs",
        "engine.run",
        "log",
        "measures.accuracy",
        "plugin",
        "report",
        "report.export.annotations",
        "report.export.files",
        "report.export.junit",
        "report.export.mlflow",
        "report.export.tracking",
        "report.result",
        "suite.suite",
        "verdict.judge",
    ],
)
def test_without_torch(module: str) -> None:
    assert "torch" not in loaded(f"import vision_evals.{module}")


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        (
            "models.build",
            "torch._dynamo",
        ),  # two to three seconds of CPU, for a function unused here
        ("measures.fgsm", "scipy.stats"),
        ("validity.checks", "scipy.stats"),
        ("report", "altair"),
    ],
)
def test_what_few_runs_need_is_imported_by_them(module: str, heavy: str) -> None:
    assert heavy not in loaded(f"import vision_evals.{module}")


def test_the_plugin_alone_is_light() -> None:
    """``import vision_evals.plugin`` loads nothing that pytest has not loaded already."""
    more = loaded("import vision_evals.plugin") - loaded("import pytest")
    assert {name for name in more if name.split(".")[0] != "vision_evals"} <= {"difflib"}
