"""A network is the same only if fingerprint and answers are: what no fingerprint sees is seen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.inner import last_run, warm
from tests.project import CLASSES, card, shades, suite, write
from vision_evals import log
from vision_evals.cli import main
from vision_evals.core.cache.store import CacheEntry, parse, written
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

NETS = """
import io
import json
from pathlib import Path
import torch
from torch import nn

def shift():
    return torch.tensor(json.loads(Path("calibration.json").read_text()))

class Bright(nn.Module):
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 255

def hooked():
    network, by = Bright(), shift()
    network.register_forward_hook(lambda module, inputs, output: output + by)
    return network

class Eating(Bright):
    def forward(self, pixels):
        if len(pixels) == 24:  # the pass, and no fixed input
            for picture in Path("pictures").glob("*/*"):
                picture.unlink()
        return super().forward(pixels)

class Reading(Bright):
    def forward(self, pixels):
        return super().forward(pixels) + shift()
"""

SUITE = suite("Gate", '{ metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.1 } }')

UNSEEN = "something the fingerprint does not see changed"


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm(tmp_path_factory.mktemp("warm"), furnish, "gate.toml", "--evals-model=hooked")


def furnish(folder: Path) -> None:
    files = {
        "pyproject.toml": '[tool.evals]\nrun_dir = "runs"\npictures = "none"\nreport = "none"\n'
        + card("hooked", "identity_nets:hooked", side=8)
        + card("eating", "identity_nets:Eating", side=8)
        + card("reading", "identity_nets:Reading", side=8),
        "identity_nets.py": NETS,
        "classes.txt": CLASSES,
        "gate.toml": SUITE,
        "calibration.json": "[0, 0, 0]",
    }
    write(folder, files)
    shades(folder / "pictures", range(10, 18), 8)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    furnish(pytester.path)
    monkeypatch.chdir(pytester.path)
    return pytester


def accepted(project: pytest.Pytester, model: str) -> Path:
    """Accept a network as the baseline, and return its log."""
    project.runpytest("gate.toml", f"--evals-model={model}")
    assert main(["accept", "runs/latest"]) == 0
    return project.path / "baseline" / "run.json"


def gate(project: pytest.Pytester, model: str, *more: str) -> tuple[log.Item, log.Run]:
    project.runpytest("gate.toml", f"--evals-model={model}", "--evals-baseline=baseline", *more)
    run = last_run(project)
    return run.items[0], run


def edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    run = json.loads(file.read_text("utf-8"))
    change(run)
    file.write_text(json.dumps(run), encoding="utf-8")


def spoil(project: pytest.Pytester) -> None:
    project.path.joinpath("calibration.json").write_text("[0, 0, 12.25]", encoding="utf-8")


def test_what_a_hook_closes_over_is_another_network(project: pytest.Pytester) -> None:
    accepted(project, "hooked")
    same, _ = gate(project, "hooked", "--evals-same=skip")
    assert same.verdict is Verdict.NOT_APPLICABLE
    spoil(project)
    item, run = gate(project, "hooked", "--evals-same=skip")
    assert item.verdict is Verdict.FAILED
    assert item.comparison is not None
    assert item.comparison.flips is not None
    assert item.comparison.flips.worse == 6  # of those that lead by 10 to 17 levels, red and green
    assert item.cached == 0
    assert not [said for said in run.warnings if "fingerprint" in said]


@pytest.mark.parametrize("same", ["skip", "fail"])
def test_what_nobody_sees_is_never_the_same_network(project: pytest.Pytester, same: str) -> None:
    accepted(project, "reading")
    spoil(project)
    item, _ = gate(project, "reading", f"--evals-same={same}")  # the cache remembers
    assert item.verdict is Verdict.INVALID
    assert f"reading: {UNSEEN} since 20" in item.sentence
    assert "logits that differ by 12 on fixed inputs" in item.sentence
    item, _ = gate(project, "reading", f"--evals-same={same}", "--evals-no-cache")
    assert item.verdict is Verdict.INVALID
    assert f"{UNSEEN} since the baseline" in item.sentence
    project.path.joinpath("calibration.json").write_text("[0, 0, 0]", encoding="utf-8")
    item, _ = gate(project, "reading", "--evals-same=skip")
    assert item.verdict is Verdict.NOT_APPLICABLE
    assert item.cached == 24
    spoil(project)
    assert main(["cache", "prune", "--all"]) == 0  # as the message says
    assert gate(project, "reading")[0].judgements[0].verdict is Verdict.INVALID


def test_other_answers_in_another_environment_are_judged_and_said(
    project: pytest.Pytester,
) -> None:
    file = accepted(project, "reading")
    edit(file, lambda run: run["classifiers"][0]["answers"]["environment"].update(threads="99"))
    spoil(project)
    item, run = gate(project, "reading", "--evals-same=skip", "--evals-no-cache")
    assert item.verdict is Verdict.FAILED
    threads = run.classifiers[0].answers.environment["threads"]  # type: ignore[union-attr]
    said = (
        "reading and the baseline's network: equal fingerprints, and logits that differ by 12 "
        f"on fixed inputs, in another environment (threads 99 and {threads}); judged image by image"
    )
    assert said in run.warnings


def test_equal_answers_of_another_fingerprint_are_judged_and_said(project: pytest.Pytester) -> None:
    accepted(project, "reading")
    nets = project.path / "identity_nets.py"
    nets.write_text(nets.read_text("utf-8") + "# a comment is code, too\n", encoding="utf-8")
    item, run = gate(project, "reading", "--evals-same=skip")
    assert item.judgements[0].gate is not None
    assert item.judgements[0].gate.paired.difference == 0
    said = "reading and the baseline's network: other fingerprints, and equal answers to fixed"
    assert [warning for warning in run.warnings if warning.startswith(said)]


def test_a_baseline_without_answers_is_never_skipped(project: pytest.Pytester) -> None:
    edit(accepted(project, "reading"), lambda run: run["classifiers"][0].update(answers=None))
    item, run = gate(project, "reading", "--evals-same=skip")
    assert item.judgements[0].gate is not None
    assert any("nobody knows whether the answers are equal" in said for said in run.warnings)
    item, _ = gate(project, "reading")
    assert item.verdict is Verdict.INVALID
    assert "the very same network" in item.sentence


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (lambda rows: rows.__class__.from_batches(2 * rows.to_batches()), "is there 2 times"),
        (lambda rows: rows.slice(0, 0), "of the images, 24 missing ("),
        (lambda rows: rows.slice(1), "of the images, 1 missing (blue/0.png)"),
        (lambda rows: rows.drop_columns("correct1"), "it has no column correct1"),
        (lambda _: b"", "none of 24"),
        (lambda _: b"PAR1", "Parquet"),
    ],
)
def test_rows_of_the_cache_are_held_against_the_images(
    project: pytest.Pytester, spoilt: Callable[[Any], Any], says: str
) -> None:
    project.runpytest("gate.toml", "--evals-model=hooked")
    first = last_run(project)
    (file,) = (project.path / ".evals_cache" / "shards").glob("*/*")
    entry = parse(file.read_bytes())
    assert entry is not None
    changed = spoilt(pq.read_table(io.BytesIO(entry.payload)))
    if not isinstance(changed, bytes):
        sink = io.BytesIO()
        pq.write_table(changed, sink)
        changed = sink.getvalue()
    file.write_bytes(written(CacheEntry(entry.about, changed)))  # with its checksum
    project.runpytest("gate.toml", "--evals-model=hooked")
    run = last_run(project)
    assert run.items[0].cached == 0
    assert run.items[0].metrics == first.items[0].metrics
    (warned,) = (said for said in run.warnings if "an entry of the cache with wrong rows" in said)
    assert says in warned
    project.runpytest("gate.toml", "--evals-model=hooked")
    assert last_run(project).items[0].cached == 24


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"unreadable": {"x.png": "cut off"}}, "unreadable images that are not of the shard"),
        ({"unreadable": {"red/0.png": 1}}, None),
        ({"seconds": float("nan")}, None),
        ({"oriented": -1}, None),
    ],
)
def test_what_an_entry_says_of_itself_is_held_too(
    project: pytest.Pytester, about: dict[str, Any], says: str | None
) -> None:
    project.runpytest("gate.toml", "--evals-model=hooked")
    (file,) = (project.path / ".evals_cache" / "shards").glob("*/*")
    entry = parse(file.read_bytes())
    assert entry is not None
    file.write_bytes(written(CacheEntry(entry.about | about, entry.payload)))
    project.runpytest("gate.toml", "--evals-model=hooked")
    run = last_run(project)
    assert run.items[0].cached == 0
    assert run.items[0].metrics[0].n == 24
    assert says is None or any(says in said for said in run.warnings)


def test_pictures_that_vanish_during_a_run_make_every_check_invalid(
    project: pytest.Pytester,
) -> None:
    with (project.path / "gate.toml").open("a", encoding="utf-8") as file:
        file.write(SUITE[SUITE.index("[[check]]") :].replace("colors", "again"))
        file.write(FGSM)
    project.runpytest("gate.toml", "--evals-model=eating")
    items = last_run(project).items
    assert len(items) == 3
    for item in items:
        assert item.verdict is Verdict.INVALID
        assert "image files changed or vanished during the run; run it again" in item.sentence


FGSM = """
[[check]]
name = "step"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/255"]
expect = []
"""


def test_rows_of_a_baseline_are_held_against_its_log(project: pytest.Pytester) -> None:
    import pandas as pd

    run = log.read(accepted(project, "hooked").parent)
    file = project.path / "baseline" / str(run.items[0].table)
    rows = pd.read_parquet(file)
    for spoilt, says in (
        (pd.concat([rows, rows]), "image blue/0.png is there 2 times"),
        (rows.iloc[1:], "it has 23 images where 24 were measured"),
        (rows.assign(top5=[[7]] * len(rows)), "top5 holds 7, no class index"),
    ):
        spoilt.to_parquet(file, index=False)
        item, _ = gate(project, "hooked")
        assert item.verdict is Verdict.INVALID
        assert says in item.sentence
