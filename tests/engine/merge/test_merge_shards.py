"""Parts of a run, joined: rows, metrics, judgements and pictures are those of the whole run."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests import inner
from vision_evals import log
from vision_evals.cli import main
from vision_evals.core.errors import UserError
from vision_evals.engine.merge.read import read_parts
from vision_evals.log import Verdict

Furnish = Callable[[Path], None]
Facts = Callable[[log.Run], dict[str, Any]]

PARTS = 3


def judge(folder: Path, run_dir: str, *options: str, suite: str = "all.toml") -> int:
    """Run a suite of a folder."""
    return inner.run(folder, "-q", suite, f"--evals-run-dir={run_dir}", *options).code


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, furnish: Furnish) -> Path:
    """A project with one whole run, and the same in three parts."""
    folder = tmp_path_factory.mktemp("project")
    furnish(folder)
    folder.joinpath("pictures", "green", "4b.png").write_bytes(b"no picture")
    assert judge(folder, "whole") == 1
    for k in range(1, PARTS + 1):
        assert judge(folder, f"part{k}", f"--evals-shard={k}/{PARTS}") == 0
    return folder


@pytest.fixture
def copied(project: Path, tmp_path: Path) -> Iterator[Path]:
    """Yield a copy of the project that a test may spoil, as the current folder."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder, symlinks=True)
    with contextlib.chdir(folder):
        yield folder


def places() -> list[str]:
    return [f"part{k}/latest" for k in range(1, PARTS + 1)]


@pytest.fixture(scope="module")
def runs(project: Path) -> tuple[log.Run, log.Run]:
    """Return the whole run and the merged one, which needs no pictures and no networks."""
    aside = {name: project / f"{name}.aside" for name in ("pictures", "art", "nets.py")}
    for name, place in aside.items():
        (project / name).rename(place)
    with contextlib.chdir(project):
        assert main(["merge", *reversed(places()), "--out", "merged"]) == 1
    for name, place in aside.items():
        place.rename(project / name)
    return log.read(project / "whole" / "latest"), log.read(project / "merged")


def test_a_part_records_and_judges_nothing(project: Path) -> None:
    for k in range(1, PARTS + 1):
        run = log.read(project / f"part{k}" / "latest")
        assert run.settings.shard == f"{k}/{PARTS}"
        assert run.status == "finished"
        for item in run.items:
            assert item.verdict is Verdict.RECORDED
            assert item.sentence == f"part {k} of {PARTS}, judged by `evals merge`"
            assert not item.metrics
            assert not item.judgements


def test_merged_rows_are_those_of_the_whole_run(
    project: Path, runs: tuple[log.Run, log.Run]
) -> None:
    compared = set()
    for one, other in zip(*(run.items for run in runs), strict=True):
        whole = pd.read_parquet(project / "whole" / "latest" / str(one.table))
        merged = pd.read_parquet(project / "merged" / str(other.table))
        compared.add(one.measure)
        pd.testing.assert_frame_equal(whole, merged, check_exact=True)
    assert compared == {"accuracy", "predictions", "fgsm", "dead_relu"}


def test_merged_items_are_those_of_the_whole_run(runs: tuple[log.Run, log.Run]) -> None:
    whole, merged = runs
    assert merged.selected == whole.selected
    drawn = {item.measure: [plot.title for plot in item.plots] for item in merged.items}
    assert "Reliability diagram" in drawn["accuracy"]
    assert drawn["predictions"] == ["Confidence on photographs and art"]
    for one, other in zip(whole.items, merged.items, strict=True):
        moved = {"seconds", "cached", "validity", "pictures"}
        assert other.model_dump(exclude=moved) == one.model_dump(exclude=moved)
        # a part may have too few images to tell what the whole tells, and never the reverse
        ours, theirs = worst(one), worst(other)
        assert ours.keys() == theirs.keys()
        order = ["failed", "undecided", "passed"]
        worse = [key for key in ours if ours[key] != theirs[key]]
        assert all(order.index(theirs[key]) < order.index(ours[key]) for key in worse)
        assert len(worse) < len(ours) / 4
        assert [(p.image, p.sample, p.file) for p in other.pictures] == [
            (p.image, p.sample, p.file) for p in one.pictures
        ]
    verdicts = {item.verdict for item in merged.items}
    assert verdicts == {Verdict.PASSED, Verdict.FAILED, Verdict.RECORDED}
    assert sum(len(item.pictures) for item in merged.items) > 50
    said = [v.evidence for item in merged.items for v in item.validity]
    assert any(evidence.startswith("part 1 of 3: ") for evidence in said)


def worst(item: log.Item) -> dict[str, str]:
    order = ["failed", "undecided", "passed"]
    found: dict[str, str] = {}
    for check in item.validity:
        found[check.name] = min(check.outcome, found.get(check.name, "passed"), key=order.index)
    return found


def test_merged_facts_are_those_of_the_whole_run(
    project: Path, runs: tuple[log.Run, log.Run], facts: Facts
) -> None:
    whole, merged = (facts(run) for run in runs)
    for one in (whole, merged):
        one.pop("items")
    assert merged == whole
    assert (project / "merged" / "report.html").stat().st_size > 1000
    for item in runs[1].items:
        assert all((project / "merged" / picture.file).is_file() for picture in item.pictures)
    assert runs[1].command.startswith("evals")


def test_more_parts_than_batches(project: Path, runs: tuple[log.Run, log.Run]) -> None:
    for k in (1, 2, 3):
        options = [f"--evals-shard={k}/3", "--evals-batch-size=20", "--evals-model=one"]
        assert judge(project, f"sparse{k}", *options, "--evals-keep-adversarials") == 0
    passes = [log.read(project / f"sparse{k}" / "latest").passes for k in (1, 2, 3)]
    assert [walk[0].n for walk in passes] == [0, 19, 8]  # two batches, one picture unreadable
    kept = {f.name for k in (2, 3) for f in (project / f"sparse{k}").rglob("adversarials/*/*.png")}
    with contextlib.chdir(project):
        named = [f"sparse{k}/latest" for k in (3, 1, 2)]
        assert main(["merge", *named, "--out", "sparse"]) in {0, 1}
    found = {item.id: item for item in log.read(project / "sparse").items}
    for item in runs[0].items:
        if item.id in found and item.measure == "accuracy":
            values = {m.name: m.value for m in item.metrics if m.value is not None}
            merged = {m.name: m.value for m in found[item.id].metrics if m.value is not None}
            assert merged == pytest.approx(values, rel=1e-5)
            assert len(values) > 2
    assert {f.name for f in (project / "sparse").rglob("adversarials/*/*.png")} == kept
    assert len(kept) > 5
    verdicts = {item.check: item.verdict for item in found.values()}
    assert verdicts["attack"] is Verdict.FAILED  # one picture is unreadable
    assert verdicts["alike"] is Verdict.NOT_APPLICABLE  # no other classifier to agree with
    assert verdicts["dead"] is Verdict.RECORDED


@pytest.mark.slow
def test_parts_that_processes_share(project: Path, runs: tuple[log.Run, log.Run]) -> None:
    assert judge(project, "shared", "-n2", f"--evals-shard=2/{PARTS}") == 0
    with contextlib.chdir(project):
        first, _, third = places()
        assert main(["merge", first, "shared/latest", third, "--out", "both"]) == 1
    both = log.read(project / "both")
    moved = {"seconds", "cached", "pictures", "validity"}
    assert [item.model_dump(exclude=moved) for item in both.items] == [
        item.model_dump(exclude=moved) for item in runs[1].items
    ]
    assert [image_set.fingerprint for image_set in both.image_sets] == [
        image_set.fingerprint for image_set in runs[0].image_sets
    ]


def edit(folder: Path, place: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a log as a machine would have written it."""
    run = log.read(folder / place)
    data = run.model_dump(mode="json")
    change(data)
    log.write(log.Run.model_validate(data), (folder / place).resolve())


def refused(named: list[str] | None = None) -> str:
    """Return why the command refuses; it must leave nothing behind."""
    before = sorted(Path().iterdir())
    with pytest.raises(UserError) as error:
        main_raising(["merge", *(named or places())])
    assert sorted(Path().iterdir()) == before
    return str(error.value)


def main_raising(arguments: list[str]) -> None:
    from vision_evals.cli.merge import command
    from vision_evals.suite.options import read

    command(read({}, Path.cwd()), list(map(Path, arguments[1:])), None, "evals merge", print)


def test_parts_that_are_there_twice_or_missing(copied: Path) -> None:
    first, second, third = places()
    assert "part 2 of 3 is there twice" in refused([first, second, second, third])
    assert "parts are missing: 2/3; run them with --evals-shard" in refused([first, third])
    assert "whole run, not a part of one" in refused([first, "whole/latest"])
    assert "no such run" in refused([first, "nowhere"])


def test_a_link_to_a_part_that_is_named_too_counts_once(copied: Path) -> None:
    """`evals merge parts/*` also names parts/latest."""
    parts = Path("parts")
    parts.mkdir()
    for k in range(1, PARTS + 1):
        shutil.copytree(Path(f"part{k}/latest").resolve(), parts / f"{k}")
    (parts / "latest").symlink_to("2", target_is_directory=True)
    for order in (1, -1):
        named = sorted(parts.iterdir())[::order]
        assert len(named) == PARTS + 1
        read = read_parts(named)
        assert [part.partition.k for part in read] == [1, 2, 3]
    shutil.copytree(parts / "2", parts / "copy")
    assert "part 2 of 3 is there twice" in refused([str(part) for part in parts.iterdir()])
    assert len(read_parts([parts / "1", parts / "latest", parts / "3"])) == PARTS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda run: run["settings"].update(seed=7), "seed: 0 and 7"),
        (lambda run: run["settings"].update(precision="bf16"), "precision: fp32 and bf16"),
        (lambda run: run["settings"].update(batch_size=8), "batch size: "),
        (lambda run: run["settings"].update(shard="2/4"), "not cut into equally many parts"),
        (lambda run: run["settings"].update(shard="9/3"), "there is no such part"),
        (lambda run: run["suites"][0].update(sha256="0" * 64), "suite all.toml: "),
        (lambda run: run["classifiers"][1].update(fingerprint="f"), "fingerprint of two: "),
        (
            lambda run: run["classifiers"][1]["answers"].update(logits=["AAAA"]),
            "two: something the fingerprint does not see changed between them",
        ),
        (
            lambda run: run["classifiers"][1].update(unavailable="no weights"),
            "why two is unavailable: ",
        ),
        (lambda run: run["image_sets"][0].update(total=29), "total of images photographs: 28 and"),
        (lambda run: run["environment"]["versions"].update(torch="0.1"), "version of torch: "),
        (lambda run: run["items"][0]["parameters"].update(bins=3), "parameters of all.toml::"),
        (lambda run: run["selected"].reverse(), "selected checks: "),
        (lambda run: run["passes"][0].update(batch_size=5), "batch size on photographs: 4 and 5"),
        (lambda run: run.update(status="interrupted"), "part 2 of 3 is interrupted"),
        (lambda run: run.update(not_run=["x"]), "1 checks did not run"),
        (lambda run: run["items"][0]["rows"][0].update(n=3), "the parts read "),
        (lambda run: run["items"][0]["rows"][0].update(table="../../x"), "not below its folder"),
        (lambda run: run["items"][0]["rows"][0].update(table="tables/x"), "is missing; copy"),
        (lambda run: run["items"][0].update(suite="other.toml"), "identity of all.toml::"),
        (lambda run: run["image_sets"][0].update(table=None), "lists no images of"),
    ],
)
def test_parts_of_different_runs(
    copied: Path, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    edit(copied, "part2/latest", change)
    assert reason in refused()


def test_logs_that_contradict_themselves(copied: Path) -> None:
    for place in places():
        edit(copied, place, lambda run: run["items"][0].update(suite="other.toml"))
    assert "does not list the suite other.toml" in refused()


def test_logs_that_are_damaged_or_newer(copied: Path) -> None:
    file = copied / "part2" / "latest" / "run.json"
    text = file.read_text("utf-8")
    file.write_text(text.replace(f'"version": {log.VERSION}', '"version": 99'), encoding="utf-8")
    assert "written in format 99" in refused()
    file.write_text(text[:100], encoding="utf-8")
    assert "not a readable run log" in refused()


def test_tables_that_are_damaged_or_overlap(copied: Path) -> None:
    item = log.read(copied / "part1" / "latest").items[0]
    ours, theirs = (copied / f"part{k}" / "latest" / str(item.rows[0].table) for k in (1, 2))
    kept = theirs.read_bytes()
    theirs.write_bytes(b"not Parquet")
    assert "cannot be read" in refused()
    shutil.copyfile(ours, theirs)
    message = refused()
    assert "part 2 of 3 (" in message
    assert "7 missing (" in message
    assert "8 not planned (" in message
    table = pd.read_parquet(copied / "part1" / "latest" / str(item.rows[0].table))
    for spoilt, says in (
        (pd.concat([table, table]), "is there 2 times"),
        (table.iloc[:0], "of the images, 8 missing ("),
        (table.drop(columns="correct1"), "it has no column correct1"),
        (table.assign(label=3), "label holds 3, no class index"),
        (table.assign(confidence=1.5), "confidence holds 1.5, no probability"),
    ):
        spoilt.to_parquet(ours, index=False)
        message = refused()
        assert "part 1 of 3 (" in message
        assert says in message
    table.to_parquet(ours, index=False)
    theirs.write_bytes(kept)
    listing = log.read(copied / "part2" / "latest").image_sets[0].table
    place = copied / "part2" / "latest" / str(listing)
    table = pd.read_parquet(place)
    table.loc[0, "label"] = "green"
    table.to_parquet(place, index=False)
    assert "image sets differ in label: blue and green" in refused()


def test_suites_that_are_not_what_they_were(copied: Path) -> None:
    suite = copied / "all.toml"
    text = suite.read_text("utf-8")
    suite.write_text(text.replace("at_least = 0.9", "at_least = 0.1"), encoding="utf-8")
    assert "is not the suite that the parts ran" in refused()
    suite.unlink()
    assert "merge in the folder that pytest called rootdir" in refused()


def test_what_is_there_is_not_overwritten(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((copied / "whole").rglob("*"))
    assert main(["merge", *places(), "--out", "whole"]) == 1
    assert "name a new one" in capsys.readouterr().err
    assert sorted((copied / "whole").rglob("*")) == before


def test_a_part_that_fell_makes_the_whole_invalid(copied: Path) -> None:
    def fall(run: dict[str, Any]) -> None:
        for item in run["items"]:
            for rows in item["rows"]:
                if rows["classifier"] == "one" and item["measure"] == "accuracy":
                    rows["validity"][0].update(outcome="failed", evidence="it fell")

    edit(copied, "part2/latest", fall)
    assert main(["merge", *places(), "--out", "fallen"]) == 1
    items = {item.id: item for item in log.read(copied / "fallen").items}
    item = items["all.toml::right[one]"]
    assert item.verdict is Verdict.INVALID
    assert "part 2 of 3: it fell" in item.sentence
    assert items["all.toml::right[two]"].verdict is Verdict.PASSED
    # who is held against it has no threshold
    assert items["all.toml::right[three]"].verdict is not Verdict.PASSED


def test_reading_parts_in_any_order(project: Path) -> None:
    found = read_parts([project / place for place in reversed(places())])
    assert [part.partition.k for part in found] == [1, 2, 3]


RECIPES = """
evals = 1
title = "Recipes"
models = ["quick", "other"]
[images]
digits = "digits_test"
[[check]]
name = "right"
measure = "accuracy"
images = "digits"
expect = [{ metric = "top1_accuracy", at_least = { of = "other", minus = 0.09 }, for = ["quick"] }]
[[check]]
name = "course"
measure = "training"
expect = [{ metric = "epochs", at_most = { of = "other", plus = 0.5 }, for = ["quick"] }]
[[check]]
name = "descent"
measure = "steepest_descent"
expect = [{ metric = "step_over_bound", at = 30.234, at_most = 1.000001 }]
"""

QUICK = """
[models.{name}]
network = "small_cnn"
[models.{name}.recipe]
data = "digits"
size = 8
examples = 64
epochs = 1
batch_size = 32
optimizer = {{ name = "sgd", lr = 0.05 }}
seeds = {seeds}
"""


@pytest.mark.slow
def test_recipes_and_measures_without_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cards = QUICK.format(name="quick", seeds=[0, 1]) + QUICK.format(name="other", seeds=[2])
    files = {"pytest.ini": "[pytest]\n", "recipes.toml": RECIPES, "cards.toml": cards}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    given = "--evals-cards=cards.toml"
    # other's own items are not selected: thresholds name it all the same
    options = [given, "-k", "quick or quadratic"]
    assert judge(tmp_path, "whole", *options, suite="recipes.toml") == 0
    for k in (1, 2):
        assert (
            judge(tmp_path, f"part{k}", *options, f"--evals-shard={k}/2", suite="recipes.toml") == 0
        )
    second = log.read(tmp_path / "part2" / "latest")
    elsewhere = [item for item in second.items if item.measure != "accuracy"]
    assert len(elsewhere) == 2
    assert {item.verdict for item in elsewhere} == {Verdict.NOT_APPLICABLE}
    assert all("part 2 of 2" in item.sentence for item in elsewhere)
    with contextlib.chdir(tmp_path):
        assert main(["merge", "part1/latest", "part2/latest", "--out", "merged"]) == 0
    assert "passed" in capsys.readouterr().out
    whole, merged = log.read(tmp_path / "whole" / "latest"), log.read(tmp_path / "merged")
    assert len(whole.items) == 3
    for one, other in zip(whole.items, merged.items, strict=True):
        moved = {"seconds", "cached", "validity", "pictures"}
        assert other.model_dump(exclude=moved) == one.model_dump(exclude=moved)
        tables = [pd.read_parquet(tmp_path / run / str(item.table))
                  for run, item in (("whole/latest", one), ("merged", other))]  # fmt: skip
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    right = {metric.name: metric for metric in merged.items[0].metrics}["top1_accuracy"]
    assert len(right.spread) == 2
    assert {item.verdict for item in merged.items} == {Verdict.PASSED}
    assert [c.fingerprint for c in merged.classifiers] == [c.fingerprint for c in whole.classifiers]
