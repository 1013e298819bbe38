"""The page as a browser reads it."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.report import picture_budget

Read = Callable[[log.Run], Any]


def test_the_default_run(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    run = runs.make_run(
        runs.failed_item(tmp_path, runs.ALIASES[0]), runs.accuracy_item(tmp_path, runs.ALIASES[1])
    )
    page = read(run)
    levels = [text for level, text in page.headings if level in {"h1", "h2"}]
    assert levels == [
        "1 of 2 judged checks failed.", "The networks side by side", "What failed, in detail",
        "All checks", "Accuracy on photographs", "Pictures", "The run", "Glossary",
    ]  # fmt: skip
    assert run.items[0].sentence in page.text
    assert f"pytest '{run.items[0].id}' --evals-limit=20 --evals-seed 7" in page.text
    assert "0.35 below the threshold of 0.9" in page.text
    assert "0.85 (0.64 to 0.95) , n = 20" in page.text
    assert "human annotator 1: 94.9 % (93.7 to 95.9 %), n = 1,500" in page.text
    assert "human annotator 2: 88 % (83.5 to 91.4 %), n = 258" in page.text
    assert "no answers are known of this classifier" in page.text
    assert len(page.html.encode()) < 2_000_000


def test_every_verdict_is_counted_shown_and_explained(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    run = runs.make_run(*runs.every_verdict(tmp_path))
    page = read(run)
    for item in run.items:
        assert f"1 {_symbol(item.verdict)} {item.verdict}" in page.text
        if item.verdict not in {Verdict.PASSED, Verdict.RECORDED}:
            assert item.sentence.removeprefix("INVALID: class order: ") in page.text
    failed = page.text.rpartition("What failed, in detail ")[2].partition(" All checks ")[0]
    order = [failed.index(f"{alias} on photographs") for alias in ("broken", "fails", "unclear")]
    assert order == sorted(order), "worst first"
    assert "Folder order taken for class order makes every number meaningless." in failed
    assert "only a warning" in failed
    assert "the images have no labels" in failed


def test_numbers_of_an_invalid_check_pass_nothing(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    broken = log.Validity(name="v", outcome="failed", evidence="e", meaning="m")
    item = runs.accuracy_item(tmp_path, "a", verdict=Verdict.INVALID, validity=(broken,))
    assert item.judgements[0].verdict is Verdict.PASSED
    page = read(runs.make_run(item))
    table = page.html[page.html.index("<table") : page.html.index("</table>")]
    assert "passed" not in table.replace("0 validity checks passed, 1 failed", "")


def test_metrics_of_recorded_items_say_recorded(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    item = runs.accuracy_item(tmp_path, "a", verdict=Verdict.RECORDED, judgements=())
    page = read(runs.make_run(item))
    assert page.headings[0] == ("h1", "Nothing was judged.")
    assert "Nothing failed, because nothing was judged." in page.text


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_an_unfinished_run_says_so_loudly(
    runs: ModuleType, tmp_path: Path, read: Read, status: str
) -> None:
    page = read(runs.make_run(runs.accuracy_item(tmp_path, "a"), status=status))
    word = {"running": "has not finished", "interrupted": "was interrupted"}[status]
    assert word in page.headings[0][1]
    assert "This page shows only what was judged before" in page.text


def test_an_empty_run(runs: ModuleType, read: Read) -> None:
    run = runs.make_run(suites=(), image_sets=(), passes=(), warnings=())
    page = read(run)
    assert page.headings[0][1] == "Nothing was judged."
    for sentence in ("No check was selected.", "The run kept no pictures.", "No images were read."):
        assert sentence in page.text


def test_an_item_whose_suite_and_classifier_the_log_does_not_describe(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.accuracy_item(tmp_path, "a"), suites=(), classifiers=()))
    assert ("h2", "suites/accuracy.toml") in page.headings
    assert "class 99" in page.text


def test_twenty_items_stay_inside_the_budget(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    items = [runs.accuracy_item(tmp_path, f"network{number}") for number in range(20)]
    page = read(runs.make_run(*items))
    assert len(page.html.encode()) < 2_000_000
    assert "All 20 judged checks passed" in page.text


def test_what_does_not_fit_is_named(
    runs: ModuleType, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_budget, "MAX_GALLERY_BYTES", 40_000)
    page = read(runs.make_run(runs.accuracy_item(tmp_path, "a")))
    shown = len([tag for tag, _ in page.tags if tag == "img"])
    assert 0 < shown < 8
    assert f"{8 - shown} pictures left out to keep this page small" in page.text


def test_missing_files_are_named(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    item = runs.accuracy_item(tmp_path, "a")
    (tmp_path / item.pictures[0].file).unlink()
    (tmp_path / item.pictures[1].file).write_text("<html>not found</html>")
    page = read(runs.make_run(item))
    assert f"{item.pictures[0].file} is missing" in page.text
    assert f"{item.pictures[1].file} is not a WebP picture" in page.text
    (tmp_path / item.table).unlink()
    assert f"{item.table} is missing" in read(runs.make_run(item)).text
    (tmp_path / item.table).write_bytes(b"PAR1 and nothing else")
    assert "not a readable Parquet table" in read(runs.make_run(item)).text


def test_an_empty_run_directory(runs: ModuleType, tmp_path: Path) -> None:
    item = runs.accuracy_item(tmp_path, "a")
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    page = runs.Page(report.render(runs.make_run(item), empty))
    assert "No rows were kept of this picture" in page.text
    assert item.pictures[0].caption in page.text


@pytest.mark.parametrize("file", ["../secret.webp", "/etc/passwd", "pictures/../../secret.webp"])
def test_a_log_shows_nothing_from_outside_its_directory(
    runs: ModuleType, tmp_path: Path, file: str
) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    (tmp_path / "secret.webp").write_bytes(b"RIFF....WEBPsecret")
    picture = log.Picture(image="a", file=file, sample="fair", caption="c")
    item = runs.accuracy_item(directory, "a", pictures=(picture,), table="../secret.parquet")
    page = runs.Page(report.render(runs.make_run(item), directory))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert f"{file} is missing" in page.text


def test_the_gallery_says_what_is_seen_and_what_is_right(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    run = runs.make_run(
        runs.accuracy_item(tmp_path, "good", 20), runs.accuracy_item(tmp_path, "poor", 0)
    )
    page = read(run)
    alt = next(alt for alt in page.attributes("alt") if alt.startswith("beaker"))
    assert re.fullmatch(r"beaker; good sees beaker \(\d+ %\); poor sees thing 130 \(\d+ %\)", alt)
    assert "worst for good and poor" in page.text
    assert "fair sample for good and poor" in page.text
    assert "right in place 2" in page.text
    assert "The worst are the images whose right classes got the smallest probability." in page.text
    words = re.findall(r'class="badge (worst|fair)"', page.html)
    assert words == sorted(words, reverse=True), "the worst first"
    assert set(words) == {"worst", "fair"}
    assert len([tag for tag, _ in page.tags if tag == "img"]) < 16, "one picture an image"


def test_null_labels_and_short_lists(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    item = runs.accuracy_item(tmp_path, "a")
    images = [picture.image for picture in item.pictures]
    table = {
        "image": images,
        "label": pa.array([None] * len(images), pa.int64()),
        "top5": [[1], [2, 5000]] + [None] * (len(images) - 2),
        "top5_confidence": [[1.0], [0.5, None]] + [None] * (len(images) - 2),
    }
    pq.write_table(pa.table(table), tmp_path / item.table)
    page = read(runs.make_run(item))
    assert "no label to judge by" in page.text
    assert "class 5000" in page.text


def test_several_right_answers_are_all_named(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    item = runs.accuracy_item(tmp_path, "a")
    rows = pq.read_table(tmp_path / item.table).to_pylist()
    for row in rows:
        row["accepted"] = [22, row["label"], 99]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / item.table)
    assert "beaker or bald eagle or goose" in read(runs.make_run(item)).text


def test_checks_that_say_the_same_of_a_picture_share_a_column(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    same = [runs.accuracy_item(tmp_path, "a", 17, check=check) for check in ("one", "two")]
    page = read(runs.make_run(*same))
    assert page.text.count("beaker ✓ right") == 1
    assert "Its numbers stand above." in page.text
    other = runs.accuracy_item(tmp_path, "a", 0, check="three")
    page = read(runs.make_run(*same, other))
    assert page.text.count("beaker ✓ right") == 2
    assert "a on one and two" in page.text


def test_an_unavailable_classifier_is_named_once(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    *_, item = runs.every_verdict(tmp_path)
    card = runs.classifier("away", unavailable=item.sentence)
    lone = runs.classifier("lone", unavailable="nobody asked")
    page = read(runs.make_run(item, classifiers=(card, lone)))
    section = page.text.rpartition("Noted, but failing nothing ")[2].partition(" All checks ")[0]
    assert section.count(item.sentence) == 1
    assert "lone : nobody asked" in section


def test_a_number_nobody_asked_about_is_recorded_in_an_item_that_does_not_apply(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    item = runs.accuracy_item(tmp_path, "a", verdict=Verdict.NOT_APPLICABLE, judgements=())
    html = read(runs.make_run(item)).html
    table = html[html.index("<table") : html.index("</table>")]
    assert table.count("</span>not applicable<") == 2, "the item, and the metric without a value"
    assert table.count("</span>recorded<") == 4


def test_colours_follow_the_classifier_through_the_report(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    items = [runs.accuracy_item(tmp_path, alias) for alias in ("b", "a")]
    cards = tuple(runs.classifier(alias) for alias in ("a", "b"))
    page = read(runs.make_run(*items, classifiers=cards))
    for alias, colour in (("a", "c0"), ("b", "c1")):
        swatch = r'<span class="swatch" aria-hidden="true"></span>'
        found = set(re.findall(rf'class="classifier (c\d)">{swatch}{alias}<', page.html))
        assert found == {colour}


def test_nothing_is_loaded_from_outside_and_no_other_script_runs(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.failed_item(tmp_path), runs.accuracy_item(tmp_path, "b")))
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"link", "iframe", "object", "base"}
    scripts = [attributes.get("type") for tag, attributes in page.tags if tag == "script"]
    assert scripts.count("module") == 2
    assert set(scripts) == {"module", "application/json"}
    assert not page.attributes("action")
    without = re.sub(r"<script.*?</script>|base64,[\w+/=]+", "", page.html, flags=re.S)
    assert not re.search(r"(https?:)?//", without)
    assert all(src.startswith("data:image/webp;base64,") for src in page.attributes("src"))
    assert all(href.startswith("#") for href in page.attributes("href"))
    assert not page.attributes("style"), "the policy would refuse them"
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {href[1:] for href in page.attributes("href")} <= set(ids)


def test_the_policy_admits_the_style_and_scripts_of_this_page_and_nothing_else(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.accuracy_item(tmp_path, "a")))
    policy = next(a["content"] for _, a in page.tags if a.get("http-equiv"))
    style = page.html[page.html.index("<style>") + 7 : page.html.index("</style>")]
    scripts = re.findall(r'<script type="module">(.*?)</script>', page.html, re.S)
    assert len(scripts) == 2

    def digest(text: str) -> str:
        known = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{known}'"

    assert {rule.partition(" ")[0]: set(rule.split()[1:]) for rule in policy.split("; ")} == {
        "default-src": {"'none'"},
        "img-src": {"data:"},
        "style-src": {digest(style)},
        "script-src": set(map(digest, scripts)),
        "base-uri": {"'none'"},
        "form-action": {"'none'"},
    }


def test_write_is_atomic_and_keeps_the_bytes(runs: ModuleType, tmp_path: Path) -> None:
    run = runs.make_run(runs.accuracy_item(tmp_path, "a"))
    path = report.write(run, tmp_path, tmp_path / "report.html")
    assert path.read_bytes() == report.render(run, tmp_path).encode()
    assert not list(tmp_path.glob("*.part"))


def test_the_report_is_imported_without_what_is_heavy() -> None:
    code = (
        "import vision_evals.report, sys; "
        "print(*{'torch', 'pandas', 'pyarrow', 'vl_convert'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []


def _symbol(verdict: Verdict) -> str:
    from vision_evals.report.words import SYMBOLS

    return SYMBOLS[verdict]
