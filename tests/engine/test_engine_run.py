"""``run()`` against a pytest run of the same suite: one project with a check for every verdict."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from tests.inner import warm
from tests.project import card
from tests.report.export.conftest import furnish
from vision_evals import Run, UserError, Verdict, log, read, run
from vision_evals.models.processes import can_fork

CPU = torch.device("cpu")

MORE = """
class Interrupts(Color):
    def forward(self, pixels):
        raise KeyboardInterrupt

class Exits(Color):
    def forward(self, pixels):
        raise SystemExit("a network that ends the process")
"""

RECIPE = """
[tool.evals.models.taught]
network = "small_cnn"
recipe = { data = "digits", optimizer = { name = "sgd", lr = 0.1 }, epochs = 1, batch_size = 32, \
seeds = [0], size = 16 }
"""

MEASURE = '''
from vision_evals import Measure, MetricSpec, Table, absent, each, fraction, resampled

class Parameters(Table):
    """Of brightness."""
    least: float = 0.1

def observe(probe, parameters):
    bright = probe.pixels.mean(dim=(1, 2, 3))
    return {"bright": bright, "first": probe.logits.argmax(dim=1), "is": bright > parameters.least}

def summarise(rows, parameters, subject):
    bright = rows["bright"].to_numpy()
    return (
        fraction("bright_share", rows["is"], subject),
        resampled("brightness", lambda x: x.mean(), (bright,), subject),
        absent("nothing", "there is none"),
    )

brightness = Measure(
    name="brightness", about="How bright.", parameters=Parameters, labels=True,
    class_columns=("first",),
    metrics=(
        MetricSpec("bright_share", "Share.", interval="wilson", per_image=each("is")),
        MetricSpec("brightness", "Mean.", per_image=each("bright")),
        MetricSpec("nothing", "None."),
    ),
    observe=observe, summarise=summarise, badness=lambda rows: rows.set_index("image")["bright"],
    explain=lambda probe, rows, parameters: (),
)
'''

OWN = """
evals = 1
title = "A measure of one's own"
models = ["color"]
[images]
photographs = "../pictures"
[[check]]
name = "bright"
measure = "own_bright:brightness"
images = "photographs"
expect = [{ metric = "bright_share", at_least = 0.5 }]
"""

QUIET: dict[str, Any] = {"pictures": "none", "no_cache": True}


@dataclass(frozen=True)
class Both:
    """The same suite, judged by pytest and from Python."""

    folder: Path
    code: int
    pytest: Run
    python: Run


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder without a downloaded network, and forget its modules."""
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("TORCH_HOME", str(folder / "hub"))
        yield
    for name in ("nets", "own_bright"):
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("both") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(folder / "hub"))
        folder.mkdir()
        words = ("suites", "--evals-pictures=none", "--evals-no-cache")
        code = warm(folder, furnish, *words)
    first = read(folder / "runs" / "latest")
    with inside(folder):
        second = run("suites", **QUIET)
    return Both(folder, int(code), first, second)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "project"
    folder.mkdir()
    furnish(folder)
    with (folder / "nets.py").open("a", encoding="utf-8") as file:
        file.write(MORE)
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        for name in ("Interrupts", "Exits"):
            file.write(card(name.lower(), f"nets:{name}", side=8))
    (folder / "suites" / "own_bright.py").write_text(MEASURE, encoding="utf-8")
    with inside(folder):
        yield folder


def test_every_entry_equals_that_of_pytest(both: Both) -> None:
    def entries(one: Run) -> list[dict[str, object]]:
        return [item.model_dump(exclude={"seconds"}) for item in one.items]

    assert len({item.verdict for item in both.python.items}) == 6
    assert entries(both.python) == entries(both.pytest)
    for same in ("selected", "not_run", "suites", "image_sets", "settings", "status", "warnings"):
        assert getattr(both.python.log, same) == getattr(both.pytest.log, same)
    assert both.python.exit_code == both.pytest.exit_code == both.code == 1
    assert not both.python.passed
    assert both.python.verdict is Verdict.INVALID


@pytest.mark.skipif(not can_fork(CPU), reason="needs Linux without an accelerator")
def test_every_entry_is_the_same_from_two_processes_as_from_one(project: Path) -> None:
    """Rows, metrics, validity, pictures and warnings; with batches of five of the twelve images."""
    before, runs = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        try:
            runs.append(run("suites", batch_size=5, models=["color", "nan"], no_cache=True))
        finally:
            torch.set_num_threads(before)
    alone, shared = runs
    assert [item.model_dump(exclude={"seconds"}) for item in alone.items] == [
        item.model_dump(exclude={"seconds"}) for item in shared.items
    ]
    assert alone.log.warnings == shared.log.warnings
    assert shared.rows("stepped", "color").equals(alone.rows("stepped", "color"))
    assert any(item.validity for item in shared.items)
    files = [picture.file for item in shared.items for picture in item.pictures]
    assert files
    for file in files:
        assert (alone.path / file).read_bytes() == (shared.path / file).read_bytes()


def test_it_leaves_log_report_and_the_newest_run(both: Both) -> None:
    assert read(both.folder / "runs" / "latest").path == both.python.path
    assert log.read(both.python.path) == both.python.log
    assert both.python.report == both.python.path / "report.html"
    assert both.python.report.is_file()
    command = "vision_evals.run(['suites'], pictures='none', no_cache=True)"
    assert both.python.log.command == command


def test_numbers_equal_those_of_the_rows(both: Both) -> None:
    one = both.python
    for check in ("holds", "falls"):
        rows = one.rows(check, "color")
        table = pq.read_table(one.path / str(one.select(check)[0].table))
        by_hand = sum(table.column("correct1").to_pylist()) / table.num_rows
        frame = one.metrics.query("check == @check and metric == 'top1_accuracy'")
        assert set(frame["value"]) == {by_hand, float(rows["correct1"].mean())} == {11 / 12}
        names = [name[0] for name in rows["top5_names"]]
        seen = [ids.split("/")[0] for ids in rows["image"]]
        assert [n == s for n, s in zip(names, seen, strict=True)] == rows["correct1"].tolist()
        assert rows["label_name"].tolist() == seen
    stepped = one.rows("stepped").query("epsilon == '4/255'")
    value = one.metrics.query("metric == 'robust_accuracy' and at == '4/255'")["value"]
    assert [stepped["correct"].mean()] == value.tolist()
    assert stepped["top1_name"].isin(["red", "green", "blue"]).all()


def test_images_are_those_of_the_folder(both: Both) -> None:
    frame = both.python.images.query("images == 'photographs'")
    files = sorted((both.folder / "pictures").rglob("*.png"))
    assert sorted(frame["image"]) == [f"{f.parent.name}/{f.name}" for f in files]
    assert frame["label_name"].tolist() == [image.split("/")[0] for image in frame["image"]]


def test_models_and_options_are_those_of_the_command_line(project: Path) -> None:
    found = run(
        Path("suites/each.toml") / "",
        models=["mine=color"],
        images={"photographs": project / "pictures"},
        limit=6,
        run_dir=project / "elsewhere",
        report="none",
        inconclusive="skip",
        mlflow=None,
        **QUIET,
    )
    assert found.path.parent == project / "elsewhere"
    assert found.report is None
    assert {i.classifier for i in found.select("absent")} == {"mine"}
    assert found.log.image_sets[0].n == 6
    assert read(found.path).rows("absent", "mine")["image"].nunique() == 6


def test_one_check_by_its_id_and_a_measure_by_public_names_alone(project: Path) -> None:
    (project / "suites" / "own.toml").write_text(OWN, encoding="utf-8")
    found = run(["suites/own.toml::bright[color]", "suites/each.toml::holds"], **QUIET)
    assert [item.id for item in found.items] == [
        "suites/own.toml::bright[color]",
        "suites/each.toml::holds[color]",
    ]
    assert (found.exit_code, found.passed, found.verdict) == (0, True, Verdict.PASSED)
    rows = found.rows("bright")
    shares = found.metrics.set_index("metric").loc[["bright_share", "brightness"], "value"]
    assert shares.tolist() == [rows["is"].mean(), pytest.approx(rows["bright"].mean())]
    assert rows["first_name"].tolist()[:2] == ["blue", "blue"]


def test_a_run_without_anything_judged_is_no_pass(project: Path) -> None:
    for check, code in (("absent", 5), ("unlabelled", 5), ("gone", 1)):
        found = run(f"suites/each.toml::{check}", report="none", **QUIET)
        assert (found.exit_code, found.passed) == (code, False)
    named = run("suites/each.toml::absent", models="alexnet", report="none", **QUIET)
    assert named.exit_code == 1  # who names it wants it


def test_ctrl_c_leaves_a_readable_log(project: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(["suites/each.toml::unlabelled", "suites/each.toml::absent"], "interrupts", **QUIET)
    left = read("runs/latest")
    assert (left.log.status, left.exit_code) == ("interrupted", 2)
    assert [item.check for item in left.items] == ["unlabelled"]
    assert left.log.not_run == ("suites/each.toml::absent[interrupts]",)
    assert left.report is not None


def test_a_network_that_ends_the_process_loses_its_checks_alone(project: Path) -> None:
    shutil.copytree(project / "pictures", project / "others")
    text = OWN.replace('["color"]', '["exits"]').replace("../pictures", "../others")
    text = text.replace("own_bright:brightness", "accuracy").replace(
        "bright_share", "top1_accuracy"
    )
    (project / "suites" / "own.toml").write_text(text, encoding="utf-8")
    found = run(["suites/own.toml", "suites/each.toml::holds"], report="none", **QUIET)
    assert found.exit_code == 1
    assert found.log.status == "finished"
    assert [item.check for item in found.items if item.verdict is Verdict.PASSED] == ["holds"]


def test_a_report_that_cannot_be_written_is_no_pass(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vision_evals import report

    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", full)
    found = run("suites/each.toml::holds", **QUIET)
    assert (found.exit_code, found.report) == (1, None)
    assert any("log or report could not be written" in said for said in found.warnings)


def test_mistakes_are_sentences_before_anything_is_judged(project: Path) -> None:
    def refused(*suites: str, **more: Any) -> str:
        with pytest.raises(UserError) as raised:
            run(suites, **more)
        assert not (project / "runs").exists()
        return str(raised.value)

    assert 'run() has no option "limits"; did you mean "limit"?' in refused("suites", limits=3)
    assert '"model"' in refused("suites", model="color")
    assert "--evals-limit: limit = 0" in refused("suites", limit=0)
    assert 'no classifier is called "colour"' in refused("suites", models="colour")
    assert "no check uses" in refused("suites", images="art=pictures")
    assert "nowhere: there is no such file or folder" in refused("nowhere")
    assert "pictures: no suite; a suite is a TOML file" in refused("pictures")
    assert "pyproject.toml: no suite" in refused("pyproject.toml")
    assert 'no check is called "hold"; did you mean' in refused("suites/each.toml::hold")
    for name, key in (("one", "titel"), ("two", "tittle")):
        text = f'evals = 1\n{key} = "typo"\n'
        (project / "suites" / f"{name}.toml").write_text(text, encoding="utf-8")
    both = refused("suites")
    assert 'suites/one.toml: unknown key "titel"' in both
    assert 'suites/two.toml: unknown key "tittle"' in both


def test_recipes_are_left_out_where_models_are_named(project: Path) -> None:
    with (project / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(RECIPE)
    text = OWN.replace('["color"]', '["taught"]').replace("own_bright:brightness", "accuracy")
    text = text.replace("bright_share", "top1_accuracy")
    text = text.replace('images = "photographs"\n', 'images = "photographs"\nmodels = ["taught"]\n')
    (project / "suites" / "taught.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"all 1 checks are on recipes.*recipes=True"):
        run("suites/taught.toml", models="color")
    found = run(["suites/taught.toml", "suites/each.toml::holds"], models="color", **QUIET)
    assert len(found.items) == 1
    assert any("1 checks on recipes were left out" in said for said in found.warnings)


def test_folders_are_searched_as_pytest_does(project: Path) -> None:
    suite = (project / "suites" / "each.toml").read_text("utf-8").replace("../", f"{project}/")
    for place in ("b/x.toml", "a.toml", ".hidden/x.toml", "build/x.toml", "env/x.toml", "z/no.txt"):
        file = project / "many" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(suite, encoding="utf-8")
    (project / "many" / "env" / "pyvenv.cfg").touch()
    from vision_evals.engine.run import _files, _suite_path

    files = [_suite_path(file, Path("many")) for file in _files("many")]
    assert files == ["many/a.toml", "many/b/x.toml"]
    with contextlib.chdir("many"):
        assert [_suite_path(file, Path()) for file in _files(".")] == files
    outside = project.parent / "outside"
    (project / "many").rename(outside)
    assert [_suite_path(f, outside) for f in _files(str(outside))] == ["a.toml", "b/x.toml"]
    assert _suite_path(outside / "a.toml", outside / "a.toml") == "a.toml"


def test_no_password_reaches_the_log(project: Path) -> None:
    from vision_evals.engine.run import _call_text

    typed = _call_text(["s.toml"], {"model": ["a"], "mlflow": "https://me:secret@host/x"})
    assert "secret" not in typed
    assert typed.startswith("vision_evals.run(['s.toml'], models=['a'], mlflow='https://")
    assert json.dumps(typed)
