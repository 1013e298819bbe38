"""By what pictures are found: data beside the tiles, one entry for each check on each network."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.log import Panel, Verdict
from vision_evals.report import answers, facets


def told(page: Any) -> list[list[dict[str, Any]]]:
    return [json.loads(text) for text in page.attributes("data-facets")]


def rendered(runs: ModuleType, directory: Path, *items: log.Item, **more: Any) -> Any:
    return runs.Page(report.render(runs.make_run(*items, **more), directory))


def test_a_photograph_has_a_facet_for_each_network_that_saw_it(
    runs: ModuleType, tmp_path: Path
) -> None:
    good = runs.accuracy_item(tmp_path, "good", 20)
    poor = runs.failed_item(tmp_path, "poor")
    found = told(rendered(runs, tmp_path, good, poor))
    assert [[facet["network"] for facet in some] for some in found] == [["good", "poor"]] * 8
    first = found[0]
    row = runs.photographs()[15]
    label = runs.CLASS_NAMES[int(row.stem.rsplit("_", 1)[1])]
    assert first[0] == {
        "suite": "Accuracy on photographs", "network": "good", "verdict": "passed",
        "sample": "worst", "answers": ["right"], "classes": [label],
        "confidence": round(0.35 + 0.03 * ((15 * 7 + 4) % 20), 4),
    }  # fmt: skip
    assert first[1]["verdict"] == "failed"
    assert first[1]["answers"] == ["wrong"]
    assert first[1]["classes"] == [label, "thing 130"]


def test_a_check_that_did_not_pick_a_picture_says_no_sample(
    runs: ModuleType, tmp_path: Path
) -> None:
    picks = runs.accuracy_item(tmp_path, "a")
    not_ = runs.accuracy_item(tmp_path, "b", pictures=())
    for some in told(rendered(runs, tmp_path, picks, not_)):
        assert [facet["sample"] for facet in some if facet["network"] == "b"] == [""]
        assert [facet["sample"] for facet in some if facet["network"] == "a"] != [""]


def test_works_of_art_have_no_label_and_the_most_confident(
    runs: ModuleType, tmp_path: Path
) -> None:
    page = rendered(runs, tmp_path, runs.art_item(tmp_path, "a"), image_sets=(runs.art(),))
    found = [some[0] for some in told(page)]
    assert {facet["answers"][0] for facet in found} == {"no label"}
    assert {facet["sample"] for facet in found} == {"most confident", ""}, "all of them are shown"
    assert [facet["confidence"] for facet in found] == [0.71, 0.34, 0.2, 0.1], "surest first"


def test_works_are_found_by_whether_the_networks_agree(runs: ModuleType, tmp_path: Path) -> None:
    items = [runs.art_item(tmp_path, "a"), runs.art_item(tmp_path, "b", 990)]
    found = told(rendered(runs, tmp_path, *items, image_sets=(runs.art(),)))
    said = [tuple(facet["answers"]) for some in found for facet in some]
    assert said.count(("no label", "the networks agree")) == 2, "one work, said of each network"
    assert said.count(("no label", "the networks disagree")) == 6


def test_an_attack_is_found_by_both_answers_and_by_its_target(
    runs: ModuleType, tmp_path: Path
) -> None:
    item = runs.targeted_item(tmp_path, "a", "iterative", (1, 2, 3))
    card = runs.classifier("a", class_names=("airliner", "gibbon", "bull mastiff"))
    (first, *_), *_ = told(rendered(runs, tmp_path, item, classifiers=(card,)))
    assert first["classes"] == ["bull mastiff", "gibbon"]
    assert first["confidence"] == 0.99
    assert first["answers"] == ["no label", "another after the change", "target not reached"]
    reached = item.model_copy(update={"parameters": {"target": "1"}})
    (first, *_), *_ = told(rendered(runs, tmp_path, reached, classifiers=(card,)))
    assert first["answers"][-1] == "target reached"


NAMES = ("crane", "goose", "crane")


@pytest.mark.parametrize(
    ("first", "accepted", "answers"),
    [
        ("goose", [1], ["right"]),
        ("goose", [0], ["wrong"]),
        ("crane", [0], []),  # a bird or a machine: the name does not say
        ("crane", [0, 2], ["right"]),
        ("crane", [1], ["wrong"]),
        ("stork", [1], []),
        ("goose", [], ["no label"]),
    ],
)
def test_right_and_wrong_by_name_only_where_the_name_tells(
    runs: ModuleType, tmp_path: Path, first: str, accepted: list[int], answers: list[str]
) -> None:
    item = runs.fgsm_item(tmp_path, "a")
    card = runs.classifier("a", class_names=NAMES)
    parts = [Panel(title="eval mode", answer=first, confidence=0.5)]
    row = {"image": "i", "label": None, "accepted": accepted}
    found = facets.of_panels(item, "s", "worst", row, card, parts)
    assert list(found.answers) == answers
    assert found.confidence == 0.5


def test_a_suite_is_called_by_its_title_unless_two_share_it(
    runs: ModuleType, tmp_path: Path
) -> None:
    items = runs.fgsm_item(tmp_path, "a"), runs.targeted_item(tmp_path, "a", "i", (1, 2, 3))
    paths = [item.suite for item in items]

    def called(*titles: str) -> set[str]:
        suites = tuple(log.Suite(path=p, title=t) for p, t in zip(paths, titles, strict=True))
        page = rendered(runs, tmp_path, *items, suites=suites)
        return {facet["suite"] for some in told(page) for facet in some}

    assert called("One", "Two") == {"One", "Two"}
    assert called("One", "One") == set(paths)


@pytest.mark.parametrize(
    "attack", ["'", '"', "'><script>alert(1)</script>", "</article>", "\\'&amp;"]
)
def test_hostile_texts_arrive_as_they_are(runs: ModuleType, tmp_path: Path, attack: str) -> None:
    item = runs.accuracy_item(tmp_path, "a")
    item = item.model_copy(update={"classifier": attack, "verdict": Verdict.FAILED})
    found = told(rendered(runs, tmp_path, item))
    assert {facet["network"] for some in found for facet in some} == {attack}
    assert {facet["verdict"] for some in found for facet in some} == {"failed"}


def test_a_confidence_that_is_no_number_is_none() -> None:
    row = {"top5": [1, 2], "top5_confidence": [float("nan"), 0.25]}
    first, second = answers.answers_of(row, None)
    assert (first.confidence, first.share) == (0.0, "none")
    assert (second.confidence, second.share) == (0.25, "25 %")
