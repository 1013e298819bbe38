"""FGSM and targeted checks as a person runs them, on a network small enough to reason about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.inner import last_run, warm
from tests.project import CLASSES, card, shades, write
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

FILES = {
    "pyproject.toml": card("color", "attack_nets:Color")
    + card("cut", "attack_nets:Cut")
    + card("rectified", "attack_nets:Rectified"),
    "classes.txt": CLASSES,
    "attack_nets.py": """
from torch import nn
class Color(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 40
class Rectified(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)).relu()
class Cut(nn.Module):
    def forward(self, pixels):
        return pixels.detach().mean(dim=(2, 3)) * 40
""",
    "dead.toml": """
evals = 1
title = "Rows that name no images"
models = ["rectified"]
[images]
photographs = "pictures"
[[check]]
name = "dead"
measure = "dead_relu"
images = "photographs"
expect = []
""",
    "attacks.toml": """
evals = 1
title = "Attacks"
models = ["color"]
[images]
photographs = "pictures"
[[check]]
name = "clean"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]
[[check]]
name = "one-step"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/255", "32/255"]
expect = [
  { metric = "robust_accuracy", at = 0, at_least = 0.9 },
  { metric = "robust_accuracy", at = "32/255", at_most = 0.1 },
]
[[check]]
name = "towards-blue"
measure = "targeted"
images = "photographs"
target = "blue"
budgets = ["32/255"]
expect = [
  { metric = "target_success", at = "32/255", at_least = 0.9 },
  { metric = "escape", at = "32/255", at_most = 1e-6 },
]
""",
}


def furnish(folder: Path) -> None:
    write(folder, FILES)
    shades(folder / "pictures", range(10, 13), 16)


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    assert warm(folder, furnish, "attacks.toml") == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def test_three_questions_share_one_walk(project: pytest.Pytester) -> None:
    project.runpytest("attacks.toml").assert_outcomes(passed=3)
    run = last_run(project)
    assert len(run.passes) == 1
    assert [len(item.pictures) for item in run.items] == [8, 8, 8]
    triptych = run.items[1].pictures[0]
    assert [panel.title.split()[0] for panel in triptych.panels] == [
        "image", "perturbation", "adversarial"
    ]  # fmt: skip


def test_the_rows_have_the_epsilons_as_written(project: pytest.Pytester) -> None:
    project.runpytest("attacks.toml", "-k", "one-step")
    (item,) = last_run(project).items
    assert item.table is not None
    rows = pd.read_parquet(project.path / "runs" / "latest" / item.table)
    assert list(rows["epsilon"][:3]) == ["0", "1/255", "32/255"]
    assert len(rows) == 27


def test_a_network_without_gradients_is_invalid_and_still_has_an_accuracy(
    project: pytest.Pytester,
) -> None:
    result = project.runpytest("attacks.toml", "--evals-model=cut")
    result.assert_outcomes(passed=1, failed=2)
    clean, step, towards = last_run(project).items
    assert clean.verdict is Verdict.PASSED
    assert step.verdict is towards.verdict is Verdict.INVALID
    assert "no gradient with respect to its pixels" in step.sentence


def test_adversarials_are_kept_as_8_bit_pictures(project: pytest.Pytester) -> None:
    project.runpytest("attacks.toml", "--evals-keep-adversarials", "-k", "towards")
    kept = sorted((project.path / "runs" / "latest" / "adversarials").rglob("*.png"))
    assert len(kept) == 9
    for file in kept:
        with Image.open(file) as picture:
            values = np.asarray(picture).reshape(-1, 3).astype(int)
        assert values[:, 2].mean() >= values[:, :2].mean()  # blue, or as near as the ball allows
    project.runpytest("attacks.toml", "-k", "towards")
    assert not (project.path / "runs" / "latest" / "adversarials").exists()


def test_adversarials_are_kept_without_pictures(project: pytest.Pytester) -> None:
    options = ("--evals-keep-adversarials", "--evals-pictures=none")
    project.runpytest("attacks.toml", *options, "-k", "towards")
    assert len(list((project.path / "runs" / "latest" / "adversarials").rglob("*.png"))) == 9


def test_rows_that_name_no_images_have_no_adversarials(project: pytest.Pytester) -> None:
    result = project.runpytest("dead.toml", "--evals-keep-adversarials", "-W", "error")
    result.assert_outcomes(passed=1)
    assert not (project.path / "runs" / "latest" / "adversarials").exists()


def test_the_same_command_twice_gives_identical_rows(project: pytest.Pytester) -> None:
    found = []
    for _ in range(2):
        project.runpytest("attacks.toml")
        folder = project.path / "runs" / "latest"
        found.append([(folder / (i.table or "")).read_bytes() for i in last_run(project).items])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('target = "blue"', 'target = "bleu"', 1, 'did you mean "blue"'),
        ('"32/255"]\nexpect', '"32"]\nexpect', 2, "above 1, the whole pixel scale"),
        ('at = "32/255", at_most = 0.1', 'at = "3/255", at_most = 0.1', 2, "is none of epsilons"),
    ],
)
def test_mistakes(project: pytest.Pytester, old: str, new: str, code: int, said: str) -> None:
    text = FILES["attacks.toml"].replace(old, new)
    (project.path / "attacks.toml").write_text(text, encoding="utf-8")
    result = project.runpytest("attacks.toml")
    assert result.ret == code
    assert said in result.stdout.str()
