"""The pages say what is: generated parts, commands, suites, links."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
import tomllib
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import PAGES, ROOT, blocks, commands, name, prose
from vision_evals import cli
from vision_evals.core.errors import UserError
from vision_evals.core.tables import validate
from vision_evals.images.art import Work
from vision_evals.images.declared import Declaration
from vision_evals.measures import lookup
from vision_evals.models.card import parse_cards
from vision_evals.suite.options import _checked
from vision_evals.suite.parse import parse
from vision_evals.suite.suite import is_suite

COMMANDS = {"bash", "evals", "pytest", "pip", "python", "ruff", "mypy", "zensical"}
OWN_SUITES = {"gate", "first", "nightly", "margins", "sure", "corners", "my_suite"}
"""Suites of a user's in the pages."""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# What is generated


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_generated_part_is_stale(generate: ModuleType, page: Path) -> None:
    text = page.read_text("utf-8")
    assert generate.generated(text) == text, f"{name(page)}: run python docs/generate.py"


def test_every_generated_part_stands_in_one_page(generate: ModuleType) -> None:
    found = [
        part
        for page in PAGES
        for part in re.findall(r"<!-- generated: (\S+) -->", page.read_text("utf-8"))
    ]
    assert sorted(found) == sorted(generate.PARTS)


def test_a_stale_part_is_noticed(generate: ModuleType) -> None:
    text = (ROOT / "docs/options.md").read_text("utf-8")
    stale = text.replace("`--evals-seed N`", "`--evals-sed N`")
    assert stale != text
    assert generate.generated(stale) == text


# What is typed


def flags(text: str) -> set[str]:
    return set(re.findall(r"--evals-[a-z-]*[a-z]", text))


def test_every_option_that_a_page_names_exists(pytestconfig: pytest.Config) -> None:
    missing = object()
    assert pytestconfig.getoption("--evals-sed", missing) is missing
    named = {(name(page), flag) for page in PAGES for flag in flags(page.read_text("utf-8"))}
    assert len(named) > 50
    unknown = {
        (page, flag) for page, flag in named if pytestconfig.getoption(flag, missing) is missing
    }
    assert not unknown


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_every_command_exists(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command)
    assert words[0] in COMMANDS, f"{page}: {command}"
    if words[0] != "evals":
        return
    code: str | int | None = 0
    try:
        cli._parser().parse_args(words[1:])
    except SystemExit as ended:
        code = ended.code
    assert code == 0, f"{page}: {command}: {capsys.readouterr().err}"


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    for words in (["serv", "runs"], ["report", "x", "--outt", "y"], ["predict"]):
        with pytest.raises(SystemExit):
            cli._parser().parse_args(words)


def test_every_command_that_is_mentioned_exists() -> None:
    mentioned = {
        (name(page), word)
        for page in PAGES
        for word in re.findall(r"`evals ([a-z][a-z-]*)", prose(page))
    }
    assert len(mentioned) > 10
    for page, word in mentioned:
        with pytest.raises(SystemExit) as ended:
            cli._parser().parse_args([word, "--help"])
        assert ended.value.code == 0, (page, word)


def test_every_script_that_is_mentioned_exists() -> None:
    found = {
        script
        for page in PAGES
        for script in re.findall(r"python ((?:benchmarks|docs)/\w+\.py)", page.read_text("utf-8"))
    }
    assert len(found) > 3
    assert all((ROOT / script).is_file() for script in found)


def test_every_shipped_suite_that_is_named_exists() -> None:
    for page in PAGES:
        for word in re.findall(r"suites/([\w/*-]+)\.toml", page.read_text("utf-8")):
            assert word in OWN_SUITES or any(ROOT.glob(f"suites/{word}.toml")), (page, word)
    shipped = {path.name for path in (ROOT / "suites").glob("*.toml")}
    listed = set(re.findall(r"`(\w+\.toml)`", (ROOT / "docs/suites.md").read_text("utf-8")))
    assert shipped <= listed


def test_nothing_promises_a_package_that_nobody_published() -> None:
    for page in PAGES:
        for line in page.read_text("utf-8").splitlines():
            promised = re.search(r"pip install\b", line) and "vision-evals" in line
            assert not promised or " @ " in line, (page, line)


def test_every_line_of_python_parses_and_imports_what_there_is() -> None:
    found = blocks("python")
    assert len(found) > 5
    for block in found:
        for node in ast.walk(ast.parse(block.text)):
            ours = isinstance(node, ast.ImportFrom) and str(node.module).startswith("vision_evals")
            if ours:
                assert isinstance(node, ast.ImportFrom)
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), block


# What is written in TOML


def judged(text: str, page: str) -> None:
    """Read a block as what it is for."""
    data = tomllib.loads(text)
    if text.lstrip().startswith("[[check]]"):
        text = f'evals = 1\ntitle = "part of a suite"\n{text}'
    if is_suite(text):
        parse(text, page, lambda of: lookup(of, ROOT))
    elif "tool" in data:
        table = data["tool"]["evals"]
        keys = {key.replace("-", "_"): value for key, value in table.items()}
        validate(_checked(), keys, page)
        parse_cards(table.get("models", {}), page)
    elif "work" in data:
        for work in data["work"]:
            validate(Work, work, page)
    else:
        validate(Declaration, data, page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_table_is_what_it_is_shown_for(page: Path) -> None:
    for block in blocks("toml", pages=[page]):
        if block.page != "docs/extend.md":  # whose measures are there only in its own test
            judged(block.text, block.page)


def test_a_wrong_table_would_be_noticed() -> None:
    for text in ('evals = 1\ntitel = "x"\n', "[tool.evals]\nlimmit = 3\n", "sample_off = 1\n"):
        with pytest.raises(UserError):
            judged(text, "page")


# Links


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs make them."""
    return {
        re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", _plain(heading)).strip().lower())
        for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    }


def _plain(heading: str) -> str:
    return unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()


def links(page: Path) -> Iterator[str]:
    text = prose(page)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)
    yield from re.findall(r'src="([^"]+)"', text)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_link_within_the_project_is_dead(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{name(page)}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{name(page)}: {link}; there are {anchors(target)}"


def test_pages_of_the_site_link_to_pages_of_the_site() -> None:
    for page in (ROOT / "docs").glob("*.md"):
        outside = [link for link in links(page) if link.startswith("../")]
        assert not outside, f"{name(page)}: {outside}"


def test_the_site_has_every_page() -> None:
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]
    listed = [file for entry in site["nav"] for file in _files(entry)]
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def _files(entry: dict[str, object]) -> Iterator[str]:
    for value in entry.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for inner in value:
                yield from _files(inner)


# The first page


def test_the_readme_is_short_and_starts_with_what_ci_runs() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) < 200
    script = (ROOT / ".ci/run").read_text("utf-8")
    for command in re.findall(r'grep -m1 -F "([^"]+)" README.md', script):
        assert any(line.startswith(command) for line in text.splitlines())
