"""Options: command line before ``[tool.evals]``, and paths relative to where they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.suite import options as options_module
from vision_evals.suite.options import read, require_own_table


def write(folder: Path, text: str) -> None:
    (folder / "pyproject.toml").write_text("[tool.evals]\n" + text, encoding="utf-8")


def test_defaults(tmp_path: Path) -> None:
    options = read({}, tmp_path)
    assert options.models == ()
    assert options.run_dir == tmp_path / "runs"
    assert (options.reporting, options.report, options.pictures) == (True, None, 8)


def test_the_command_line_goes_first(tmp_path: Path) -> None:
    write(tmp_path, 'limit = 5\nseed = 7\nmodel = ["a=x"]\n')
    options = read({"limit": "9", "model": ["y"]}, tmp_path)
    assert (options.table.limit, options.table.seed) == (9, 7)
    assert [text for text, _ in options.models] == ["y"]


def test_paths_are_relative_to_where_they_were_written(tmp_path: Path) -> None:
    write(tmp_path, 'images = ["art=pictures"]\ncards = "cards.toml"\nrun_dir = "here"\n')
    cwd = tmp_path / "below"
    options = read({"run_dir": "there"}, cwd)
    assert options.images == {"art": ("pictures", tmp_path)}
    assert options.cards == tmp_path / "cards.toml"
    assert options.run_dir == cwd / "there"
    assert read({"images": ["val"]}, cwd).images == {"photographs": ("val", cwd)}


def test_a_source_may_hold_an_equals_sign_behind_a_folder(tmp_path: Path) -> None:
    options = read({"images": ["a/b=c"]}, tmp_path)
    assert options.images == {"photographs": ("a/b=c", tmp_path)}


def test_the_nearest_table_counts_and_other_projects_files_do_not(tmp_path: Path) -> None:
    write(tmp_path, "limit = 3")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    options = read({}, below)
    assert (options.table.limit, options.root) == (3, tmp_path)
    (below / "pyproject.toml").write_text("[tool.evals]\nlimit = 4\n", encoding="utf-8")
    assert read({}, below).table.limit == 4


def projects(folder: Path, *names: str) -> list[Path]:
    """Write projects that are known by their seeds, from 1, and return their folders."""
    for seed, name in enumerate(names, 1):
        (folder / name).mkdir(parents=True)
        write(folder / name, f"seed = {seed}\n")
    return [folder / name for name in names]


def test_the_project_of_a_named_suite_goes_before_rootdir_and_the_current_folder(
    tmp_path: Path,
) -> None:
    a, root, here = projects(tmp_path, "a", "root", "here")
    (a / "suites").mkdir()
    (a / "suites" / "gate.toml").touch()
    assert read({}, here).table.seed == 3
    assert read({}, here, (), root).table.seed == 2
    for named in (a / "suites" / "gate.toml", a / "suites", Path("../a/suites/gate.toml")):
        options = read({}, here, [named], root)
        assert (options.table.seed, options.pyproject) == (1, a / "pyproject.toml")
        assert options.run_dir == a / "runs"
    assert read({}, here, [tmp_path / "nowhere"], root).table.seed == 2
    assert read({"run_dir": "x"}, here, [a]).run_dir == here / "x"  # typed: where one stands


def test_a_named_file_goes_before_named_folders(tmp_path: Path) -> None:
    a, b = projects(tmp_path, "a", "b")
    (b / "gate.toml").touch()
    assert read({}, tmp_path, [a, b]).table.seed == 1
    assert read({}, tmp_path, [a, b / "gate.toml"]).table.seed == 2


def test_a_suite_of_another_project_is_refused(tmp_path: Path) -> None:
    a, b = projects(tmp_path, "a", "b")
    (tmp_path / "link").symlink_to(a)
    for folder in (a, tmp_path / "link", tmp_path):  # the last has no project, so any will do
        require_own_table(read({}, a), folder / "gate.toml")
    with pytest.raises(
        UserError, match=r"b/pyproject\.toml, but this run reads .*a/pyproject\.toml"
    ):
        require_own_table(read({}, a), b / "gate.toml")
    with pytest.raises(UserError, match="but this run reads none"):
        require_own_table(read({}, tmp_path), b / "gate.toml")


def test_shipped_suites_belong_to_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A virtual environment may be inside another project than the one that uses it."""
    outer, here = projects(tmp_path, "outer", "outer/here")
    shipped = outer / "venv" / "suites"
    shipped.mkdir(parents=True)
    monkeypatch.setattr(options_module, "data_folder", lambda _: shipped)
    options = read({}, here, [shipped / "accuracy.toml", shipped])
    assert options.table.seed == 2
    require_own_table(options, shipped / "accuracy.toml")


def test_a_role_stands_for_one_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="photographs is given twice"):
        read({"images": ["a", "photographs=b"]}, tmp_path)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)--evals-seed.*--evals-limit"):
        read({"seed": "x", "limit": "0"}, tmp_path)


def test_report_and_pictures_can_be_left_out(tmp_path: Path) -> None:
    options = read({"report": "none", "pictures": "none"}, tmp_path)
    assert (options.reporting, options.report, options.pictures) == (False, None, 0)


def test_templates_and_the_folder_of_a_report_are_where_they_were_named(tmp_path: Path) -> None:
    assert (read({}, tmp_path).templates, read({}, tmp_path).report_dir) == (None, None)
    write(tmp_path, 'templates = "look"\nreport-dir = "public"')
    options = read({"report_dir": "site"}, tmp_path / "below")
    assert options.templates == tmp_path / "look"
    assert options.report_dir == tmp_path / "below" / "site"
    assert (read({"report": "none"}, tmp_path).report, options.reporting) == (None, True)


def test_a_summary_is_where_it_was_named(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    write(tmp_path, 'markdown = "out/run.md"\nmlflow = "sqlite:///m.db"')
    options = read({}, folder)
    assert (options.markdown, options.table.mlflow) == (tmp_path / "out/run.md", "sqlite:///m.db")
    assert read({"markdown": "run.md"}, folder).markdown == folder / "run.md"


@pytest.mark.parametrize(
    ("given", "written", "said"),
    [
        ({}, "limmit = 3", r'pyproject.toml, \[tool.evals\]: unknown key "limmit"; .*"limit"'),
        ({}, "limit = 0", r"\[tool.evals\].*limit.*greater than or equal to 1"),
        ({"limit": "x"}, "", "--evals-limit.*valid integer"),
        ({"precision": "fp8"}, "", "--evals-precision.*'fp32', 'tf32' or 'bf16'"),
        ({"seed": "-1"}, "", "--evals-seed"),
        ({"images": ["art="]}, "", "--evals-images art=: write ROLE=SOURCE"),
        ({"batch_size": "0"}, "", "--evals-batch-size"),
        ({}, "= 1", "not valid TOML"),
    ],
)
def test_mistakes(tmp_path: Path, given: dict[str, object], written: str, said: str) -> None:
    write(tmp_path, written)
    with pytest.raises(UserError, match=said):
        read(given, tmp_path)
