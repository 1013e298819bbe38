"""What processes that share a run agree on."""

from __future__ import annotations

from pathlib import Path

from vision_evals.engine.jobs import Catalog
from vision_evals.engine.passes import jobs_of_process, role_names
from vision_evals.suite.options import read
from vision_evals.verdict.job import Job

SUITE = """
evals = 1
title = "t"
models = ["a", "b"]
[images]
photographs = "one"
art = "two"
[[check]]
name = "right"
measure = "accuracy"
images = "photographs"
expect = []
[[check]]
name = "alike"
measure = "predictions"
images = "photographs"
against = "art"
expect = []
"""
CARDS = '[models.{0}]\nnetwork = "nets:{0}"\nclasses = "imagenet"\n'


def jobs(folder: Path, suites: dict[str, str]) -> list[Job]:
    cards = folder / "cards.toml"
    cards.write_text("".join(map(CARDS.format, "ab")), encoding="utf-8")
    catalog = Catalog.read(read({"cards": "cards.toml"}, folder))
    found: list[Job] = []
    for name, text in suites.items():
        file = folder / name
        file.write_text(text, encoding="utf-8")
        found += catalog.jobs(catalog.suite(file, name), folder)
    return found


def test_names_follow_from_what_was_selected(tmp_path: Path) -> None:
    other = SUITE.replace('"one"', '"three"')
    found = jobs(tmp_path, {"x.toml": SUITE, "y.toml": other})
    names = role_names(found)
    assert {source.text: name for source, name in names.items()} == {
        "one": "photographs",
        "two": "art",
        "three": "photographs 2",
    }
    assert role_names(found[4:])[next(s for s in names if s.text == "three")] == "photographs"


def test_who_is_asked_beside_a_classifier(tmp_path: Path) -> None:
    found = jobs(tmp_path, {"x.toml": SUITE})
    source, against = found[2].source, found[2].against
    assert source is not None
    assert against is not None

    def asked(alias: str, *lost: str) -> list[str]:
        own = [job for job in found if job.alias == alias and job.check.name not in lost]
        return [job.name for job in jobs_of_process(found, source, own)]

    # predictions compares classifiers, accuracy does not
    assert asked("a") == ["right[a]", "alike[a]", "alike[b]"]
    assert asked("b") == ["right[b]", "alike[a]", "alike[b]"]
    assert asked("a", "alike") == ["right[a]"]
    # on the second image set nothing is compared
    own = [job for job in found if job.alias == "a" and against in {job.source, job.against}]
    assert [job.name for job in jobs_of_process(found, against, own)] == ["alike[a]"]
