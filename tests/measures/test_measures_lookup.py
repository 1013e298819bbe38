"""Measures by name: the shipped ones from the package, a user's own from beside the suite."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.measures import MEASURES, lookup

OWN = """
from vision_evals import Measure, MetricSpec, Table, fraction

class Parameters(Table):
    pass

def function(probe, parameters):
    return {{"hit": probe.logits.argmax(dim=1) == probe.answers.label}}

color = Measure(
    name={name!r}, about={about!r}, parameters=Parameters, labels=True,
    metrics=(MetricSpec("hits", "Share of hits."),), observe=function,
    summarise=lambda rows, parameters, subject: (fraction("hits", rows["hit"], subject),),
)
"""


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def write(base: Path, name: str = "color", about: str = "mine") -> None:
    base.mkdir(exist_ok=True)
    (base / "own_measures.py").write_text(OWN.format(name=name, about=about), encoding="utf-8")


@pytest.mark.parametrize("name", MEASURES)
def test_a_shipped_measure_needs_no_folder(name: str, base: Path) -> None:
    (base / "evals.py").touch()  # not in the way
    paths = list(sys.path)
    assert lookup(name, base).name == name
    assert sys.path == paths


def test_one_of_the_users_own(base: Path) -> None:
    write(base)
    paths = list(sys.path)
    found = lookup("own_measures:color", base)
    assert (found.name, found.about) == ("color", "mine")
    assert sys.path == paths


def test_two_suites_with_modules_of_one_name(base: Path) -> None:
    write(base / "a", about="first")
    write(base / "b", about="second")
    assert lookup("own_measures:color", base / "a").about == "first"
    with pytest.raises(UserError, match=r"have one name.*rename the first"):
        lookup("own_measures:color", base / "b")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("acuracy", r'unknown measure "acuracy"; did you mean "accuracy"\?'),
        ("own_measures:colour", r'has no measure "colour"; did you mean "color"\?'),
        ("own_measures:function", "is a function, not a Measure"),
        ("own_nowhere:color", "cannot import own_nowhere"),
    ],
)
def test_mistakes_have_a_repair(target: str, says: str, base: Path) -> None:
    write(base)
    with pytest.raises(UserError, match=says):
        lookup(target, base)


@pytest.mark.parametrize(
    "name",
    [
        *("skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings"),
        *("tryfirst", "trylast", "a-b", "a b", "a(b)", "1st", "", "_color", "not", "True"),
    ],
)
def test_a_name_that_cannot_be_a_marker(name: str, base: Path) -> None:
    write(base, name)
    with pytest.raises(UserError, match=r'"own_measures:color".*name = "color"'):
        lookup("own_measures:color", base)
