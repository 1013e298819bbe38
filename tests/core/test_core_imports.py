"""What a person names is imported from beside their file, and is never another of its name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.core.imports import FORMER, importable, load, renamed


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refused(target: str, base: Path) -> str:
    paths = list(sys.path)
    with pytest.raises(UserError) as raised:
        load(target, base, "here", "function")
    assert sys.path == paths
    assert str(raised.value).startswith("here: ")
    return str(raised.value)


def test_an_attribute_of_a_module_beside_the_file(base: Path) -> None:
    write(base / "own_near.py", "import own_neighbour\nthing = own_neighbour.thing\n")
    write(base / "own_neighbour.py", "thing = 3\n")
    write(base / "own_package" / "__init__.py", "")
    write(base / "own_package" / "inner.py", "thing = 4\n")
    paths = list(sys.path)
    assert load("own_near:thing", base, "here") == 3
    assert load("own_package.inner:thing", base, "here") == 4
    assert load("own_near:thing", base, "here") == 3
    assert load("json:loads", base, "here") is not None
    assert sys.path == paths


def test_the_path_is_as_it_was_whatever_the_module_does_to_it(base: Path) -> None:
    twice = str(base.resolve())
    sys.path.append(twice)  # an entry of somebody else's stays
    try:
        paths = list(sys.path)
        write(base / "own_path.py", "import sys\nsys.path.insert(0, 'x')\nthing = 1\n")
        load("own_path:thing", base, "here")
        assert sys.path == paths
        with importable(base):
            assert sys.path == [twice, *paths]
    finally:
        sys.path.remove(twice)


@pytest.mark.parametrize(
    ("text", "target", "says"),
    [
        ("", "own_gone:thing", "cannot import own_gone: ModuleNotFoundError"),
        ("import own_gone\n", "own_a:thing", "No module named 'own_gone'"),
        ("def f(:\n", "own_a:thing", "cannot import own_a: SyntaxError"),
        ("1 / 0\n", "own_a:thing", "cannot import own_a: ZeroDivisionError"),
        ("x = 1\nx.y\n", "own_a:thing", "cannot import own_a: AttributeError"),
        ("things = 1\n", "own_a:thing", 'own_a.py has no function "thing"; did you mean "things"?'),
        (
            "def __getattr__(name):\n    raise OSError(name)\n",
            "own_a:thing",
            "cannot import own_a:thing: OSError: thing",
        ),
        ("", "own_a", "not of the form module:function"),
        ("", "own_a:", "not of the form module:function"),
        ("", ":thing", "not of the form module:function"),
        ("", ".own_a:thing", "not of the form module:function"),
        ("", "own_a.inner:thing", "'own_a' is not a package"),
    ],
)
def test_whatever_fails_is_a_mistake_with_words(
    base: Path, text: str, target: str, says: str
) -> None:
    write(base / "own_a.py", text)
    assert says in refused(target, base)


def test_only_a_module_that_is_nowhere_names_the_folder(base: Path) -> None:
    write(base / "own_a.py", "import own_gone\n")
    assert f"{base} holds no such module and none is installed" in refused("own_gone:x", base)
    assert "holds no such module" not in refused("own_a:x", base)


def test_a_second_module_of_one_name_is_refused(base: Path) -> None:
    first = write(base / "a" / "own_same.py", "thing = 1\n")
    second = write(base / "b" / "own_same.py", "thing = 2\n")
    assert load("own_same:thing", base / "a", "here") == 1
    message = refused("own_same:thing", base / "b")
    assert f"{second} and {first} have one name" in message
    assert load("own_same:thing", base / "a", "here") == 1


def test_packages_of_one_name_are_refused(base: Path) -> None:
    for name, number in (("a", 1), ("b", 2)):
        write(base / name / "own_package" / "__init__.py", "")
        write(base / name / "own_package" / "inner.py", f"thing = {number}\n")
        write(base / name / "own_space" / "inner.py", f"thing = {number}\n")
    assert load("own_package.inner:thing", base / "a", "here") == 1
    assert load("own_space.inner:thing", base / "a", "here") == 1
    assert "have one name" in refused("own_package.inner:thing", base / "b")
    # without __init__.py a package has no file of its own, its modules have
    assert "have one name" in refused("own_space.inner:thing", base / "b")


def test_a_folder_without_the_module_does_not_get_that_of_another(base: Path) -> None:
    first = write(base / "a" / "own_same.py", "thing = 1\n")
    (base / "b").mkdir()
    load("own_same:thing", base / "a", "here")
    message = refused("own_same:thing", base / "b")
    assert f"{base / 'b'} holds no module own_same" in message
    assert str(first) in message


def test_one_file_by_two_paths_is_one_module(base: Path) -> None:
    write(base / "a" / "own_same.py", "thing = 1\n")
    (base / "b").symlink_to(base / "a")
    assert load("own_same:thing", base / "a", "here") == 1
    assert load("own_same:thing", base / "b", "here") == 1


NEW = "from vision_evals import Measure"


@pytest.mark.parametrize("name", [FORMER, f"{FORMER}.measures.measure", f"{FORMER}.spec"])
def test_the_packages_former_name_is_answered_with_the_new_one(name: str) -> None:
    assert NEW in renamed(ModuleNotFoundError(f"No module named {name!r}", name=name))
    assert NEW in renamed(ImportError("cannot import name 'Measure'", name=name))


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'torch'", name="torch"),
        ModuleNotFoundError(name=f"{FORMER}_of_mine"),
        ModuleNotFoundError(name=f"mine.{FORMER}"),
        ModuleNotFoundError("no name"),
        ValueError(FORMER),
    ],
)
def test_other_modules_that_are_missing_say_nothing_of_it(error: Exception) -> None:
    assert renamed(error) == ""


def test_a_users_module_of_an_older_version_is_told_what_to_import(base: Path) -> None:
    gone = f"{FORMER}.gone_for_good"
    for text in (f"from {gone} import Measure\n", f"import {gone} as measure\n"):
        write(base / "own_old.py", text)
        sys.modules.pop("own_old", None)
        message = refused("own_old:thing", base)
        assert "cannot import own_old: ModuleNotFoundError" in message
        assert message.endswith("from vision_evals import Measure, MetricSpec, fraction")
        assert "\n" not in message
    assert NEW in refused(f"{gone}:MEASURE", base)
