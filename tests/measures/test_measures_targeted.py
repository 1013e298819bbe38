"""``targeted``: bounds checked outside the attack, and what becomes an airliner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from skimage.metrics import structural_similarity as reference_similarity

from vision_evals.attacks.attack import Draws
from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.criteria import TargetedMisclassification
from vision_evals.attacks.signs import towards
from vision_evals.attacks.similarity import structural_similarity
from vision_evals.core.errors import UserError
from vision_evals.engine.tables import Axis, BatchRows, _table
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels, to_unit
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import ClassMap, class_map
from vision_evals.measures.measure import MOVED, Subject
from vision_evals.measures.probe import Probe
from vision_evals.measures.targeted import MEASURE, Parameters, target_of
from vision_evals.models.classifier import Classifier

Rows = Callable[..., pd.DataFrame]


@pytest.mark.slow
def test_airliners(packaged: Classifier, samples: ImageSet, rows_of: Rows) -> None:
    """At 4/255 at least 18 of 20 with mean confidence 0.85; of one step at most 1 of 20."""
    rows = {
        steps: rows_of(
            MEASURE,
            Parameters(target="airliner", budgets=("4/255",), steps=steps),
            packaged,
            samples,
        )
        for steps in (1, 20)
    }
    assert rows[1]["success"].sum() <= 1
    assert rows[20]["success"].sum() >= 18
    assert rows[20]["confidence"].mean() >= 0.85
    for table in rows.values():
        assert table["linf"].max() <= 4 / 255 + 1e-6
        assert table["low"].min() >= 0
        assert table["high"].max() <= 1


@pytest.mark.slow
def test_another_batch_size_keeps_decisions_and_bounds(
    packaged: Classifier, samples: ImageSet, rows_of: Rows
) -> None:
    few = limited(samples, 4)
    parameters = Parameters(target="airliner", budgets=("4/255",))
    one, other = (rows_of(MEASURE, parameters, packaged, few, size) for size in (1, 4))
    assert one["success"].tolist() == other["success"].tolist()
    assert np.abs(one["confidence"] - other["confidence"]).max() < 0.1
    assert other["linf"].max() <= 4 / 255 + 1e-6


IMAGENET = class_map("imagenet", Path())


@pytest.mark.parametrize("name", ["airliner", "404", "n02690373", "AIRLINER"])
def test_a_target_by_name_index_or_synset(name: str) -> None:
    assert target_of(IMAGENET, name) == 404


def test_airplane_is_explained() -> None:
    with pytest.raises(UserError, match='it has "airliner" \\(404\\) and "warplane" \\(895\\)'):
        target_of(IMAGENET, "airplane")


def test_a_target_that_is_no_class_lists_near_ones() -> None:
    with pytest.raises(UserError, match="airliner"):
        target_of(IMAGENET, "airlinerr")
    with pytest.raises(UserError, match='target "9999"'):
        target_of(IMAGENET, "9999")


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"until": 1.5}, {"budgets": ("8",)}, {"budgets": ()}]
)
def test_parameters_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Parameters.model_validate({"target": "airliner", **wrong})


def rows(already: list[bool], success: list[bool], **more: list[float]) -> pd.DataFrame:
    n = len(already)
    table = {
        "image": [f"{i}" for i in range(n)], "budget": ["4/255"] * n, "already": already,
        "success": success, "success_8bit": success, "confidence": [0.5] * n, "steps": [3] * n,
        "linf": [4 / 255] * n, "l2": [1.0] * n, "ssim": [0.9] * n, "low": [0.0] * n,
        "high": [1.0] * n,
    }  # fmt: skip
    return pd.DataFrame({**table, **more})


def metrics(table: pd.DataFrame) -> dict[str, object]:
    subject = Subject("a", ClassMap("x", ("a", "b"), None), 0)
    parameters = Parameters(target="a", budgets=("4/255",))
    return {m.name: m for m in MEASURE.summarise(table, parameters, subject)}


def test_images_of_the_target_do_not_count() -> None:
    found = metrics(rows([True, False, False], [True, True, False]))["target_success"]
    assert (found.value, found.n) == (1 / 2, 2)  # type: ignore[attr-defined]
    nothing = metrics(rows([True], [True]))
    assert nothing["target_success"].value is None  # type: ignore[attr-defined]
    assert nothing["escape"].value is None  # type: ignore[attr-defined]


def test_images_that_did_not_move_have_no_distance() -> None:
    moved, still = 4 / 255, 0.0
    table = rows(
        [True, False, False, False], [True, True, False, True], linf=[moved, moved, still, moved],
        l2=[9.0, 2.0, 0.0, 4.0], ssim=[0.1, 0.8, 1.0, 0.6],
    )  # fmt: skip
    found = metrics(table)
    for name, mean in (("l2", 3.0), ("ssim", 0.7)):
        metric = found[name]
        assert (metric.value, metric.n) == (pytest.approx(mean), 2)  # type: ignore[attr-defined]
        assert metric.denominator == "images that the attack moved"  # type: ignore[attr-defined]
        values = MEASURE.metric(name).per_image(table, None)  # type: ignore[misc]
        assert values.mean() == pytest.approx(mean)
    none = metrics(rows([False], [False], linf=[still]))["l2"]
    assert none.reason == "there are no images that the attack moved"  # type: ignore[attr-defined]


def test_an_escape_from_ball_or_box_is_measured() -> None:
    inside = metrics(rows([False] * 2, [True] * 2))["escape"]
    assert inside.value == 0  # type: ignore[attr-defined]
    ball = metrics(rows([False] * 2, [True] * 2, linf=[4 / 255, 5 / 255]))["escape"]
    assert ball.value == pytest.approx(1 / 255)  # type: ignore[attr-defined]
    box = metrics(rows([False] * 2, [True] * 2, high=[1.0, 1.25]))["escape"]
    assert box.value == pytest.approx(0.25)  # type: ignore[attr-defined]


def test_similarity_equals_scikit_image() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 32, 40, generator=generator).double()
    b = (a + 0.1 * torch.rand(2, 3, 32, 40, generator=generator)).clamp(0, 1)
    ours = structural_similarity(a, b)
    for i in range(2):
        _, full = reference_similarity(  # type: ignore[no-untyped-call]
            a[i].numpy(), b[i].numpy(), channel_axis=0, data_range=1.0, gaussian_weights=True,
            sigma=1.5, use_sample_covariance=False, full=True,
        )  # fmt: skip
        inside = full[:, 5:-5, 5:-5]  # the windows that lie inside
        assert float(ours[i]) == pytest.approx(float(inside.mean()), abs=1e-6)
    assert structural_similarity(a, a).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("steps", [1, 7])
def test_what_moves_the_pixels_ends_where_the_measure_does(steps: int) -> None:
    """Without its stop at a confidence, ``towards`` and the attack take the same steps."""
    weight = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))

    class Linear:
        alias = "linear"

        @property
        def climbed(self) -> Linear:
            return self

        def logits(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.flatten(1) @ weight.T

    x = torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    target = torch.ones(5, dtype=torch.int64)
    ours = towards(Linear(), x, target, LinfBall(0.1), steps=steps, until=1.1)  # type: ignore[arg-type]
    assert MEASURE.attack is not None
    attack = MEASURE.attack(Parameters(target="airliner", steps=steps))
    assert attack.iterated == (steps > 1)
    found = attack(
        Linear(), x, TargetedMisclassification(target), LinfBall(0.1), Draws(0, tuple("abcde"))
    )
    assert torch.allclose(found.pixels, ours.pixels, rtol=0, atol=1e-6)


def test_the_confidence_before(packaged: Classifier, samples: ImageSet, rows_of: Rows) -> None:
    few = limited(samples, 3)
    rows = rows_of(
        MEASURE, Parameters(target="airliner", budgets=("1/255",), steps=1), packaged, few
    )
    raw = [pixels(read(image.path).picture, packaged.geometry) for image in few.images]
    with torch.inference_mode():
        logits = packaged.logits(to_unit(torch.stack(raw), torch.device("cpu")))
    assert rows["confidence_clean"].to_numpy() == pytest.approx(
        logits.softmax(1)[:, 404].numpy(), rel=1e-4
    )


def test_the_point_of_the_smallest_budget_that_succeeds_is_kept(
    small: Callable[..., Classifier],
) -> None:
    """Budgets from largest to smallest; the kept points need no second attack for the pictures."""
    color = small()
    parameters = Parameters(target="red", budgets=("64/255", "16/255", "1/255"), until=0.99)
    ids, leads = ("a", "b", "c"), (0.01, 0.2, 0.9)
    pixels = torch.full((3, 3, 16, 16), 0.05)
    pixels[:, 2] += torch.tensor(leads)[:, None, None]
    probe = Probe(color, ids, pixels, None)
    columns = dict(MEASURE.observe(replace(probe, keeps=True), parameters))
    moved = columns.pop(MOVED)
    assert columns.keys() == MEASURE.observe(probe, parameters).keys()
    part = BatchRows(ids, {}, columns, Axis("budget", tuple(map(str, parameters.budgets))))
    table = _table([part]).to_pandas()
    won = table.groupby("image")["success"].sum()
    assert won.tolist() == [2, 1, 0]  # the smallest that succeeds is the second, the first, none
    chosen = {"a": "16/255", "b": "64/255", "c": "1/255"}
    for i, image in enumerate(ids):
        row = table[(table["image"] == image) & (table["budget"] == chosen[image])].iloc[0]
        change = torch.as_tensor(moved[i]) - pixels[i]
        assert float(change.abs().max()) == row["linf"]
    kept = replace(probe, moved=dict(zip(ids, moved, strict=True)))
    pairs = zip(*(MEASURE.explain(p, table, parameters) for p in (kept, probe)), strict=True)
    for i, (drawing, again) in enumerate(pairs):
        assert torch.equal(drawing.adversarial, torch.as_tensor(moved[i]))
        assert torch.allclose(drawing.adversarial, again.adversarial, atol=1e-6)
        assert drawing.caption == again.caption
