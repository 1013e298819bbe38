"""The report as a folder: the same page, with its pictures beside it under harmless names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType

import pytest

from vision_evals import log, report
from vision_evals.report import picture_budget
from vision_evals.report.addresses import ExternalFiles, Inline

HOSTILE = [
    "../../etc/passwd",
    "pictures/..",
    'a"><script>.webp',
    "C:\\windows\\con.webp",
    "a\0b\n.webp",
    "\u202egnp.exe",
    "x" * 400,
    "",
    "#?%2e%2e/..",
]


def without_addresses(html: str) -> str:
    return re.sub(r'src="[^"]*"|img-src .*?; style-src', "", html)


def test_the_folder_shows_what_the_file_shows(runs: ModuleType, tmp_path: Path) -> None:
    items = runs.accuracy_item(tmp_path, "a"), runs.art_item(tmp_path, "a")
    run = runs.make_run(*items, runs.fgsm_item(tmp_path, "a"), image_sets=(runs.art(),))
    html = report.render(run, tmp_path)
    page = report.write_folder(run, tmp_path, tmp_path / "site")
    assert page == tmp_path / "site" / "index.html"
    beside = page.read_text(encoding="utf-8")
    assert without_addresses(beside) == without_addresses(html)
    inline, files = (runs.Page(text).attributes("src") for text in (html, beside))
    assert len(inline) == len(files) == 20
    for address, file in zip(inline, files, strict=True):
        assert re.fullmatch(r"pictures/[a-z0-9-]+\.webp", file)
        assert Inline().address((page.parent / file).read_bytes(), file) == address
    assert len(set(files)) == len(list((page.parent / "pictures").iterdir()))
    policy, *_ = (content for content in runs.Page(beside).attributes("content") if ";" in content)
    assert "img-src 'self' file:" in policy.split("; ")


def test_beside_the_page_there_is_room_for_all(
    runs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_budget, "MAX_GALLERY_BYTES", 0)
    run = runs.make_run(runs.accuracy_item(tmp_path, "a"))
    assert not runs.Page(report.render(run, tmp_path)).attributes("src")
    page = report.write_folder(run, tmp_path, tmp_path / "site")
    assert len(runs.Page(page.read_text(encoding="utf-8")).attributes("src")) == 8


@pytest.mark.parametrize("file", HOSTILE)
def test_names_in_the_folder_are_ours(tmp_path: Path, file: str) -> None:
    beside = ExternalFiles()
    address = beside.address(b"content", file)
    assert re.fullmatch(r"pictures/[a-z0-9-]{1,100}-[0-9a-f]{16}\.webp", address)
    beside.put(tmp_path / "site")
    assert (tmp_path / "site" / address).read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_one_picture_under_two_names_and_two_under_one(tmp_path: Path) -> None:
    beside = ExternalFiles()
    addresses = {beside.address(c, n) for c in (b"1", b"2") for n in ("a/x.webp", "b/x.webp")}
    assert len(addresses) == 2
    beside.put(tmp_path)
    assert {(tmp_path / one).read_bytes() for one in addresses} == {b"1", b"2"}


def test_an_older_report_gives_way_and_the_files_of_others_stay(
    runs: ModuleType, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    both = runs.make_run(runs.accuracy_item(tmp_path, "a"), runs.fgsm_item(tmp_path, "a"))
    report.write_folder(both, tmp_path, site)
    before = {path.name for path in (site / "pictures").iterdir()}
    theirs = {
        "holiday.webp": b"mine", "x-0123456789abcdef.webp": b"looks like ours", "note.txt": b"n",
    }  # fmt: skip
    for name, content in theirs.items():
        (site / "pictures" / name).write_bytes(content)
    (site / "readme.txt").write_text("keep")
    one = runs.make_run(both.items[0])
    page = report.write_folder(one, tmp_path, site)
    shown = {src.removeprefix("pictures/") for src in runs.Page(page.read_text()).attributes("src")}
    after = {path.name for path in (site / "pictures").iterdir()}
    assert shown < before
    assert after == shown | theirs.keys()
    assert {name: (site / "pictures" / name).read_bytes() for name in theirs} == theirs
    assert (site / "readme.txt").read_text() == "keep"


def test_a_report_into_the_run_itself_takes_nothing_from_it(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = runs.lecture(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    report.write_folder(run, tmp_path, tmp_path)
    report.write_folder(runs.make_run(run.items[0]), tmp_path, tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_a_page_that_cannot_be_filled_leaves_the_older_one(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = runs.make_run(runs.accuracy_item(tmp_path, "a"))
    page = report.write_folder(run, tmp_path, tmp_path / "site")
    before = {path: path.read_bytes() for path in (tmp_path / "site").rglob("*.*")}
    templates = tmp_path / "mine"
    templates.mkdir()
    (templates / "pictures.html.jinja").write_text("{{ no_such_thing.at_all }}")
    with pytest.raises(Exception, match="no_such_thing"):
        report.write_folder(log.Run.model_validate(run), tmp_path, page.parent, templates)
    assert {path: path.read_bytes() for path in (tmp_path / "site").rglob("*.*")} == before


def test_pictures_have_what_the_words_leave() -> None:
    assert picture_budget.gallery_bytes(0) == picture_budget.MAX_GALLERY_BYTES
    assert (
        picture_budget.gallery_bytes(21)
        == 5_000_000
        - 1_000_000
        - picture_budget.MAX_FLIP_BYTES
        - 21 * picture_budget.BYTES_PER_CHECK
    )
    assert picture_budget.gallery_bytes(40) < picture_budget.gallery_bytes(21)
    assert picture_budget.gallery_bytes(1000) == picture_budget.MIN_GALLERY_BYTES, (
        "a page of many checks shows some, too"
    )


def test_a_pipe_that_has_the_name_of_a_picture_is_left_alone(
    runs: ModuleType, tmp_path: Path
) -> None:
    pipe = tmp_path / "site" / "pictures" / f"a-{'0' * 16}.webp"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    report.write_folder(runs.make_run(), tmp_path, tmp_path / "site")
    assert pipe.is_fifo()
