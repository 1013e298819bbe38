"""A pass whose batches several processes share: equal to that of one process, to the last bit."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image as Picture
from torch import nn

from vision_evals.core.errors import NotApplicableError
from vision_evals.engine import tables
from vision_evals.engine.loop import run_loop
from vision_evals.engine.shard import SHARD, Shard
from vision_evals.engine.shared_steps import UNITS_PER_PROCESS
from vision_evals.engine.state_guard import Changes
from vision_evals.engine.tasks import PassResult, Task, TaskGroup
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import targets
from vision_evals.measures import targeted
from vision_evals.measures.accuracy import MEASURE, Parameters
from vision_evals.measures.measure import Measure
from vision_evals.measures.probe import Probe, answers
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan
from vision_evals.models.processes import can_fork, forked, one_thread

Small = Callable[..., Classifier]
CPU = torch.device("cpu")
MARKED = SHARD + 44
"""Position of a picture that is wholly white."""

pytestmark = pytest.mark.skipif(not can_fork(CPU), reason="needs Linux without an accelerator")


@pytest.fixture(scope="module")
def image_set(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    """Noise, and a file that is no picture, in more than two shards."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for index in range(2 * SHARD + 30):
        place = folder / ("red", "green", "blue")[index * 3 // (2 * SHARD + 30)]
        place.mkdir(exist_ok=True)
        levels = np.uint8(rng.integers(0, 255, (16, 16, 3)))
        Picture.fromarray(levels).save(place / f"{index:04}.png")
    images = sources.load(str(folder), Path())
    Picture.new("RGB", (16, 16), "white").save(images.images[MARKED].path)
    images.images[7].path.write_bytes(b"no picture")
    return images


class Net(nn.Module):
    """A convolution, and a batch norm that can be folded into it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.convolution, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
            self.norm.running_mean = torch.rand(3)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = 20 * self.norm(self.convolution(pixels)).mean(dim=(2, 3))
        return logits


def group(classifier: Classifier, image_set: ImageSet, *tasks: Task, **more: Any) -> TaskGroup:
    return TaskGroup(classifier, answers(targets(image_set, classifier.classes)), tasks, **more)


def go(
    image_set: ImageSet, groups: list[TaskGroup], directory: Path, processes: int, **more: Any
) -> PassResult:
    result = more.pop("result", None) or PassResult()
    with one_thread(CPU):
        run_loop(
            image_set,
            groups,
            device=CPU,
            seed=0,
            directory=directory,
            result=result,
            processes=processes,
            **{"advance": lambda _, __="": None, "batch_size": 32, **more},
        )
    return result


def rows(directory: Path, table: str) -> pd.DataFrame:
    merged = tables.merge(directory, table)
    assert merged is not None
    return merged


def equal_results(first: PassResult, second: PassResult) -> None:
    for name in ("n", "finished", "digests", "hashes", "unreadable", "oriented", "failures"):
        assert getattr(first, name) == getattr(second, name), name
    for name in ("not_applicable", "invalid", "drew", "fitting"):
        assert getattr(first, name) == getattr(second, name), name
    assert {*first.seconds} == {*second.seconds}
    assert first.moved.keys() == second.moved.keys()
    for table, points in first.moved.items():
        assert points.keys() == second.moved[table].keys()
        assert all(torch.equal(points[name], second.moved[table][name]) for name in points)


@pytest.mark.parametrize("count", [None, 20, 1])
def test_rows_are_those_of_one_process_bit_for_bit(
    small: Small, image_set: ImageSet, tmp_path: Path, count: int | None
) -> None:
    images = image_set if count is None else limited(image_set, count)
    attack = Task(targeted.MEASURE, targeted.Parameters(target="red", steps=2), "attack")
    groups = [
        group(small(Net(0), "first"), images, Task(MEASURE, Parameters(), "accuracy"), attack),
        group(small(Net(1), "second"), images, replace(attack, table="other")),
    ]
    results = [
        go(images, groups, tmp_path / str(n), n, batch_size=8 if count else 32) for n in (1, 2, 3)
    ]
    assert results[0].failures == {}
    assert results[0].n == len(images.images) - any(
        i.id == image_set.images[7].id for i in images.images
    )
    for table in ("accuracy", "attack", "other"):
        alone, *shared = (rows(tmp_path / str(n), table) for n in (1, 2, 3))
        for other in shared:
            pd.testing.assert_frame_equal(alone, other, check_exact=True)
    for result in results[1:]:
        equal_results(results[0], result)


def test_few_batches_are_shared_by_classifier_and_many_are_not(
    small: Small, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is decoded once where there are enough of them for every process."""
    counts: list[int] = []

    def spy(units: Any, *arguments: Any) -> Any:
        counts.append(len(units))
        return forked(units, *arguments)

    monkeypatch.setattr("vision_evals.engine.shared_steps.forked", spy)
    groups = [
        group(small(Net(i), alias), image_set, Task(MEASURE, Parameters(), alias))
        for i, alias in enumerate("ab")
    ]
    for batches in (2 * UNITS_PER_PROCESS, 2 * UNITS_PER_PROCESS - 1):
        go(limited(image_set, batches), groups, tmp_path / str(batches), 2, batch_size=1)
    assert counts == [2 * UNITS_PER_PROCESS, 2 * (2 * UNITS_PER_PROCESS - 1)]


class BreaksOnWhite(Net):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if bool((pixels == 1).all(dim=(1, 2, 3)).any()):
            raise ValueError("white")
        return super().forward(pixels)


def refuse_white(probe: Probe, parameters: Any) -> Mapping[str, Any]:
    if bool((probe.pixels == 1).all(dim=(1, 2, 3)).any()):
        raise NotApplicableError("white")
    return MEASURE.observe(probe, parameters)


def test_what_stops_at_an_image_stops_there_also_where_processes_are_ahead(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    refusing: Measure = replace(MEASURE, observe=refuse_white)
    groups = [
        group(small(BreaksOnWhite(), "bad"), image_set, Task(MEASURE, Parameters(), "bad")),
        group(
            small(Net(), "good"),
            image_set,
            Task(MEASURE, Parameters(), "good"),
            Task(refusing, Parameters(), "refused"),
        ),
    ]
    finished: list[dict[str, str]] = []

    class Cache:
        def restore(self, *_: object) -> dict[int, object]:
            return {}

        def keep(self, shard: Shard, *_: object) -> None:
            finished.append(shard.stopped)

    results = [go(image_set, groups, tmp_path / str(n), n, shard_cache=Cache()) for n in (1, 2)]
    equal_results(*results)
    assert results[1].failures["bad"].startswith("ValueError: white")
    assert results[1].not_applicable == {"refused": "white"}
    for table in ("good", "bad"):
        alone, shared = rows(tmp_path / "1", table), rows(tmp_path / "2", table)
        pd.testing.assert_frame_equal(alone, shared, check_exact=True)
    assert finished == 2 * [{}, {"refused": "not_applicable"}, {}]


class Counts(Net):
    """Writes into its own buffer at every forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.get_buffer("calls").add_(1)
        return super().forward(pixels)


def test_a_network_that_changes_elsewhere_is_named_and_not_cached(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    groups = [
        group(small(Counts(), "counts"), image_set, Task(MEASURE, Parameters(), "a")),
        group(small(Net(), "still"), image_set, Task(MEASURE, Parameters(), "b")),
    ]
    changes, changed = Changes(), set[str]()

    class Cache:
        def restore(self, *_: object) -> dict[int, object]:
            return {}

        def keep(self, shard: Shard, *_: object) -> None:
            changed.update(shard.changed)

    go(image_set, groups, tmp_path, 2, changes=changes, shard_cache=Cache())
    assert changes.by_alias == {"counts": ["calls"]}
    assert changed == {"counts"}


def test_a_calibration_is_not_shared_and_what_follows_is_counted(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    records, tables_ = [], []
    for processes in (1, 2):
        classifier = small(Net(), "net")
        path = FastPath(classifier, FastPathPlan("fp32", fold=True), 0)
        task = Task(MEASURE, Parameters(), "rows")
        directory = tmp_path / str(processes)
        go(image_set, [group(classifier, image_set, task, fast_path=path)], directory, processes)
        records.append(path.record().model_dump(exclude={"build_seconds"}))
        tables_.append(rows(directory, "rows"))
    assert records[0] == records[1]
    assert records[1]["folded"] == 1
    assert records[1]["images"] == 31  # the first batch; one of its files is no picture
    assert records[1]["answers"] == len(image_set.images) - 32
    pd.testing.assert_frame_equal(*tables_, check_exact=True)


def test_an_interruption_keeps_the_finished_shards_and_leaves_no_process(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    done = 0

    def advance(n: int, _message: str = "") -> None:
        nonlocal done
        done += n
        if done > SHARD + 64:
            raise KeyboardInterrupt

    tasks = [Task(MEASURE, Parameters(), "rows")]
    with pytest.raises(KeyboardInterrupt):
        go(image_set, [group(small(Net()), image_set, *tasks)], tmp_path, 2, advance=advance)
    assert len(rows(tmp_path, "rows")) == SHARD - 1
    assert not multiprocessing.active_children()


class Killed(BreaksOnWhite):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        try:
            return super().forward(pixels)
        except ValueError:
            os.kill(os.getpid(), signal.SIGKILL)
            raise


@pytest.mark.parametrize("batch_size", [32, 128])
def test_a_network_that_ends_its_process_fails_alone(
    small: Small, image_set: ImageSet, tmp_path: Path, batch_size: int
) -> None:
    """In units of one network, and in units of all networks."""
    groups = [
        group(small(net, name), image_set, Task(MEASURE, Parameters(), name))
        for net, name in ((Net(0), "first"), (Killed(), "bad"), (Net(1), "last"))
    ]
    sound = [groups[0], groups[2]]
    alone = go(image_set, sound, tmp_path / "1", 1, batch_size=batch_size)
    shared = go(image_set, groups, tmp_path / "2", 2, batch_size=batch_size)
    said = "its process was ended (SIGKILL), perhaps for lack of memory"
    assert shared.failures == {"bad": said}
    assert (shared.n, shared.hashes, shared.digests) == (alone.n, alone.hashes, alone.digests)
    assert shared.unreadable == alone.unreadable
    for table in ("first", "last"):
        pd.testing.assert_frame_equal(
            rows(tmp_path / "1", table), rows(tmp_path / "2", table), check_exact=True
        )
    assert not multiprocessing.active_children()


def test_a_network_alone_that_ends_its_process_is_a_sentence_and_finished_shards_are_kept(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    groups = [group(small(Killed()), image_set, Task(MEASURE, Parameters(), "rows"))]
    result = go(image_set, groups, tmp_path, 2)
    assert "SIGKILL" in next(iter(result.failures.values()))
    assert len(rows(tmp_path, "rows")) >= SHARD - 1
    assert result.finished


class Rings(Net):
    """The timer of a limit rings during its forward of the white picture."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if bool((pixels == 1).all(dim=(1, 2, 3)).any()):
            signal.raise_signal(signal.SIGALRM)
        return super().forward(pixels)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_check_that_takes_too_long_stops_alone(
    small: Small, image_set: ImageSet, tmp_path: Path, processes: int
) -> None:
    groups = [
        group(small(net, name), image_set, Task(MEASURE, Parameters(), name))
        for net, name in ((Rings(), "late"), (Net(), "good"))
    ]
    result = go(image_set, groups, tmp_path, processes, timeout=3600)
    assert result.invalid == {"late": "it took longer than the 3600 s of --evals-timeout"}
    assert len(rows(tmp_path, "good")) == len(image_set.images) - 1
    assert result.failures == {}


@pytest.mark.parametrize("processes", [1, 2])
def test_all_seconds_of_a_check_count_but_not_those_of_cached_rows(
    small: Small, image_set: ImageSet, tmp_path: Path, processes: int
) -> None:
    few = limited(image_set, 8)
    groups = [group(small(Net(), "net"), few, Task(MEASURE, Parameters(), "rows"))]
    result = PassResult()
    go(few, groups, tmp_path / "late", processes, batch_size=1, timeout=1e-9, result=result)
    assert result.invalid == {"rows": "it took longer than the 1e-09 s of --evals-timeout"}
    before = PassResult()
    before.seconds["rows"] = 1e6
    go(few, groups, tmp_path / "rest", processes, batch_size=1, timeout=3600, result=before)
    assert before.invalid == {}


def seeds(probe: Probe, parameters: Any) -> Mapping[str, Any]:
    torch.set_default_dtype(torch.float64)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    return MEASURE.observe(probe, parameters)


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_network_sets_for_all_is_put_back_before_the_next_one(
    small: Small, image_set: ImageSet, tmp_path: Path, processes: int
) -> None:
    class Sees(Net):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            assert torch.get_default_dtype() == torch.float32
            assert torch.backends.mkldnn.enabled
            return super().forward(pixels)

    few = limited(image_set, 20)
    setting: Measure = replace(MEASURE, observe=seeds)
    groups = [
        group(small(Net(), "sets"), few, Task(setting, Parameters(), "a")),
        group(small(Sees(), "sees"), few, Task(MEASURE, Parameters(), "b")),
    ]
    result = go(few, groups, tmp_path, processes, batch_size=4)
    assert result.failures == {}
    assert result.touched.keys() == {"sets"}
    texts = {setting.text for setting in result.touched["sets"]}
    assert texts == {
        "torch's default dtype from torch.float32 to torch.float64",
        "torch.backends.mkldnn.enabled from True to False",
    }


def test_progress_says_what_is_computed(small: Small, image_set: ImageSet, tmp_path: Path) -> None:
    announced: list[str] = []
    task = Task(MEASURE, Parameters(), "rows", title="accuracy l2")
    few = limited(image_set, 40)
    groups = [group(small(Net(), "net"), few, task)]
    go(few, groups, tmp_path, 2, announce=announced.append)
    assert {*announced} == {"accuracy l2, net: image 32", "accuracy l2, net: image 40"}
