"""Pictures of several panels, works of art, and what all of them may weigh."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.report import picture_budget

Read = Callable[[log.Run], Any]


def _section(page: Any) -> str:
    text: str = page.text
    return text[text.rindex(" Pictures ") : text.rindex(" The run ")]


def _tiles(page: Any) -> list[str]:
    """Return the ids of tiles, in the order of the page."""
    return [a["id"] for tag, a in page.tags if tag == "article" and "tile" in a["class"].split()]


def test_panels_are_told_under_their_parts(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    page = read(runs.make_run(runs.fgsm_item(tmp_path, "a")))
    section = _section(page)
    assert "became most confident of a wrong class" in section
    part = "image bull mastiff 0.87 perturbation x 63.8 dishrag, dishcloth 0.21 adversarial at"
    assert part in section
    assert section.count(" worst imagenet_") == 4
    assert section.count(" fair sample imagenet_") == 4
    assert section.count(" a on one-step , suites/fgsm.toml ✓ passed seen as") == 8
    assert section.index(" worst imagenet_") < section.index(" fair sample imagenet_")
    assert "likeliest" not in section, "no answers beside panels"
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [(a["width"], a["height"]) for a in images] == [("672", "224")] * 8
    places = [(a["data-parts"], a["data-before"], a["data-after"]) for a in images]
    assert places == [("3", "0", "2")] * 8


def test_the_same_image_is_shown_for_each_check_and_classifier(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    items = [runs.fgsm_item(tmp_path, alias) for alias in ("a", "b")]
    items.append(runs.targeted_item(tmp_path, "a", "iterative", (1, 2, 3)))
    page = read(runs.make_run(*items))
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 24
    assert _tiles(page) == [f"picture-{number}" for number in range(1, 25)]
    section = _section(page)
    for title in ("All 24", "one-step 16 suites/fgsm.toml", "iterative 8 suites/airplane.toml"):
        assert title in section
    assert "the smallest budget gave the target the highest confidence" in section


def test_the_worst_come_first_works_together_and_the_fair_sample_last(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.lecture(tmp_path))
    albums = [a["data-album"] for tag, a in page.tags if tag == "article" and "data-album" in a]
    art = [place for place, album in enumerate(albums) if album == "4"]
    words = re.findall(r'class="badge (worst|fair)"', page.html)
    rest = [word for place, word in enumerate(words) if place not in art]
    assert art == list(range(art[0], art[0] + 4)), "together"
    assert rest == sorted(rest, reverse=True)
    assert rest[art[0] - 1 : art[0] + 1] == ["worst", "fair"]


def test_a_measure_without_words_has_some(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    page = read(runs.make_run(runs.fgsm_item(tmp_path, "a", measure="mine:blur")))
    assert "The worst are those that mine:blur itself ranks first." in _section(page)


def test_works_are_told_with_title_artist_and_answers(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    items = [runs.art_item(tmp_path, "a"), runs.art_item(tmp_path, "b", 990)]
    section = _section(read(runs.make_run(*items, image_sets=(runs.art(),))))
    assert "Art suites/art.toml 4 of 4 works, the most confident answer first." in section
    assert "a is more than 50 % confident on The Librarian." in section
    assert "The Librarian Giuseppe Arcimboldo, c. 1566 Both networks say bottlecap." in section
    assert "most confident for a and b shift: semantic" in section
    shared = "Both have thing 130, thing 234, thing 412 and thing 463 among their likeliest."
    assert section.count(f"The networks disagree. {shared}") == 3
    assert section.count("overconfident") == 2
    assert section.count("= stable under a small shift") == 6
    assert section.count("≠ not stable") == 2
    assert "label" not in section


def test_overconfident_is_what_the_check_says(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    item = runs.art_item(tmp_path, "a", parameters={"overconfident": 0.3})
    section = _section(read(runs.make_run(item, image_sets=(runs.art(),))))
    named = "a is more than 30 % confident on The Librarian and The Great Wave off Kanagawa."
    assert named in section


def test_unlabelled_pictures_of_no_collection_are_called_by_their_ids(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.art_item(tmp_path, "a"), image_sets=()))
    section = _section(page)
    assert (
        "The most confident are the images on which the likeliest class has the highest" in section
    )
    assert "The worst" not in section
    assert "fair sample for a art / leonardo-mona-lisa.jpg" not in section
    assert "most confident for a art / leonardo-mona-lisa.jpg" in section


def test_hostile_titles_stay_text(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    attack = '"><script>alert(1)</script>'
    about = {name: dict.fromkeys(("title", "artist", attack), attack) for name in runs.WORKS}
    art = runs.art().model_copy(update={"about": about})
    panels = (log.Panel(title=attack, answer=attack, note=attack),)
    strip = runs.fgsm_item(tmp_path, "a").pictures[0].model_copy(update={"panels": panels})
    items = runs.art_item(tmp_path, "a"), runs.fgsm_item(tmp_path, "a", pictures=(strip,))
    page = read(runs.make_run(*items, image_sets=(art,), not_run=(attack,)))
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert {one["type"] for one in scripts} <= {"module", "application/json"}
    assert len(scripts) == page.html.count("</script>")
    assert page.text.count(attack) > 8


def test_checks_that_did_not_run_are_said_on_the_first_screen(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    run = runs.make_run(runs.accuracy_item(tmp_path, "a"), not_run=("x::y[b]", "x::y[c]"))
    page = read(run)
    assert page.headings[0][1] == "The one judged check passed, and 2 did not run."
    first = page.text[: page.text.rindex("All checks")]
    assert "2 selected checks did not run x::y[b] x::y[c]" in first
    assert 'class="opening unsure"' in page.html, "not all is well"


def test_control_characters_do_not_reach_the_page(runs: ModuleType, tmp_path: Path) -> None:
    item = runs.accuracy_item(tmp_path, "a")
    alias = "a\x1b[31m\x00b"
    item = item.model_copy(update={"classifier": alias, "sentence": "one\ttwo\x7f\x9bthree"})
    html = report.render(runs.make_run(item), tmp_path)
    assert not {c for c in html if (ord(c) < 32 and c not in "\t\n") or 126 < ord(c) < 160}
    assert "a\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b" in html


def test_the_lecture_fits_into_five_megabytes(
    runs: ModuleType, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.lecture(tmp_path)
    page = read(run)
    assert len([tag for tag, _ in page.tags if tag == "img"]) > 40
    assert len(page.html.encode()) < 5_000_000
    without = len(re.sub(r"base64,[\w+/=]+", "", page.html).encode())
    monkeypatch.setattr(picture_budget, "MAX_GALLERY_BYTES", 400_000)
    page = read(run)
    assert len(page.html.encode()) < without + 410_000
    assert "left out to keep this page small" in page.text
    assert "(one-step, squeezenet1_1_caffe)" in page.text


def test_pictures_that_are_missing_keep_their_tile(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    item = runs.fgsm_item(tmp_path, "a")
    (tmp_path / item.pictures[0].file).unlink()
    page = read(runs.make_run(item))
    assert len(_tiles(page)) == 8
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 7
    assert f"{item.pictures[0].file} is missing." in _section(page)
