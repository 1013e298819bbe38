"""Recipes as a person runs them: trained once, judged like any other, left out of a gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.inner import warm
from vision_evals import log
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

CARDS = """
[models.quick]
network = "small_cnn"
[models.quick.recipe]
data = "digits"
size = 8
examples = 64
epochs = 1
batch_size = 32
optimizer = { name = "sgd", lr = 0.05 }
seeds = [0, 1]

[models.wild]
network = "small_cnn"
[models.wild.recipe]
data = "digits"
size = 8
examples = 64
epochs = 2
batch_size = 32
optimizer = { name = "sgd", lr = 1e9 }
"""
SUITE = """
evals = 1
title = "Recipes"
models = ["squeezenet1_1_caffe"]
[images]
digits = "digits_test"
[[check]]
name = "units"
measure = "dead_relu"
images = "digits"
models = ["quick"]
expect = [{ metric = "dead_fraction", at_most = 0.99 }]
[[check]]
name = "course"
measure = "training"
models = ["quick", "wild"]
expect = [
  { metric = "diverged", at_most = 0.5, for = ["quick"] },
  { metric = "diverged", at_least = 0.5, for = ["wild"] },
]
[[check]]
name = "descent"
measure = "steepest_descent"
expect = [{ metric = "step_over_bound", at = 30.234, at_most = 1.000001 }]
"""
WILD = """
[[check]]
name = "wild-units"
measure = "dead_relu"
images = "digits"
models = ["wild"]
expect = [{ metric = "dead_fraction", at_most = 0.99 }]
"""


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a folder with cards and a suite; pytest's own options stand in no ini file."""
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    (folder / "cards.toml").write_text(CARDS, encoding="utf-8")
    (folder / "recipes.toml").write_text(SUITE, encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    assert warm(folder, furnish, *ARGUMENTS) == 0


ARGUMENTS = ("-p", "no:cacheprovider", "--evals-cards", "cards.toml", "recipes.toml")


def go(pytester: pytest.Pytester, *more: str) -> pytest.RunResult:
    return pytester.runpytest(*ARGUMENTS, *more)


def run_of(folder: Path) -> log.Run:
    return log.read(folder / "runs" / "latest")


@pytest.mark.slow
@pytest.mark.usefixtures("whole_run")
def test_trained_once_and_judged_by_the_same_measures(folder: pytest.Pytester) -> None:
    suite = folder.path / "recipes.toml"
    suite.write_text(SUITE + WILD, encoding="utf-8")
    result = go(folder)
    result.assert_outcomes(passed=4, failed=1)
    run = run_of(folder.path)
    items = {item.id.partition("::")[2]: item for item in run.items}
    assert items["wild-units[wild]"].verdict is Verdict.INVALID
    assert "the training converged" in items["wild-units[wild]"].sentence
    assert "was not finite" in items["wild-units[wild]"].sentence
    course = {metric.name: metric for metric in items["course[quick]"].metrics}
    assert len(course["validation_loss"].spread) == 2
    units = {metric.name: metric for metric in items["units[quick]"].metrics}
    value, spread = units["dead_fraction"].value, units["dead_fraction"].spread
    assert value == pytest.approx(sum(spread) / 2)
    assert (units["dead_fraction"].low, units["dead_fraction"].reason is None) == (None, False)
    (quick,) = [c for c in run.classifiers if c.alias == "quick"]
    assert [(t.seed, t.cached) for t in quick.trainings] == [(0, False), (1, False)]
    assert quick.recipe["optimizer"]["lr"] == 0.05
    assert "quick, seed 0" not in {item.classifier for item in run.items}
    assert [plot.title for plot in items["units[quick]"].plots]

    again = go(folder)
    again.assert_outcomes(passed=4, failed=1)
    second = run_of(folder.path)
    (quick,) = [c for c in second.classifiers if c.alias == "quick"]
    assert [t.cached for t in quick.trainings] == [True, True]
    for before, after in zip(run.items, second.items, strict=True):
        assert before.metrics == after.metrics


@pytest.mark.usefixtures("whole_run")
def test_a_number_that_was_lost_fails_its_gate(folder: pytest.Pytester) -> None:
    text = SUITE.replace(
        '{ metric = "diverged", at_least = 0.5, for = ["wild"] },',
        """
  { metric = "validation_accuracy", at_least = 0.01, for = ["wild"] },
  { metric = "steps_to_loss", at = 0.001, at_most = 5, for = ["quick"] },
  { metric = "validation_loss", at_most = { of = "squeezenet1_1_caffe" }, for = ["quick"] },
""",
    ).replace('models = ["quick", "wild"]', 'models = ["quick", "wild"]\nlosses = [0.001]')
    folder.path.joinpath("recipes.toml").write_text(text, encoding="utf-8")
    result = go(folder, "-k", "course")
    result.assert_outcomes(failed=2, deselected=2)
    quick, wild = run_of(folder.path).items
    verdicts = {j.metric: j.verdict for j in quick.judgements}
    assert verdicts["steps_to_loss"] is Verdict.FAILED
    assert verdicts["validation_loss"] is Verdict.INCONCLUSIVE  # the other was not trained here
    assert verdicts["diverged"] is Verdict.PASSED
    assert [j.verdict for j in wild.judgements] == [Verdict.FAILED]
    assert "diverged" in wild.sentence


def test_a_gate_trains_nothing(folder: pytest.Pytester) -> None:
    text = SUITE + '\n[[check]]\nname = "gate"\nmeasure = "accuracy"\nimages = "photographs"\n'
    text += 'expect = [{ metric = "top5_accuracy", at_least = 0.5 }]\n'
    folder.path.joinpath("recipes.toml").write_text(text, encoding="utf-8")
    result = go(folder, "--evals-model", "squeezenet1_1_caffe", "--evals-limit", "2")
    result.assert_outcomes(passed=1, deselected=4)
    result.stdout.fnmatch_lines(["4 checks on recipes deselected; --evals-recipes runs them, too"])
    assert not (folder.path / ".evals_cache" / "recipes").exists()


def test_a_gate_of_recipes_alone_judges_nothing(folder: pytest.Pytester) -> None:
    result = go(folder, "--evals-model", "squeezenet1_1_caffe")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_recipes_can_be_asked_for_beside_a_model(folder: pytest.Pytester) -> None:
    listed = ("--collect-only", "-q", "--evals-model", "squeezenet1_1_caffe")
    assert "course[quick]" not in go(folder, *listed).stdout.str()
    assert "course[quick]" in go(folder, *listed, "--evals-recipes").stdout.str()
    assert (
        "course[quick]" in go(folder, "--collect-only", "-q", "--evals-model", "quick").stdout.str()
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('images = "digits"\n', "", 'key "images" is missing; it names the images of dead_relu'),
        (
            'measure = "steepest_descent"\n',
            'measure = "steepest_descent"\nimages = "digits"\n',
            "steepest_descent uses no images; leave out `images`",
        ),
        (
            'measure = "steepest_descent"\n',
            'measure = "steepest_descent"\nmodels = ["quick"]\n',
            "steepest_descent uses no classifier; leave out `models`",
        ),
        ("at_most = 1.000001", 'at_most = { of = "quick" }', "compare with a number"),
        ('models = ["quick"]', 'models = ["quik"]', 'did you mean "quick"'),
    ],
)
def test_suites_say_what_does_not_fit(
    folder: pytest.Pytester, old: str, new: str, said: str
) -> None:
    assert old in SUITE
    folder.path.joinpath("recipes.toml").write_text(SUITE.replace(old, new), encoding="utf-8")
    result = go(folder, "--collect-only")
    assert result.ret != 0
    assert said in result.stdout.str()
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('network = "small_cnn"', 'network = "small_cn"', 'did you mean "small_cnn"'),
        ('data = "digits"', 'data = "digitz"', "digitz"),
        ('name = "sgd"', 'name = "sgb"', "optimizer.name"),
        ("lr = 0.05", "lr = 0.0", "greater than 0"),
        ("epochs = 1", "epochs = 1\ndropout = 1.0", "less than 1"),
        ("epochs = 1", "epoch = 1", 'did you mean "epochs"'),
        ('network = "small_cnn"', 'start = "squeezenet9"', "squeezenet9"),
        ("seeds = [0, 1]", "seeds = []", "one seed"),
        ("seeds = [0, 1]", 'seeds = [0]\ninit = "normal:1.2.3"', "normal:STD"),
        ('network = "small_cnn"', 'start = "wild"', "is a recipe itself"),
    ],
)
def test_recipes_say_what_is_wrong_before_anything_is_trained(
    folder: pytest.Pytester, old: str, new: str, said: str
) -> None:
    folder.path.joinpath("cards.toml").write_text(CARDS.replace(old, new, 1), encoding="utf-8")
    result = go(folder, "--collect-only")
    assert result.ret != 0
    text = result.stdout.str() + result.stderr.str()
    assert said in text
    assert "Traceback" not in text


def test_a_checkpoint_has_no_place_in_a_recipe(folder: pytest.Pytester) -> None:
    result = go(folder, "--evals-model", "quick@weights.pth")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "quick is trained here by a recipe" in result.stderr.str()


def test_data_that_is_not_here_skips_nothing_silently(folder: pytest.Pytester) -> None:
    cards = CARDS.replace('data = "digits"', 'data = "CIFAR10"\nroot = "nowhere"', 1)
    folder.path.joinpath("cards.toml").write_text(cards, encoding="utf-8")
    result = go(folder, "-k", "course and quick")
    result.assert_outcomes(errors=1, deselected=3)
    assert "CIFAR10" in result.stdout.str()
    run = json.loads((folder.path / "runs" / "latest" / "run.json").read_text(encoding="utf-8"))
    assert run["items"][0]["verdict"] == "unavailable"
