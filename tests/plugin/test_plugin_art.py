"""Art as a person runs it: works of their own, a second set beside them, pictures nobody ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.inner import last_run, warm
from tests.project import CLASSES, card, write
from vision_evals import log
from vision_evals.engine.pictures import MAX_GALLERY, pick
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

FILES = {
    "pyproject.toml": card("color", "art_nets:Color")
    + card("darkest", "art_nets:Darkest")
    + card("other", "art_nets:Color", classes="others.txt"),
    "classes.txt": CLASSES,
    "others.txt": "rouge\nvert\nbleu\n",
    "art_nets.py": """
from torch import nn
class Color(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 10
class Darkest(nn.Module):
    def forward(self, pixels):
        return -pixels.mean(dim=(2, 3)) * 10
""",
    "works.toml": """
evals = 1
title = "Works"
models = ["color"]
[images]
photographs = "photographs"
[unavailable]
object = "in copyright"
[[check]]
name = "works"
measure = "predictions"
images = "art"
against = "photographs"
expect = [{ metric = "auroc", at_least = 0.99 }]
[[check]]
name = "object"
measure = "predictions"
images = "object"
expect = [{ metric = "expected_answer", at_least = 1.0 }]
[check.expected.color]
answer = "red"
source = "a lecture"
""",
}

WORKS = 12


def furnish(folder: Path) -> None:
    write(folder, FILES)
    for name in ("art", "photographs"):
        (folder / name).mkdir()
    entries = []
    for index in range(WORKS):  # greyish works, saturated photographs
        work = Image.new("RGB", (20, 20), (100 + index, 100, 100))
        work.save(folder / "art" / f"{index}.png")
        entries.append(
            f'[[work]]\nfile = "{index}.png"\ntitle = "Grey <{index}>"\nartist = "A"\nyear = 1930\n'
        )
        Image.new("RGB", (20, 20), (255, index, 0)).save(folder / "photographs" / f"{index}.png")
    (folder / "art" / "art.toml").write_text("".join(entries), encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    assert warm(folder, furnish, "works.toml", "--evals-images=art=art") == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def metrics(item: log.Item) -> dict[str, log.Metric]:
    return {metric.name: metric for metric in item.metrics}


@pytest.mark.usefixtures("whole_run")
def test_works_of_ones_own_against_photographs(project: pytest.Pytester) -> None:
    result = project.runpytest("works.toml", "--evals-images", "art=art")
    result.assert_outcomes(passed=1, skipped=1)
    run = last_run(project)
    works = {item.check: item for item in run.items}["works"]
    assert (metrics(works)["auroc"].value, metrics(works)["auroc"].n) == (1.0, 2 * WORKS)
    assert metrics(works)["fpr_at_95_tpr"].value == 0.0
    (plot,) = works.plots
    assert plot.title == "Confidence on art and photographs"
    # nearly 1 on red; e^x / (e^x + 2) on grey, x = 10 index / 255: above 0.4 from index 8 on
    assert {line.name: (line.n[0], line.y) for line in plot.lines} == {
        "art": (WORKS, (0, 8 / WORKS, 4 / WORKS, 0, 0, None)),
        "photographs": (WORKS, (0, 0, 0, 0, 1, None)),
    }
    about = {images.role: images.about for images in run.image_sets}
    assert about["photographs"] == {}
    assert about["art"]["3.png"] == {"title": "Grey <3>", "artist": "A", "year": "1930"}
    assert len(works.pictures) == WORKS  # a small set is shown whole
    page = (project.path / "runs" / "latest" / "report.html").read_text(encoding="utf-8")
    assert "Grey &lt;3&gt;" in page
    assert "Grey <3>" not in page


def test_the_rows_of_the_second_set_are_the_classifiers_own(project: pytest.Pytester) -> None:
    """A threshold that names another classifier reads that one's photographs too."""
    suite = FILES["works.toml"].replace(
        "at_least = 0.99", 'at_most = { of = "darkest", minus = 0.01 }'
    )
    project.path.joinpath("works.toml").write_text(suite, encoding="utf-8")
    project.runpytest("works.toml", "--evals-images", "art=art")
    (works,) = (item for item in last_run(project).items if item.check == "works")
    tables = {
        name: pd.read_parquet(file)["confidence"].to_numpy()
        for file in (project.path / "runs" / "latest" / "tables").glob("*.parquet")
        for name in (["art"] if "-art-darkest" in file.name else [])
        + (["photographs"] if "-photographs-darkest" in file.name else [])
    }
    pairs = tables["photographs"][:, None] - tables["art"]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert works.judgements[0].threshold == pytest.approx(expected - 0.01)


def test_agreement_is_asked_of_networks_with_the_same_classes(project: pytest.Pytester) -> None:
    models = ("--evals-model=color", "--evals-model=darkest", "--evals-model=other")
    project.runpytest("works.toml", "--evals-images", "art=art", *models)
    works = {item.classifier: item for item in last_run(project).items if item.check == "works"}
    for alias in ("color", "darkest"):
        assert (metrics(works[alias])["agreement"].value, works[alias].metrics[3].n) == (1 / 12, 12)
    assert metrics(works["other"])["agreement"].value is None


@pytest.mark.parametrize("named", [(), ("--evals-model", "color")])
def test_pictures_that_nobody_ships_are_unavailable(
    project: pytest.Pytester, named: tuple[str, ...]
) -> None:
    result = project.runpytest("works.toml", "-k", "object", "-rs", *named)
    result.assert_outcomes(skipped=1, deselected=1)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(
        ["*unavailable: in copyright; name the picture with --evals-images object=FILE*"]
    )
    (item,) = last_run(project).items
    assert item.verdict is Verdict.UNAVAILABLE


def test_until_somebody_names_them(project: pytest.Pytester) -> None:
    arguments = ("works.toml", "-k", "object", "--evals-images", "object=photographs/3.png")
    project.runpytest(*arguments).assert_outcomes(passed=1, deselected=1)
    (item,) = last_run(project).items
    assert metrics(item)["expected_answer"].value == 1.0


def test_no_pictures_when_none_are_wanted(project: pytest.Pytester) -> None:
    project.runpytest("works.toml", "--evals-images", "art=art", "--evals-pictures", "none")
    assert [item.pictures for item in last_run(project).items] == [(), ()]


def test_an_entry_without_a_file_is_an_error(project: pytest.Pytester) -> None:
    (project.path / "art" / "3.png").unlink()
    result = project.runpytest("works.toml", "--evals-images", "art=art")
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(['*art.toml: file = "3.png" is not there*'])


@pytest.mark.parametrize(
    ("n", "count", "gallery", "shown"),
    [
        (18, 8, True, 18),
        (18, 8, False, 8),
        (MAX_GALLERY, 1, True, MAX_GALLERY),
        (MAX_GALLERY + 1, 8, True, 8),
    ],
)
def test_only_a_small_set_is_shown_whole(n: int, count: int, gallery: bool, shown: int) -> None:
    badness = pd.Series(np.arange(n, dtype=float), index=[f"{i}.png" for i in range(n)])
    assert len(pick(badness, count, gallery=gallery)) == shown
