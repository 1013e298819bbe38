"""What is kept of a run and found by the next: whatever changed a number never meets an old one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.inner import warm
from tests.project import CLASSES, card, shades, suite, write
from vision_evals import log
from vision_evals.core.cache.store import CacheEntry, parse, written
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

NETS = """
import os
import functools
import torch
from torch import nn
from torch.nn import functional as F
import cache_helper
from cache_helper import CONSTANT
TABLE = {"by": float(os.environ.get("TABLE", "1"))}

def factor(by):
    def scaled(x):
        return x * by
    return scaled

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(3) * 10)
        self.module_dropout = nn.Dropout(float(os.environ.get("MODULE_P", "0.5")))
        self.p = float(os.environ.get("P", "0.5"))
        self.act = getattr(torch, os.environ.get("ACT", "relu"))
        self.scale = factor(float(os.environ.get("BY", "1")))
        self.part = functools.partial(torch.mul, other=float(os.environ.get("PART", "1")))
        self.switch = os.environ.get("SWITCH", "off")
        self._private = float(os.environ.get("PRIVATE", "1"))
    def forward(self, pixels):
        x = self.act(pixels.mean(dim=(2, 3))) @ self.weight
        x = F.dropout(self.module_dropout(x), self.p, self.training)
        return cache_helper.help(self.part(self.scale(x)))
"""

HELPER = (
    "import os\nCONSTANT = float(os.environ.get('CONSTANT', '1'))\n\ndef help(x):\n    return x\n"
)

DROPOUT = """
[[check]]
name = "dropout"
measure = "dropout_gap"
images = "photographs"
masks = 4
expect = []
"""

SUITE = suite("Kept", '{ metric = "top1_accuracy", at_least = 0.5 }') + DROPOUT

N = 12


@pytest.fixture(scope="module", autouse=True)
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that was judged once: everything is imported, and its cache is filled."""
    folder = tmp_path_factory.mktemp("judged")
    arguments = ("kept.toml", "--evals-model=net@one.safetensors")
    assert warm(folder, furnish, *arguments) == 0
    return folder


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def furnish(folder: Path) -> None:
    files = {
        "pyproject.toml": '[tool.evals]\nrun_dir = "runs"\n'
        + card("net", "cache_nets:Net", side=8),
        "cache_nets.py": NETS,
        "cache_helper.py": HELPER,
        "classes.txt": CLASSES,
        "kept.toml": SUITE,
    }
    write(folder, files)
    shades(folder / "pictures", range(10, 10 + N // 3), 8, "{name}{index}.png")
    for name, value in (("one", 10.0), ("two", 11.0)):
        save_file({"weight": torch.eye(3) * value}, folder / f"{name}.safetensors")


def go(project: pytest.Pytester, *more: str, model: str = "one") -> log.Run:
    project.runpytest("kept.toml", f"--evals-model=net@{model}.safetensors", *more)
    return log.read(project.path / "runs" / "latest")


def cached(run: log.Run) -> list[int]:
    return [item.cached for item in run.items]


def plain(run: log.Run) -> list[log.Item]:
    return [item.model_copy(update={"cached": 0}) for item in run.items]


@pytest.mark.usefixtures("whole_run")
def test_a_second_run_finds_everything_and_says_the_same(project: pytest.Pytester) -> None:
    first = go(project)
    assert cached(first) == [0, 0]
    second = go(project)
    assert cached(second) == [N, N]
    assert plain(second) == plain(first)
    assert second.image_sets == first.image_sets
    assert second.passes[0].forward_seconds == 0
    for item, other in zip(first.items, second.items, strict=True):
        tables = [
            pd.read_parquet(project.path / "runs" / run.id / str(one.table))
            for run, one in ((first, item), (second, other))
        ]
        pd.testing.assert_frame_equal(*tables)
        for picture in other.pictures:
            content = [
                (project.path / "runs" / run.id / picture.file).read_bytes()
                for run in (first, second)
            ]
            assert content[0] == content[1]
    assert any(item.pictures for item in second.items)
    page = (project.path / "runs" / second.id / "report.html").read_text(encoding="utf-8")
    assert "12 cached" in page
    result = project.runpytest("kept.toml", "--evals-model=net@one.safetensors")
    result.stdout.fnmatch_lines(["from the cache: rows of 24 images in 2 of 2 checks"])


def environment(name: str, value: str) -> Callable[[pytest.Pytester], None]:
    def change(project: pytest.Pytester) -> None:
        os.environ[name] = value

    return change


def text(file: str, old: str, new: str) -> Callable[[pytest.Pytester], None]:
    def change(project: pytest.Pytester) -> None:
        place = project.path / file
        before = place.read_text(encoding="utf-8")
        assert old in before
        place.write_text(before.replace(old, new), encoding="utf-8")

    return change


def repaint(project: pytest.Pytester) -> None:
    Image.new("RGB", (8, 8), (140, 100, 100)).save(project.path / "pictures" / "red" / "red0.png")


def relabel(project: pytest.Pytester) -> None:
    pictures = project.path / "pictures"
    (pictures / "red" / "red0.png").rename(pictures / "blue" / "red0.png")


@pytest.mark.parametrize(
    "change",
    [
        environment("P", "0.25"),
        environment("MODULE_P", "0.25"),
        environment("ACT", "tanh"),
        environment("BY", "2"),
        environment("PART", "2"),
        environment("SWITCH", "on"),
        environment("PRIVATE", "2"),
        environment("CONSTANT", "2"),
        environment("TABLE", "2"),
        text("cache_helper.py", "return x", "return x + 0"),
        text("cache_nets.py", '"relu"))', '"relu"))  # a comment is code, too'),
        text("classes.txt", "blue", "azure"),
        text("pyproject.toml", "mean = [0", "mean = [0.1"),
        text("pyproject.toml", "crop = 8", "crop = 7"),
        text("pyproject.toml", "run_dir", 'precision = "bf16"\nrun_dir'),
        text("pyproject.toml", "run_dir", "seed = 1\nrun_dir"),
        text("pyproject.toml", "run_dir", "batch_size = 3\nrun_dir"),
        repaint,
        relabel,
    ],
    ids=[
        "functional dropout", "dropout module", "activation", "closure", "partial", "switch",
        "private attribute", "imported constant", "table of a module",
        "helper module", "network's code", "class names", "normalisation", "crop", "precision",
        "seed", "batch size", "image bytes", "label",
    ],
)  # fmt: skip
def test_what_changed_never_meets_an_old_result(
    pytester: pytest.Pytester,
    judged: Path,
    change: Callable[[pytest.Pytester], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("P", "MODULE_P", "ACT", "BY", "PART", "SWITCH", "PRIVATE", "CONSTANT", "TABLE"):
        monkeypatch.delenv(name, raising=False)  # and so it is put back afterwards
    shutil.copytree(judged, pytester.path, symlinks=True, dirs_exist_ok=True)
    assert cached(go(pytester)) == [N, N]
    change(pytester)
    run = go(pytester)
    assert len(run.items) == 2
    assert cached(run) == [0, 0]
    assert cached(go(pytester)) == [len(run.image_sets) and run.image_sets[0].n] * 2


def test_other_weights_and_other_code_of_this_package_are_computed(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(project)
    assert cached(go(project, model="two")) == [0, 0]
    with monkeypatch.context() as patch:
        patch.setattr("vision_evals.engine.cache_keys.code_digest", lambda: "other")
        assert cached(go(project)) == [0, 0]
    assert cached(go(project)) == [N, N]


def test_another_parameter_leaves_the_other_check_kept(project: pytest.Pytester) -> None:
    go(project)
    text("kept.toml", "masks = 4", "masks = 5")(project)
    assert cached(go(project)) == [N, 0]


def test_no_cache_finds_nothing_and_leaves_nothing(project: pytest.Pytester) -> None:
    go(project)
    before = sorted((project.path / ".evals_cache").rglob("*"))
    assert cached(go(project, "--evals-no-cache")) == [0, 0]
    assert sorted((project.path / ".evals_cache").rglob("*")) == before
    shutil.rmtree(project.path / ".evals_cache")
    run = go(project, "--evals-no-cache")
    assert not (project.path / ".evals_cache").exists()
    assert not list((project.path / "runs" / run.id).glob(".*"))


def test_a_damaged_entry_is_named_and_computed_again(project: pytest.Pytester) -> None:
    first = go(project)
    for file in (project.path / ".evals_cache" / "shards").glob("*/*"):
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)
    run = go(project)
    assert cached(run) == [0, 0]
    assert sum("a damaged entry of the cache" in said for said in run.warnings) == 2
    assert [i.metrics for i in run.items] == [i.metrics for i in first.items]
    assert cached(go(project)) == [N, N]


def test_entries_of_an_older_layout_are_computed_again(project: pytest.Pytester) -> None:
    first = go(project)
    files = [f for f in (project.path / ".evals_cache").glob("*/*/*") if f.is_file()]
    assert {file.parts[-3] for file in files} == {"shards", "measured", "pictures", "answers"}
    for file in files:
        entry = parse(file.read_bytes())
        assert entry is not None
        about = {key: entry.about[key] for key in ("classifier", "measure")}
        payload = entry.payload if file.parts[-3] == "shards" else b'{"said": "another layout"}'
        file.write_bytes(written(CacheEntry(about, payload)))
    run = go(project)
    assert cached(run) == [0, 0]
    assert [item.metrics for item in run.items] == [item.metrics for item in first.items]
    assert cached(go(project)) == [N, N]


def test_a_cache_that_cannot_be_written_is_a_warning_once(project: pytest.Pytester) -> None:
    (project.path / ".evals_cache").write_text("a file", encoding="utf-8")
    run = go(project)
    assert [item.verdict for item in run.items] == [Verdict.PASSED, Verdict.RECORDED]
    assert sum("the cache takes nothing more" in said for said in run.warnings) == 1


def test_an_unreadable_picture_is_remembered_and_a_repaired_one_is_seen(
    project: pytest.Pytester,
) -> None:
    place = project.path / "pictures" / "red" / "red0.png"
    whole = place.read_bytes()
    place.write_bytes(whole[:30])
    first, second = go(project), go(project)
    assert cached(second) == [N - 1, N - 1]
    assert second.image_sets == first.image_sets
    assert second.image_sets[0].unreadable[0].image == "red/red0.png"
    assert plain(second) == plain(first)
    place.write_bytes(whole)
    repaired = go(project)
    assert cached(repaired) == [0, 0]
    assert not repaired.image_sets[0].unreadable


def test_what_is_not_applicable_is_kept_too(project: pytest.Pytester) -> None:
    text("kept.toml", 'measure = "dropout_gap"', 'measure = "dead_relu"')(project)
    text("kept.toml", "masks = 4\n", "")(project)
    os.environ["ACT"] = "tanh"
    try:
        first, second = go(project), go(project)
    finally:
        del os.environ["ACT"]
    assert second.items[1].verdict is Verdict.NOT_APPLICABLE
    assert second.items[1].sentence == first.items[1].sentence
    assert second.passes[0].forward_seconds == 0


def test_evals_cache_lists_and_prunes(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_evals.cli import main

    go(project)
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    assert main(["cache"]) == 0
    said = capsys.readouterr().out
    for word in ("shards", "measured", "accuracy", "dropout_gap", "net", "entries"):
        assert word in said
    assert main(["cache", "prune"]) == 1
    assert "--older-than 30d, --larger-than 5GB, or --all" in capsys.readouterr().err
    assert main(["cache", "prune", "--older-than", "1h"]) == 0
    assert "0 entries removed" in capsys.readouterr().out
    assert main(["cache", "prune", "--all"]) == 0
    assert cached(go(project)) == [0, 0]


MEASURES = """
import functools
import os
from vision_evals import Measure, MetricSpec, Table, fraction
import own_helper

class Parameters(Table):
    pass

def look(probe, parameters, by):
    said = probe.logits.argmax(dim=1)
    return {"hit": (said == probe.answers.label) & (by * own_helper.FACTOR > 0)}

def reckon(rows, parameters, subject):
    return (fraction("hits", rows["hit"], subject),)

own = Measure(
    name="own", about="x", parameters=Parameters, labels=True,
    metrics=(MetricSpec("hits", "x", interval="wilson"),),
    observe=functools.partial(look, by=float(os.environ.get("BY_MEASURE", "1"))),
    summarise=reckon,
)
"""


def test_a_measure_of_ones_own_is_known_by_all_that_it_uses(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BY_MEASURE", raising=False)
    project.path.joinpath("own_measures.py").write_text(MEASURES, encoding="utf-8")
    project.path.joinpath("own_helper.py").write_text("FACTOR = 1\n", encoding="utf-8")
    text("kept.toml", 'measure = "dropout_gap"', 'measure = "own_measures:own"')(project)
    text("kept.toml", "masks = 4\n", "")(project)
    go(project)
    assert cached(go(project)) == [N, N]
    monkeypatch.setenv("BY_MEASURE", "-1")
    run = go(project)
    assert cached(run) == [N, 0]
    assert run.items[1].metrics[0].value == 0
    monkeypatch.delenv("BY_MEASURE")
    assert cached(go(project)) == [N, N]
    project.path.joinpath("own_helper.py").write_text("FACTOR = -1\n", encoding="utf-8")
    run = go(project)
    assert cached(run) == [N, 0]
    assert run.items[1].metrics[0].value == 0


def test_what_nobody_can_tell_is_not_kept_and_that_is_said(project: pytest.Pytester) -> None:
    text("cache_nets.py", "self._private = ", "self.stream = iter([1]); self._private = ")(project)
    go(project)
    run = go(project)
    assert cached(run) == [0, 0]
    assert any("its rows are not cached: " in said for said in run.warnings)


def test_a_network_that_changes_itself_is_no_better_with_a_cache(project: pytest.Pytester) -> None:
    text(
        "cache_nets.py",
        "        x = self.act(",
        "        if not hasattr(self, 'done'):\n"
        "            self.done = True\n"
        "            self.weight.data.mul_(-1)\n"
        "        x = self.act(",
    )(project)
    without = go(project, "--evals-no-cache")
    for _ in range(2):
        run = go(project)
        assert [item.verdict for item in run.items] == [item.verdict for item in without.items]
        assert all(item.verdict is Verdict.INVALID for item in run.items)


def test_pictures_follow_the_alias(project: pytest.Pytester) -> None:
    """The network that was `new` yesterday is `old` today, beside another `new`."""
    project.runpytest("kept.toml", "--evals-model=new=net@one.safetensors")
    project.runpytest(
        "kept.toml",
        "--evals-model=new=net@two.safetensors",
        "--evals-model=old=net@one.safetensors",
    )
    run = log.read(project.path / "runs" / "latest")
    files = {
        item.classifier: {picture.file for picture in item.pictures}
        for item in run.items
        if item.check == "colors"
    }
    assert files["old"]
    assert not files["old"] & files["new"]
    assert {item.classifier: item.cached for item in run.items} == {"new": 0, "old": N}
    for file in {*files["old"], *files["new"]}:
        assert (project.path / "runs" / run.id / file).is_file()
