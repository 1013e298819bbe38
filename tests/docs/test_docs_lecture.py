"""The lecture: each command of the page runs in an empty folder, and gives what the page says."""

from __future__ import annotations

import html
import io
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.benchmark import FOLDER, script
from tests.docs.pages import ROOT
from tests.forked import forked_python
from vision_evals import Run, UserError, read

PAGE = ROOT / "docs/lecture.md"
FAST = {"humans"}
"""The others attack, train, or take long for other reasons."""

CACHE = ROOT / ".evals_cache"

LOOKS_LIKE = 0.8
"""Correlation of a picture of the page with the same part of a new report."""


with pytest.MonkeyPatch.context() as patch:  # as `python benchmarks/lecture.py` finds it
    patch.syspath_prepend(FOLDER)
    LECTURE = script("lecture")
SLIDES = LECTURE.slides()
NAMES = [slide.name for slide in SLIDES]
MARKED = [
    pytest.param(slide, id=slide.name, marks=[] if slide.name in FAST else [pytest.mark.slow])
    for slide in SLIDES
]


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_run: None) -> None:
    """Put `pytest` and `evals` on the path, as an installation does, in processes that are warm."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, module in (("pytest", "pytest"), ("evals", "vision_evals")):
        (folder / name).write_text(f'#!/bin/sh\nexec {forked_python()} -m {module} "$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("slide", MARKED)
def test_a_slide_is_what_comes_out(
    slide: Any, tmp_path: Path, commands: None, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "lecture"
    folder.mkdir()
    if CACHE.is_dir():  # `pytest suites/` here may have computed these rows
        (folder / CACHE.name).symlink_to(CACHE)
    done = subprocess.run(
        ["bash", "-c", slide.command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = read(folder / "runs" / "latest")
    assert run.report is not None
    rows = numbers(slide)
    assert len(rows) > 1
    for row in rows:
        same_number(row, run)
    page = html.unescape(run.report.read_text("utf-8"))
    for name in named(slide.alt):
        assert name in page, f"{slide.name}: the report does not say {name}"
    browser = request.getfixturevalue("chromium")
    new = LECTURE.picture(browser, run.report, slide.selector)
    likeness = {other.name: alike(new, ROOT / "docs" / other.file) for other in SLIDES}
    assert likeness[slide.name] >= LOOKS_LIKE, likeness
    assert max(likeness, key=likeness.__getitem__) == slide.name, likeness


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Chromium; where there is none the numbers were compared, and the picture is not."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    try:
        path = LECTURE.browser()
    except UserError as error:
        pytest.skip(str(error))
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


def numbers(slide: Any) -> list[tuple[str, ...]]:
    """Return the rows of its table: network, metric, point, value, ends of the interval, n."""
    row = r"\| (\w+) \| (\w+)(?: at (\S+))? \| (\S+) \((\S+) to (\S+)\) \| ([\w ]+) \|"
    lines = [line for line in slide.text.splitlines() if line.startswith("|")][2:]
    matches = [re.fullmatch(row, line) for line in lines]
    assert None not in matches, lines
    return [match.groups(default="") for match in matches if match]


def same_number(row: tuple[str, ...], run: Run) -> None:
    """Compare a row of the page with the run, to half of its last digit or to one image.

    A network that was trained here differs from machine to machine: there each of the two values
    is near the other's seeds.
    """
    network, name, at, value, low, high, n = row
    frame = run.metrics
    chosen = (frame["model"] == network) & (frame["metric"] == name)
    chosen &= (frame["at"] == at) if at else frame["at"].isna()
    found = frame[chosen].drop_duplicates("check")
    assert len(found) == 1, row
    metric = found.iloc[0]
    half_a_digit = 0.5 * 10 ** -len(value.partition(".")[2]) + 1e-9
    seeds = metric["spread"]
    if len(seeds):
        assert n == f"{len(seeds)} seeds", row
        near_seeds(float(value), seeds, half_a_digit)
        near_seeds(metric["value"], (float(low), float(high)), half_a_digit)
        return
    assert int(n) == metric["n"], row
    slack = half_a_digit + (1 / metric["n"] if metric["method"] == "wilson" else 0)
    for stated, measured in ((value, "value"), (low, "low"), (high, "high")):
        assert float(stated) == pytest.approx(metric[measured], abs=slack), (row, measured)


def near_seeds(value: float, seeds: Sequence[float], half_a_digit: float) -> None:
    """Assert that a value is no further from the seeds than they are from one another."""
    slack = max(seeds) - min(seeds) + half_a_digit
    assert min(seeds) - slack <= value <= max(seeds) + slack, (value, seeds)


def named(alt: str) -> set[str]:
    """Return the networks, metrics and answers (with confidence) in the text of a picture."""
    return set(re.findall(r"\b[a-z0-9]+(?:_[a-z0-9]+)+\b", alt)) | {
        f"{answer} {confidence}"
        for answer, confidence in re.findall(r"as (\w[\w ]*?) (0\.\d\d)", alt)
    }


def alike(png: bytes, file: Path) -> float:
    """Return the correlation of two pictures, as grey ones of 64 x 64; -1 where shapes differ."""
    with Image.open(io.BytesIO(png)) as new, Image.open(file) as old:
        ratio = (new.width / new.height) / (old.width / old.height)
        grey = [np.asarray(p.convert("L").resize((64, 64))).ravel() for p in (new, old)]
    return float(np.corrcoef(grey)[0, 1]) if 0.9 < ratio < 1.1 else -1.0


# What the page is


def test_every_slide_of_the_lecture_is_there() -> None:
    headings = re.findall(r"^## (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert headings == [*(slide.title for slide in SLIDES), "What to try next"]
    assert {"humans", "art", "panda", "airplane", "linear", "dead", "dropout", "training"} <= {
        *NAMES
    }
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("slide", SLIDES, ids=NAMES)
def test_a_picture_is_small_and_said_in_words(slide: Any) -> None:
    file = ROOT / "docs" / slide.file
    assert file.stat().st_size < 120_000
    with Image.open(file) as picture:
        assert picture.format == "WEBP"
        assert picture.width <= 800
    assert len(slide.alt) > 80
    assert named(slide.alt), "the test of the command compares what the text names"


def test_no_picture_is_left_over() -> None:
    drawn = {slide.file for slide in SLIDES}
    assert drawn == {f"lecture/{file.name}" for file in (ROOT / "docs/lecture").iterdir()}


@pytest.mark.parametrize("slide", SLIDES, ids=NAMES)
def test_the_excerpt_is_part_of_the_suite(slide: Any) -> None:
    text = PAGE.read_text("utf-8")
    section = text[text.index(f"## {slide.title}\n") :].split("\n## ")[0]
    (excerpt,) = re.findall(r"^```toml\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    head, *lines = excerpt.splitlines()
    assert head == "[[check]]"
    assert len(lines) <= 5
    (suite,) = re.findall(r"\$\(evals suites\)(/\w+\.toml)", slide.command)
    checks = tomllib.loads((ROOT / f"suites{suite}").read_text("utf-8"))["check"]
    (shown,) = tomllib.loads(excerpt)["check"]
    assert any(
        all(
            check.get(key) == value
            or (key == "expect" and all(entry in check["expect"] for entry in value))
            for key, value in shown.items()
        )
        for check in checks
    ), excerpt


def test_another_number_or_picture_would_be_noticed() -> None:
    first, second, *_ = SLIDES
    png = io.BytesIO()
    with Image.open(ROOT / "docs" / first.file) as picture:
        picture.save(png, "PNG")
    assert alike(png.getvalue(), ROOT / "docs" / first.file) == pytest.approx(1)
    assert alike(png.getvalue(), ROOT / "docs" / second.file) < LOOKS_LIKE
    near_seeds(0.9, (0.81, 0.89), 0.0005)
    with pytest.raises(AssertionError):
        near_seeds(0.9, (0.03, 0.14), 0.0005)
