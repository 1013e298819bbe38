"""The loop of a pass: shards, memory, failures, and what is left when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest
import torch
from PIL import Image as Picture
from torch import nn

from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.engine import tables
from vision_evals.engine.batch_step import observe, probe_of
from vision_evals.engine.loop import run_loop
from vision_evals.engine.shard import SHARD
from vision_evals.engine.tasks import PassResult, RunConfig, Task, TaskGroup
from vision_evals.images import sources
from vision_evals.images.decode import Decoded, decode
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import targets
from vision_evals.images.reader import MIN_IMAGES_PER_TURN, Batch, batches
from vision_evals.measures import targeted
from vision_evals.measures.accuracy import MEASURE, Parameters
from vision_evals.measures.measure import Measure
from vision_evals.measures.probe import Answers, Probe, answers
from vision_evals.models.classifier import Classifier
from vision_evals.models.fast_path.fast_path import FastPath
from vision_evals.models.fast_path.policy import FastPathPlan

Small = Callable[..., Classifier]


def spied(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that names every file as it is decoded."""
    files: list[Path] = []

    def spy(path: Path, data: bytes, take: Callable[[int], None]) -> Decoded:
        files.append(path)
        return decode(path, data, take)

    monkeypatch.setattr("vision_evals.images.reader.decode", spy)
    return files


def silent(n: int) -> None:
    del n


@pytest.fixture
def image_set(tmp_path: Path) -> ImageSet:
    folder = tmp_path / "images"
    for index in range(2 * SHARD + 30):
        name = ("red", "green", "blue")[index % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        Picture.new("RGB", (16, 16), name).save(folder / name / f"{index}.png")
    return sources.load(str(folder), Path())


def go(
    image_set: ImageSet, groups: list[TaskGroup], directory: Path, batch_size: int = 32, **more: Any
) -> PassResult:
    result = more.pop("result", None) or PassResult()
    run_loop(
        image_set,
        groups,
        device=torch.device("cpu"),
        batch_size=batch_size,
        seed=0,
        directory=directory,
        result=result,
        **{"advance": silent, **more},
    )
    return result


def group(classifier: Classifier, image_set: ImageSet, *tasks: Task) -> TaskGroup:
    known = answers(targets(image_set, classifier.classes))
    return TaskGroup(classifier, known, tasks or (Task(MEASURE, Parameters(), "rows"),))


def merged(directory: Path, name: str = "rows") -> pd.DataFrame:
    rows = tables.merge(directory, name)
    assert rows is not None
    return rows


@pytest.mark.parametrize("batch_size", [1, 7, 32, 100, 256, 1000])
def test_every_image_has_one_row_in_order(
    small: Small, image_set: ImageSet, tmp_path: Path, batch_size: int
) -> None:
    result = go(image_set, [group(small(), image_set)], tmp_path, batch_size)
    rows = merged(tmp_path)
    assert list(rows["image"]) == [image.id for image in image_set.images]
    assert result.finished
    assert result.n == len(rows)
    assert result.digests.keys() == set(rows["image"])


def test_points_of_pictures_are_kept_while_all_of_them_fit(
    small: Small, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two attacks on twelve images of 16 x 16 pixels, three values of four bytes each."""
    few, parameters = limited(image_set, 12), targeted.Parameters(target="red", steps=1)
    tasks = [Task(targeted.MEASURE, parameters, name) for name in ("one", "two")]
    need = 2 * 12 * 16 * 16 * 3 * 4
    for place, room in enumerate((need, need - 1)):
        monkeypatch.setattr("vision_evals.engine.loop.MAX_KEPT_BYTES", room)
        folder = tmp_path / str(place)
        accuracy = Task(MEASURE, Parameters(), "rows")
        result = go(few, [group(small(), few, accuracy, *tasks)], folder, batch_size=5)
        kept = {table: {*points} for table, points in result.moved.items() if points}
        names = {image.id for image in few.images}
        assert kept == ({"one": names, "two": names} if room == need else {})
        assert "moved pixels" not in merged(folder, "one")


def test_rows_reach_the_disk_shard_by_shard(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    seen: list[int] = []

    def advance(n: int) -> None:
        del n
        seen.append(len(list((tmp_path / "tables" / "rows.shards").glob("*.parquet"))))

    go(image_set, [group(small(), image_set)], tmp_path, 64, advance=advance)
    # a batch later: while the device is at work on the next one
    assert seen == [0, 0, 0, 0, 1, 1, 1, 1, 2]


def test_an_interruption_keeps_the_finished_shards(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        if done > SHARD:
            raise KeyboardInterrupt

    result = PassResult()
    with pytest.raises(KeyboardInterrupt):
        go(image_set, [group(small(), image_set)], tmp_path, 64, advance=advance, result=result)
    assert not result.finished
    assert len(merged(tmp_path)) == SHARD


def test_an_image_is_decoded_once_for_all_classifiers(
    small: Small, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = spied(monkeypatch)
    tasks = [Task(MEASURE, Parameters(), name) for name in ("a", "b", "c")]
    groups = [group(small(alias=t.table), image_set, t) for t in tasks]
    go(image_set, groups, tmp_path)
    assert len(files) == len(image_set.images)


class Counting(nn.Module):
    """Counts its forwards outside of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(pixels))
        return pixels.mean(dim=(2, 3))


def test_measures_share_one_forward(small: Small, image_set: ImageSet, tmp_path: Path) -> None:
    network = Counting()
    tasks = (Task(MEASURE, Parameters(), "a"), Task(MEASURE, Parameters(among="set"), "b"))
    go(image_set, [group(small(network), image_set, *tasks)], tmp_path)
    assert sum(network.seen) == len(image_set.images)
    assert merged(tmp_path, "a")["nll"].equals(merged(tmp_path, "b")["nll"])


def test_a_network_that_breaks_stops_alone_and_keeps_its_finished_shards(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    class Breaks(Counting):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = super().forward(pixels)
            if sum(self.seen) > SHARD:
                raise ValueError("enough")
            return logits

    good, bad = Task(MEASURE, Parameters(), "good"), Task(MEASURE, Parameters(), "bad")
    groups = [
        group(small(Breaks(), "bad"), image_set, bad),
        group(small(alias="good"), image_set, good),
    ]
    result = go(image_set, groups, tmp_path)
    assert result.failures["bad"].startswith(f"ValueError: enough ({Path(__file__).name}:")
    assert len(merged(tmp_path, "good")) == len(image_set.images)
    assert len(merged(tmp_path, "bad")) == SHARD


def test_a_measure_that_does_not_apply_stops_alone(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    def refuse(probe: Probe, parameters: object) -> Mapping[str, torch.Tensor]:
        raise NotApplicableError("no rectifier here")

    never: Measure = replace(MEASURE, observe=refuse)
    tasks = (Task(never, Parameters(), "never"), Task(MEASURE, Parameters(), "rows"))
    result = go(image_set, [group(small(), image_set, *tasks)], tmp_path)
    assert result.not_applicable == {"never": "no rectifier here"}
    assert len(merged(tmp_path)) == len(image_set.images)
    assert tables.merge(tmp_path, "never") is None


class Small8(nn.Module):
    """Has memory for eight images."""

    limit = 8

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        if len(pixels) > self.limit:
            raise torch.OutOfMemoryError(f"{len(pixels)} images do not fit")
        return pixels.mean(dim=(2, 3))


def test_out_of_memory_halves_the_batch(small: Small, image_set: ImageSet, tmp_path: Path) -> None:
    result = go(image_set, [group(small(Small8()), image_set)], tmp_path, 50)
    assert result.failures == {}
    assert result.fitting == {"small": 6}  # 50, 25, 12, 6: the batches that follow begin there
    tight = merged(tmp_path)
    go(image_set, [group(small(), image_set)], tmp_path / "b", 50)
    assert tight["top5"].map(list).tolist() == merged(tmp_path / "b")["top5"].map(list).tolist()


def test_a_network_that_does_not_fit_at_one_image_fails_alone(small: Small) -> None:
    network = Small8()
    network.limit = 0
    label = torch.zeros(2, dtype=torch.int64)
    known = Answers(label, label[:, None], torch.arange(3))
    probe = Probe(small(network), ("a", "b"), torch.zeros(2, 3, 16, 16), known)
    with pytest.raises(torch.OutOfMemoryError, match="1 images do not fit"):
        observe(Task(MEASURE, Parameters(), "rows"), probe, {})


def test_a_batch_is_only_tried_at_the_size_that_fitted_before(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    tried: list[int] = []

    class Counted(Small8):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            tried.append(len(pixels))
            return super().forward(pixels)

    go(image_set, [group(small(Counted()), image_set)], tmp_path, 50)
    assert [n for n in tried if n > 8] == [50, 25, 12]


def test_pixels_that_a_device_made_are_held_against_those_of_pil(
    small: Small, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, by a reader that decodes as a device would and takes red for green."""

    def swapped(*arguments: Any) -> Iterator[Batch]:
        for batch in batches(*arguments[:3]):
            made = {geometry: x[:, [1, 0, 2]] for geometry, x in batch.pixels.items()}
            yield replace(
                batch, pixels=made, plain=batch.pixels, by_device=tuple(range(len(batch.ids)))
            )

    monkeypatch.setattr("vision_evals.engine.loop.prefetch", swapped)
    classifier = small()
    fast_path = FastPath(classifier, FastPathPlan("fp32"))
    result = go(image_set, [replace(group(classifier, image_set), fast_path=fast_path)], tmp_path)
    n = len(image_set.images)
    told = fast_path.record()
    assert result.on_device == n
    assert told.pictures == n
    assert told.pictures_changed == sum(i.label in {"red", "green"} for i in image_set.images)
    # "green" of PIL is 128: of three colours a red picture differs by 255, 255, 0
    per_picture = {"red": 170, "green": 2 * 128 / 3, "blue": 0}
    first = [per_picture[str(image.label)] for image in image_set.images[:32]]
    assert float(result.pixel_error[0]) == pytest.approx(sum(first) / 32)


def test_a_network_that_fails_there_fails_alone(
    small: Small, image_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compared(*arguments: Any) -> Iterator[Batch]:
        for batch in batches(*arguments[:3]):
            every = tuple(range(len(batch.ids)))
            yield replace(batch, plain=batch.pixels, by_device=every)

    monkeypatch.setattr("vision_evals.engine.loop.prefetch", compared)
    broken, whole = small(nn.Flatten(), alias="bad"), small(alias="good")
    both = [
        replace(group(one, image_set, Task(MEASURE, Parameters(), one.alias)), fast_path=fast_path)
        for one in (broken, whole)
        for fast_path in [FastPath(one, FastPathPlan("fp32"))]
    ]
    result = go(image_set, both, tmp_path)
    assert list(result.failures) == ["bad"]
    assert both[0].fast_path is not None
    assert both[0].fast_path.record().pictures == 0
    assert len(merged(tmp_path, "good")) == len(image_set.images)


def test_unreadable_pictures_are_left_out_and_named(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    for image in image_set.images[5:7]:
        image.path.write_bytes(b"not a picture")
    result = go(image_set, [group(small(), image_set)], tmp_path)
    gone = {image.id for image in image_set.images[5:7]}
    assert result.unreadable.keys() == gone
    assert set(merged(tmp_path)["image"]) == {i.id for i in image_set.images} - gone


@pytest.mark.parametrize("vanish", [1, 4])
def test_pictures_that_vanish_during_a_run_are_a_sentence(
    vanish: int, small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    """They were read in the pass, and are wanted once more: some, or all of them, are gone."""
    few = limited(image_set, 4)
    one = group(small(), few)
    result = go(few, [one], tmp_path)
    config = cast("RunConfig", SimpleNamespace(device=torch.device("cpu"), seed=0))
    for image in few.images[:vanish]:
        image.path.unlink()
    with pytest.raises(UserError, match="image files changed or vanished during the run; run it"):
        probe_of(one, few, range(4), result, config)


def test_pictures_that_were_never_readable_make_an_empty_probe(
    small: Small, image_set: ImageSet, tmp_path: Path
) -> None:
    few = limited(image_set, 4)
    for image in few.images:
        image.path.write_bytes(b"not a picture")
    one = group(small(), few)
    result = go(few, [one], tmp_path)
    config = cast("RunConfig", SimpleNamespace(device=torch.device("cpu"), seed=0))
    probe = probe_of(one, few, range(4), result, config)
    assert (probe.ids, len(probe.pixels)) == ((), 0)


def test_pixels_wait_in_bounded_memory(
    small: Small, image_set: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding runs ahead by a turn, never by the whole set."""
    started = spied(monkeypatch)
    spans = [range(i, i + 10) for i in range(0, 300, 10)]
    stream = batches(image_set.images, spans, {small().geometry})
    next(stream)
    assert len(started) < MIN_IMAGES_PER_TURN + 10
    stream.close()  # type: ignore[attr-defined]


def test_warnings_and_threads_leave_no_trace(image_set: ImageSet, small: Small) -> None:
    first = next(iter(batches(image_set.images, [range(3)], {small().geometry})))
    assert first.ids == tuple(image.id for image in image_set.images[:3])
    assert first.pixels[small().geometry].shape == (3, 3, 16, 16)
    assert first.pixels[small().geometry].dtype == torch.uint8
