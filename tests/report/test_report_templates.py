"""Templates of a user's own: taken before ours, and every mistake in them is a sentence."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests import project as small
from tests.inner import last_run, warm
from tests.project import CLASSES, NETS, SUITE, card
from vision_evals import log, report
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.usefixtures("whole_run")

PROJECT = card("color", "nets:Color")


def furnish(folder: Path) -> None:
    texts = {
        "nets.py": NETS,
        "pyproject.toml": PROJECT,
        "colors.toml": SUITE,
        "classes.txt": CLASSES,
    }
    small.write(folder, texts)
    small.pictures(folder / "pictures", 2, (20, 20), names=("red", "blue"))


def write(folder: Path, **texts: str) -> Path:
    """Write templates, their names with underscores for dots."""
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def run(runs: ModuleType, tmp_path: Path) -> log.Run:
    made: log.Run = runs.make_run(runs.accuracy_item(tmp_path, "alexnet"))
    return made


def test_one_partial_goes_before_ours_and_the_others_stay(
    runs: ModuleType, run: log.Run, tmp_path: Path
) -> None:
    own = write(tmp_path / "own", glossary_html_jinja="<p>House words of {{ run.id }}</p>\n")
    assert report.check(own) == ()
    before = runs.Page(report.render(run, tmp_path))
    after = runs.Page(report.render(run, tmp_path, own))
    assert f"House words of {run.id}" in after.text
    assert after.headings == before.headings[: before.headings.index(("h2", "Glossary"))]


def test_an_own_partial_can_hold_ours_and_one_of_its_own(
    runs: ModuleType, run: log.Run, tmp_path: Path
) -> None:
    own = write(
        tmp_path / "own",
        verdict_html_jinja='{% include "brand.html" %}\n{% include "ours/verdict.html.jinja" %}\n',
        brand_html="<p>Department of Sight</p>\n",
    )
    assert report.check(own) == ()
    text = runs.Page(report.render(run, tmp_path, own)).text
    assert text.index("Department of Sight") < text.index("The one judged check passed.")


def test_own_styles_and_scripts_are_joined_and_named_in_the_policy(
    run: log.Run, tmp_path: Path
) -> None:
    own = write(
        tmp_path / "own",
        style_css_jinja='{% include "ours/style.css.jinja" %}\n{% include "style/house.css" %}\n',
        style__house_css="h1 { color: teal; }\n",
        script__terms_js="{ console.log(1); }\n",
    )
    assert report.check(own) == ()
    plain, html = report.render(run, tmp_path), report.render(run, tmp_path, own)
    style = html[html.index("<style>") + 7 : html.index("</style>")]
    assert style.rstrip().endswith("h1 { color: teal; }")
    assert "{ console.log(1); }" in html
    policies = [re.findall(r"sha256-[^&]+", text)[:3] for text in (plain, html)]
    assert policies[0][0] != policies[1][0], "of the style"
    assert len(set(policies[0]) ^ set(policies[1])) == 4, "and of the script"


def test_the_example_of_the_page_about_reports(
    runs: ModuleType, run: log.Run, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs/report.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:html|css)\n((?:{#|/\*) look/(\S+?):? .*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    for text, name in blocks:
        file = tmp_path / "look" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert report.check(tmp_path / "look") == ()
    shown = runs.Page(report.render(run, tmp_path, tmp_path / "look"))
    assert f"Department of Sight · run {run.id} vision-evals" in shown.text
    assert "\n.house {" in shown.html


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("glossary_html_jinja", "a\n{% if %}", r"glossary.html.jinja:2: Expected an expression"),
        ("glossary_html_jinja", "{{ 1 | nofilter }}", r":1: No filter named 'nofilter'"),
        (
            "glossary_html_jinja", "{% endif %}",
            "the built-in template to compare with: .*reports.glossary.html",
        ),
        (
            "glossary_html_jinja", '\n\n{% include "gloss.html.jinja" %}',
            r':3: there is no template "gloss.html.jinja"; did you mean "glossary.html.jinja"',
        ),
        ("verdict_html_jinja", '{% include "brand.html" %}', 'no template "brand.html"'),
    ],
)  # fmt: skip
def test_mistakes_that_can_be_known_are_said_at_once(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        report.check(write(tmp_path / "own", **{name: text}))


def test_a_mistake_in_a_partial_that_an_override_includes(tmp_path: Path) -> None:
    own = write(tmp_path / "own", glossary_html_jinja='{% include "b.html" %}', b_html="{% for %}")
    with pytest.raises(UserError, match=r"b.html:1: "):
        report.check(own)
    (own / "b.html").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"b.html: cannot be read as UTF-8 text"):
        report.check(own)


def test_files_that_nothing_uses_are_named_with_the_nearest_of_ours(tmp_path: Path) -> None:
    own = write(
        tmp_path / "own",
        glosary_html_jinja="{% if %}",
        glossary_html_jinja='{% include "new.html" ignore missing %}{% include ["x", "y"] %}',
    )
    (own / ".git").mkdir()
    (own / ".git" / "config").write_text("")
    (said,) = report.check(own)
    assert said.startswith(f"{own / 'glosary.html.jinja'}: overrides no built-in template")
    assert 'did you mean "glossary.html.jinja"' in said


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--evals-templates .*none: no such folder; name one"):
        report.check(tmp_path / "none")


def test_every_template_of_ours_can_be_a_users(run: log.Run, tmp_path: Path) -> None:
    ours = data_folder("reports")
    for file in ours.rglob("*.*"):
        copy = tmp_path / "own" / file.relative_to(ours)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    assert report.check(tmp_path / "own") == ()
    assert report.render(run, tmp_path, tmp_path / "own") == report.render(run, tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("glossary_html_jinja", "\n{{ pge.headline }}", r"glossary.html.jinja:2: 'pge' is undef"),
        ("glossary_html_jinja", "{{ page.nothing }}", r"no attribute 'nothing'; a partial knows"),
        ("glossary_html_jinja", "\n{{ 1 / 0 }}", r":2: ZeroDivisionError: division by zero"),
        ("glossary_html_jinja", "{% include run.id %}", r":1: 20261123T081720-7f3a"),
        ("components__words_html_jinja", "", r"\d: the template .*words.html.jinja' .*not export"),
        ("style_css_jinja", "{{ run.id }}", r"style.css.jinja:1: 'run' is undefined"),
    ],
)
def test_mistakes_that_show_when_a_page_is_filled(
    run: log.Run, tmp_path: Path, name: str, text: str, said: str
) -> None:
    own = write(tmp_path / "own", **{name: text})
    assert report.check(own) == ()
    with pytest.raises(UserError, match=said):
        report.render(run, tmp_path, own)


def test_a_log_of_the_first_format_is_rendered(runs: ModuleType, tmp_path: Path) -> None:
    text = (Path(__file__).parent / "format_1.json").read_text(encoding="utf-8")
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    run = log.read(tmp_path)
    assert json.loads(text)["version"] == 1
    assert run.version == log.VERSION
    page = runs.Page(report.render(run, tmp_path))
    assert page.headings[0] == ("h1", "The one judged check passed.")
    assert "0.85 (0.64 to 0.95) , n = 20" in page.text


@pytest.fixture(scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert warm(tmp_path_factory.mktemp("warm"), furnish, "colors.toml") == 0


@pytest.fixture
def project(_imported: None, pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def latest(project: pytest.Pytester) -> str:
    return (project.path / "runs" / "latest" / "report.html").read_text(encoding="utf-8")


def test_a_run_takes_them_from_the_command_line_or_tool_evals(project: pytest.Pytester) -> None:
    write(project.path / "own", glossary_html_jinja="<p>House words</p>", more_css="")
    result = project.runpytest("colors.toml", "--evals-templates", "own")
    assert result.ret == 0
    assert "<p>House words</p>" in latest(project)
    result.stdout.fnmatch_lines(["warning: *more.css: overrides no built-in template*"])
    text = '[tool.evals]\ntemplates = "own"\n' + PROJECT
    (project.path / "pyproject.toml").write_text(text, encoding="utf-8")
    assert project.runpytest("colors.toml").ret == 0
    assert "<p>House words</p>" in latest(project)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (None, "*--evals-templates *own: no such folder*"),
        ("{% if %}", "*glossary.html.jinja:1: Expected an expression*"),
    ],
)
def test_mistakes_end_a_run_before_anything_is_measured(
    project: pytest.Pytester, own: str | None, said: str
) -> None:
    if own is not None:
        write(project.path / "own", glossary_html_jinja=own)
    result = project.runpytest("colors.toml", "--evals-templates=own")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert not (project.path / "runs").exists()


def test_a_template_that_breaks_at_the_end_loses_nothing(project: pytest.Pytester) -> None:
    write(project.path / "own", glossary_html_jinja="<p>House words</p>\n{{ nothing }}")
    result = project.runpytest("colors.toml", "--evals-templates=own")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    run = last_run(project)
    assert (run.status, run.items[0].verdict) == ("finished", Verdict.PASSED)
    html = latest(project)
    assert "House words" not in html
    assert 'id="glossary"' in html
    result.stdout.fnmatch_lines(
        [
            "warning: the report uses the shipped templates, *glossary.html.jinja:2: 'nothing' *",
            "report: *report.html",
        ]
    )


def test_a_folder_beside_the_page_or_in_its_place(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-report-dir=public/site")
    assert result.ret == 0
    assert latest(project).startswith("<!doctype html>")
    pages = list((project.path / "public" / "site").glob("*.html"))
    assert len(pages) == 1
    assert "The one judged check passed" in pages[0].read_text(encoding="utf-8")
    result.stdout.fnmatch_lines(["report: *report.html", f"report: {pages[0]}"])
    arguments = ("--evals-report=none", "--evals-report-dir=other", "--evals-markdown=told.md")
    assert project.runpytest("colors.toml", *arguments).ret == 0
    assert not (project.path / "runs" / "latest" / "report.html").exists()
    assert list((project.path / "other").glob("*.html"))
    assert "report: other/" in (project.path / "told.md").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_made_is_said_first(project: pytest.Pytester) -> None:
    result = project.runpytest("colors.toml", "--evals-report-dir=classes.txt")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--evals-report-dir *classes.txt: *name a folder that can be *"])
    assert not (project.path / "runs").exists()
