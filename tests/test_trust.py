"""The trust rule of docs/security.md: what is data runs nothing; what is code runs when it is used.

That checkpoints, pictures, labels, logs and tables run nothing is held by `tests/fuzz`, and by the
tests of what reads them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.inner import forgotten
from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.core.paths import user_cache, user_path
from vision_evals.engine.jobs import Catalog
from vision_evals.suite.options import read as read_options
from vision_evals.suite.suite import Suite

ROOT = Path(__file__).parents[1]

RULE = {
    "data": "suites",
    "code of whoever wrote it": "model cards, measures of your own, report templates",
    "hostile": "checkpoints, pictures, labels, manifests, logs, rows, baselines, caches",
}

SUITE = """
evals = 1
title = "canary:fire {{ canary }}"
about = "canary:fire"
models = ["mine"]
images = { photographs = "canary.py", other = "canary:fire" }
[[check]]
name = "canary"
measure = "%s"
images = "photographs"
expect = []
[[check]]
name = "other"
measure = "accuracy"
images = "other"
expect = [{ metric = "top1_accuracy", at_least = 0.5, known = "canary:fire" }]
"""

CARDS = """
[tool.evals.models.mine]
network = "canary:fire"
checkpoint = "canary.py"
classes = "canary.py"
input = { mean = [0, 0, 0], std = [1, 1, 1] }
"""


def test_the_page_states_the_rule() -> None:
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    for trust, what in RULE.items():
        assert re.search(rf"^\| \*\*{trust}\*\* \| {what}", page, re.MULTILINE)


@pytest.fixture
def collect(tmp_path: Path) -> Callable[[str], Suite]:
    """Return a function that reads a suite with this measure, in a project full of canaries."""
    (tmp_path / "canary.py").write_text(
        "import pathlib\npathlib.Path(__file__).with_name('fired').touch()\n"
    )
    (tmp_path / "pyproject.toml").write_text(CARDS)

    def collect(measure: str) -> Suite:
        file = tmp_path / "a.toml"
        file.write_text(SUITE % measure)
        catalog = Catalog.read(read_options({}, tmp_path, [file], tmp_path))
        suite = catalog.suite(file, "a.toml")
        assert len(list(catalog.jobs(suite, tmp_path))) == 2
        return suite

    return collect


def test_a_suite_is_data_until_it_names_a_measure(
    collect: Callable[[str], Suite], tmp_path: Path
) -> None:
    with forgotten(tmp_path):
        collect("accuracy")
        assert "canary" not in sys.modules
        assert not (tmp_path / "fired").exists()
        with pytest.raises(UserError, match='no measure "fire"'):
            collect("canary:fire")
        assert (tmp_path / "fired").exists(), "the canary lives"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ run.__init__.__globals__ }}",
        "{{ run.model_dump.__func__.__code__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ ''|attr('__class__') }}",
    ],
)
def test_a_template_of_ones_own_has_no_insides_of_python(template: str, tmp_path: Path) -> None:
    run = log.read(ROOT / "tests" / "log_fixtures" / "gate")
    (tmp_path / "glossary.html.jinja").write_text(template)
    with pytest.raises(
        UserError, match=r"glossary\.html\.jinja:1: SecurityError|is undefined|unsafe"
    ):
        report.render(run, ROOT / "tests" / "log_fixtures" / "gate", tmp_path)


@pytest.mark.parametrize(
    ("name", "unsafe"),
    [("pyarrow", "14.0.0"), ("pillow", "12.3.0"), ("jinja2", "3.1.5"), ("torch", "2.9.1")],
)
def test_no_release_is_allowed_that_runs_code_of_a_file(name: str, unsafe: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (needed,) = (r for r in map(Requirement, project["dependencies"]) if r.name == name)
    assert not needed.specifier.contains(unsafe)


@pytest.mark.parametrize("relative", ["", ".", "cache", "../cache"])
def test_builds_come_from_no_project(relative: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CACHE_HOME", relative)
    assert user_cache() == Path("/home/somebody/.cache/vision-evals")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert user_cache() == Path("/var/cache/vision-evals")
    monkeypatch.setenv("XDG_CACHE_HOME", relative)
    monkeypatch.setenv("HOME", "home")
    with pytest.raises(RuntimeError, match="relative"):
        user_cache()


@pytest.mark.parametrize("text", ["~nosuch/x", "a\0b", "x" * 300, "x/" * 3000])
def test_a_path_that_no_file_can_have_is_a_sentence(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be reached"):
        user_path(text, tmp_path)
    assert user_path("a/b", tmp_path) == tmp_path / "a" / "b"
