"""Trainings: recipes in words, curves on common axes, and the result of each seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log
from vision_evals.report.recipes import facts
from vision_evals.report.trainings import lessons

Read = Callable[[log.Run], Any]


def course(page: Any, runs: ModuleType, number: int) -> Any:
    html = page.html[page.html.index(f'id="training-{number}"') :]
    return runs.Page("<article " + html[: html.index("</article>")] + "</article>")


def lessons_of(run: log.Run) -> Any:
    colours = {card.alias: f"c{rank}" for rank, card in enumerate(run.classifiers)}
    return lessons(run, colours)


def test_recipes_stand_below_the_suite_that_judges_them(runs: ModuleType, tmp_path: Path) -> None:
    taught = lessons_of(runs.trained_run(tmp_path))
    assert [(one.title, [c.classifier for c in one.courses]) for one in taught] == [
        ("Dead ReLUs", ["small_step", "large_step", "reckless"]),
        ("suites/activations.toml", ["tanh"]),
        ("Judged by no check", ["unseen"]),
    ]
    first, second, third = taught[0].courses
    for place in (0, 1):
        assert first.frames[place].up == second.frames[place].up == third.frames[place].up
        assert first.frames[place].across == second.frames[place].across


def test_a_check_leads_to_its_training(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    page = read(runs.trained_run(tmp_path))
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    links = {href[1:] for href in page.attributes("href")}
    assert links <= set(ids)
    assert {"trainings", "training-1", "training-2", "training-3", "training-4"} <= links
    assert page.html.count("how it was trained") == 4
    assert not page.attributes("style")


def test_a_recipe_in_words(runs: ModuleType, tmp_path: Path, read: Read) -> None:
    page = read(runs.trained_run(tmp_path))
    text = course(page, runs, 1).text
    for words in (
        "optimizer sgd, lr 0.05, momentum 0.9, weight decay 0, l1 0", "epochs 6", "batch 64",
        "activation the network's own", "initial weights default", "dropout 0.5",
        "seeds 0, 1, 2, 3, 4", "data digits: 1,437 images, validated on 360 others",
        "early stopping after 3 epochs without a lower validation loss",
        "result 5 seeds, 2 found in the cache; 7.6 s of training",
        "validation accuracy 0.843 (median of 5 seeds, 0.815 to 0.871)",
    ):  # fmt: skip
        assert words in text, words
    assert "5 diverged" in course(page, runs, 3).text
    assert "diverged: a loss of epoch 3 is not finite" in course(page, runs, 3).text


def test_keys_nobody_foresaw_are_said_too() -> None:
    said = dict(facts({"odd_key": {"a": [1, 0.5], "b": None}, "flag": True, "optimizer": "x"}))
    assert said == {"odd key": "a 1, 0.5, b none", "flag": "yes", "optimizer": "x"}


def test_every_loss_stands_in_the_table(runs: ModuleType, tmp_path: Path) -> None:
    run = runs.trained_run(tmp_path)
    loss = lessons_of(run)[0].courses[0].frames[0]
    assert loss.heads == tuple(map(str, range(7)))
    assert [column.name for column in loss.columns[4:6]] == ["seed 4 training", "seed 0 validation"]
    for rank, training in enumerate(run.classifiers[0].trainings):
        for epoch in training.epochs:
            cell = loss.columns[5 + rank].cells[epoch.epoch]
            assert float(cell) == pytest.approx(epoch.validation_loss, rel=1e-3)
    assert loss.columns[0].cells[0] == "", "no training loss before the first step"
    assert [flag.label for flag in loss.flags] == ["weights returned"]
    assert not lessons_of(run)[0].courses[1].frames[0].flags, "it does not stop early"


def test_units_that_died_and_revived_are_counted(runs: ModuleType, tmp_path: Path) -> None:
    run = runs.trained_run(tmp_path)
    dead = lessons_of(run)[0].courses[1].frames[1]
    epochs = [epoch for one in run.classifiers[1].trainings for epoch in one.epochs]
    died, revived = sum(e.died for e in epochs), sum(e.revived for e in epochs)
    assert dead.about == f"Over all seeds and epochs {died} units died and {revived} revived."
    assert dead.columns[0].cells[3] == "0.7 +9 \N{MINUS SIGN}1"


def test_where_nothing_can_die_the_saturated_share_is_drawn(
    runs: ModuleType, tmp_path: Path
) -> None:
    frames = lessons_of(runs.trained_run(tmp_path))[1].courses[0].frames
    assert [frame.title for frame in frames] == ["Loss", "Saturated activations"]


def test_a_diverged_training_hides_no_other(runs: ModuleType, tmp_path: Path) -> None:
    small, _, reckless = lessons_of(runs.trained_run(tmp_path))[0].courses
    assert small.frames[0].up.high == pytest.approx(2.4), "of all that settled"
    assert not small.frames[0].clipped
    assert reckless.frames[0].clipped


def test_trainings_of_one_epoch_or_none(runs: ModuleType, read: Read) -> None:
    fields: dict[str, Any] = {"seed": 0, "data": "d", "train_images": 1, "validation_images": 1}
    cards = tuple(
        runs.classifier(alias, recipe={"data": "d"}, trainings=(log.Training(**fields, **more),))
        for alias, more in (
            ("none", {}),
            ("first", {"epochs": (log.Epoch(epoch=0, steps=0, validation_loss=2.3),)}),
            ("lost", {"diverged": "at once", "epochs": (log.Epoch(epoch=0, steps=0),)}),
        )
    )
    recipe_only = runs.classifier("never", recipe={"data": "digits", "epochs": 3})
    page = read(runs.make_run(classifiers=(*cards, recipe_only)))
    assert "diverged: at once" in page.text
    assert "data: digits; epochs: 3" in page.text


def test_a_run_without_trainings_says_nothing_of_them(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    page = read(runs.make_run(runs.accuracy_item(tmp_path, "a")))
    assert "trainings" not in page.attributes("id")
    assert "Training" not in [text for _, text in page.headings]


def test_the_spread_over_seeds_stands_in_the_place_of_an_interval(
    runs: ModuleType, tmp_path: Path, read: Read
) -> None:
    item = runs.dead_item("large_step", 0.88, 0.2316, 0.86, 0.9, 0.913)
    page = read(runs.make_run(item))
    checks = page.text[page.text.index("All checks Value") :]
    checks, _, chapter = checks.partition("suites/dead_relu.toml suites/dead_relu.toml")
    assert "0.88 (median of 5 seeds, 0.23 to 0.91) , n = 360" in checks
    assert "the median of 5 trainings" not in checks, "said once is enough"
    assert "88 % (median of 5 seeds, 23 to 91 %)" in chapter
    assert "the median of 5 trainings" not in chapter
    seeds = [row["value"] for spec in page.specs for row in spec["datasets"].get("seeds", ())]
    assert seeds == [0.88, 0.2316, 0.86, 0.9, 0.913]
    assert "the interval" not in chapter.partition("Glossary")[0]


def test_a_curve_over_seeds_says_what_its_points_are(runs: ModuleType, read: Read) -> None:
    points = tuple(runs.spread("kept", 0.2, 0.3, 0.9, at=at) for at in ("0", "1/255"))
    item = runs.dead_item("a", 0.1).model_copy(update={"metrics": points, "plots": ()})
    text = read(runs.make_run(item)).text
    assert "Of a recipe a point is the median over its seeds." in text
    assert "There are no intervals" not in text


def test_twenty_recipes_add_less_than_a_megabyte(runs: ModuleType, read: Read) -> None:
    def size(cards: tuple[log.Classifier, ...]) -> int:
        return len(read(runs.make_run(classifiers=cards)).html.encode())

    cards = tuple(runs.taught(f"recipe{number}", "stall", epochs=40) for number in range(20))
    assert all(len(e.losses) == 40 for c in cards for t in c.trainings for e in t.epochs[1:])
    assert 100_000 < size(cards) - size(cards[:1]) < 1_000_000
