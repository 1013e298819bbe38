"""What people import: ``from evals import ...``, light until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vision_evals

ISSUE = {
    *("Measure", "MetricSpec", "Metric", "Probe", "Table"),
    *("fraction", "resampled", "run", "read"),
}


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_costs_the_standard_library_and_nothing_else() -> None:
    code = (
        "import sys; import vision_evals; dir(vision_evals); vision_evals.__all__;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} - sys.stdlib_module_names"
        " - {'vision_evals', '__main__', 'sitecustomize'}),"
        " [n for n in sys.modules if 'vision_evals.' in n])"
    )
    with_it = python(code)
    without = python(
        code.replace("import vision_evals; dir(vision_evals); vision_evals.__all__;", "")
    )
    assert with_it == without


def test_what_reads_runs_needs_no_torch() -> None:
    code = "import sys; from vision_evals import Measure, Metric, MetricSpec, Run, Table, read;"
    assert python(f"{code} print('torch' in sys.modules)") == "False"


def test_every_name_is_there_for_people_and_for_those_who_check_types() -> None:
    assert ISSUE <= set(vision_evals.__all__) <= set(dir(vision_evals))
    tree = ast.parse(Path(vision_evals.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {
        str(alias.asname): node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == vision_evals._MODULES
    assert list(vision_evals.__all__) == sorted(typed)
    for name in vision_evals.__all__:
        assert getattr(vision_evals, name) is vars(vision_evals)[name]
    assert callable(vision_evals.run)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'vision_evals' has no attribute 'Mesure'"):
        _ = vision_evals.Mesure  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="cannot import name 'Mesure'"):
        exec("from vision_evals import Mesure")
