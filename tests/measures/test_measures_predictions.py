"""``predictions`` against scikit-learn, NumPy, Pillow and a loop that shares nothing with it."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn
from torchvision.transforms import functional

from vision_evals import log
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder
from vision_evals.core.tables import Table
from vision_evals.images import sources
from vision_evals.images.image_set import ImageSet
from vision_evals.images.labels import ClassMap
from vision_evals.log import Verdict
from vision_evals.measures.confidences import auroc, false_positives, ranks
from vision_evals.measures.intervals import bootstrap, generator
from vision_evals.measures.measure import Measure, Subject
from vision_evals.measures.predictions import MEASURE, Parameters, Published, badness
from vision_evals.measures.probe import Probe
from vision_evals.models.classifier import Classifier
from vision_evals.suite.expectation import Expectation
from vision_evals.verdict.verdict import judge

Rows = Callable[[Measure, Table, Classifier, ImageSet], pd.DataFrame]
Small = Callable[..., Classifier]

LITERAL: dict[str, tuple[int, Callable[[torch.Tensor], torch.Tensor]]] = {
    # written out, not read from the cards
    "squeezenet1_1_caffe": (227, lambda x: x * 255 - torch.tensor([122.679, 116.669, 104.006])),
    "efficientnet_lite0": (224, lambda x: (x * 255 - 127) / 128),
}
WITHOUT_CHANGES = Parameters(shift=0)


def suite() -> dict[str, object]:
    text = (data_folder("suites") / "art.toml").read_text(encoding="utf-8")
    check: dict[str, object] = tomllib.loads(text)["check"][0]
    return check


def test_every_work_equals_an_independent_loop(packaged: Classifier, rows_of: Rows) -> None:
    """The loop writes its preprocessing out; the suite's sheet must be what it says too."""
    rows = rows_of(MEASURE, Parameters(), packaged, sources.load("art_samples", Path()))
    sheet = suite()["expected_top1"][packaged.alias]  # type: ignore[index]
    assert len(rows) == 18
    crop, normalise = LITERAL[packaged.alias]
    for _, row in rows.iterrows():
        picture = Image.open(data_folder("fixtures") / "art" / row["image"]).convert("RGB")
        picture = functional.center_crop(functional.resize(picture, 256, antialias=True), crop)
        pixels = torch.from_numpy(np.array(picture)).float() / 255
        with torch.no_grad():
            logits = packaged.network(normalise(pixels).permute(2, 0, 1)[None])[0].double().numpy()
        p = np.exp(logits - logits.max())
        p /= p.sum()
        assert list(row["top5"]) == list(np.argsort(-p)[:5])
        # a lead that another decoder or device could turn round is no exact invariant
        first, second = np.sort(p)[::-1][:2]
        known = packaged.classes.names[p.argmax()] if first - second > 1e-2 else None
        assert sheet.get(row["image"]) == known
        assert row["top5_confidence"] == pytest.approx(np.sort(p)[::-1][:5], abs=1e-4)
        assert row["confidence"] == pytest.approx(p.max(), abs=1e-4)
        assert row["entropy"] == pytest.approx(-(p * np.log(p)).sum(), abs=1e-3)
        assert row["max_logit"] == pytest.approx(logits.max(), abs=1e-3)


@given(
    st.lists(st.sampled_from([0.1, 0.5, 0.5000001, 0.9, 1.0]), min_size=1, max_size=30),
    st.lists(st.sampled_from([0.1, 0.4, 0.5, 0.9]), min_size=1, max_size=30),
)
def test_auroc_equals_the_rank_statistic(these: list[float], others: list[float]) -> None:
    statistic = mannwhitneyu(others, these).statistic
    assert auroc(*ranks(np.array(these), np.array(others))) == statistic / (
        len(these) * len(others)
    )


@pytest.mark.slow
def test_the_gate_of_the_suite_is_beyond_chance(
    packaged: Classifier, rows_of: Rows, samples: ImageSet
) -> None:
    """Shipped suites gate on effects with p < 0.001 by an exact test, or not at all."""
    art = rows_of(MEASURE, WITHOUT_CHANGES, packaged, sources.load("art_samples", Path()))
    photographs = rows_of(MEASURE, WITHOUT_CHANGES, packaged, samples)
    these, others = (rows["confidence"].to_numpy(np.float64) for rows in (art, photographs))
    area = auroc(*ranks(these, others))
    test = mannwhitneyu(others, these, alternative="greater", method="exact")
    assert test.statistic / (18 * 20) == pytest.approx(area)
    (gate,) = [e for e in suite()["expect"] if e["metric"] == "auroc"]  # type: ignore[attr-defined]
    assert (test.pvalue < 0.001) == (packaged.alias in gate["for"])
    assert (area >= gate["at_least"]) == (packaged.alias in gate["for"])
    # what just passes the gate is rare by chance too
    barely = mannwhitneyu(
        *_winning(int(np.ceil(gate["at_least"] * 360))), alternative="greater", method="exact"
    )
    assert barely.statistic / 360 >= gate["at_least"]
    assert barely.pvalue < 0.001


def _winning(pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 20 and 18 different numbers, of which the first win exactly so many pairs."""
    full, rest = divmod(pairs, 18)
    first = np.arange(20)
    first[20 - full :] += 18
    first[19 - full] += rest
    return first, np.setdiff1d(np.arange(38), first)


# Whether small changes change the answer


class Corner(nn.Module):
    """Logits from a few pixels, so that a shift by one can change the answer."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        left, right = pixels[:, :, 8, 7].sum(1), pixels[:, :, 8, 8].sum(1)
        return torch.stack([left, right, pixels[:, :, 7, 8].sum(1)], dim=1)


def answer(pixels: np.ndarray) -> int:
    """Return the answer of ``Corner`` to (3, H, W), in NumPy."""
    sums = [pixels[:, 8, 7].sum(), pixels[:, 8, 8].sum(), pixels[:, 7, 8].sum()]
    return int(np.argmax(sums))


@pytest.mark.parametrize(("shift", "quality"), [(0, 75), (1, 75), (2, 20), (3, 95)])
def test_stability_equals_padding_by_numpy_and_jpeg_by_pillow(
    small: Small, shift: int, quality: int
) -> None:
    n = 40
    raw = np.random.default_rng(0).integers(0, 256, (n, 3, 16, 16), dtype=np.uint8)
    # half of the pictures are smooth, so that some answers survive
    raw[::2] = np.sort(raw[::2], axis=2)
    probe = Probe(small(Corner()), tuple(map(str, range(n))), torch.from_numpy(raw) / 255, None)
    columns = MEASURE.observe(probe, Parameters(shift=shift, jpeg_quality=quality))
    shifted, reencoded = [], []
    for picture in raw:
        wide = np.pad(picture, ((0, 0), (shift, shift), (shift, shift)), mode="edge") / 255
        moved = [
            wide[:, shift + y : shift + y + 16, shift + x : shift + x + 16]
            for y, x in ((-shift, 0), (shift, 0), (0, -shift), (0, shift))
        ]
        first = answer(picture / 255)
        shifted.append(all(answer(one) == first for one in moved))
        file = io.BytesIO()
        Image.fromarray(picture.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        again = np.asarray(Image.open(io.BytesIO(file.getvalue()))).transpose(2, 0, 1)
        reencoded.append(answer(again / 255) == first)
    assert columns["shifted"].tolist() == shifted
    assert columns["reencoded"].tolist() == reencoded
    assert columns["stable"].tolist() == list(np.logical_and(shifted, reencoded))
    assert all(shifted) == (shift == 0)
    assert len(set(reencoded)) == 2


def test_a_network_that_says_the_same_of_everything_is_stable(small: Small) -> None:
    class Constant(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(pixels), 3)

    probe = Probe(small(Constant()), ("a", "b"), torch.rand(2, 3, 16, 16), None)
    columns = MEASURE.observe(probe, Parameters())
    assert columns["stable"].tolist() == [True, True]
    assert columns["entropy"].tolist() == pytest.approx([np.log(3)] * 2)


def test_a_certain_answer_has_no_entropy(small: Small) -> None:
    class Certain(nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[1e4, 0.0, 0.0]]).expand(len(pixels), 3)

    probe = Probe(small(Certain()), ("a",), torch.rand(1, 3, 16, 16), None)
    columns = MEASURE.observe(probe, Parameters())
    assert (columns["entropy"].tolist(), columns["confidence"].tolist()) == ([0.0], [1.0])


# Metrics as functions of the rows

TEN = ClassMap("ten", tuple(f"class {i}" for i in range(10)), None)


def table(confidence: np.ndarray, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = len(confidence)
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(n)],
            "top5": list(rng.permuted(np.tile(np.arange(10), (n, 1)), axis=1)[:, :5]),
            "confidence": confidence,
            "stable": rng.random(n) < 0.7,
        }
    )


def metrics(
    rows: pd.DataFrame, parameters: Parameters | None = None, **subject: object
) -> dict[str, log.Metric]:
    one = Subject(**{"alias": "a", "classes": TEN, "seed": 0, **subject})  # type: ignore[arg-type]
    return {m.name: m for m in MEASURE.summarise(rows, parameters or Parameters(), one)}


# few distinct values: ties within and between the sets
Confidences = st.lists(st.integers(1, 12).map(lambda k: k / 12), min_size=1, max_size=50)


@given(Confidences, Confidences)
def test_auroc_and_fpr_equal_scikit_learn(these: list[float], others: list[float]) -> None:
    positive = np.array([1] * len(these) + [0] * len(others))
    score = -np.array(these + others)  # low confidence says art
    ranked = ranks(np.array(these), np.array(others))
    assert auroc(*ranked) == pytest.approx(roc_auc_score(positive, score))
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    first = np.argmax(tpr >= 0.95)
    assert false_positives(*ranked) == pytest.approx(fpr[first])


def test_ranks_give_the_numbers_of_all_pairs() -> None:
    """Bit for bit, resample by resample: a rank is counted where a confidence was sorted."""
    rng = np.random.default_rng(4)
    these, others = rng.integers(0, 9, 40) / 9, rng.integers(0, 9, 30) / 9

    def pairs(a: np.ndarray, b: np.ndarray) -> float:
        below = (a[:, None] < b).sum() + (a[:, None] == b).sum() / 2
        return float(below / (len(a) * len(b)))

    def caught(a: np.ndarray, b: np.ndarray) -> float:
        return float((b <= np.sort(a)[38 - 1]).mean())

    for ranked, plain in ((auroc, pairs), (false_positives, caught)):
        ours = bootstrap(ranked, ranks(these, others), generator(0, "x"), paired=False)
        assert ours == bootstrap(plain, (these, others), generator(0, "x"), paired=False)


def test_every_metric_equals_numpy() -> None:
    rng = np.random.default_rng(1)
    rows, photographs = table(rng.beta(2, 4, 60)), table(rng.beta(4, 2, 80), seed=2)
    found = metrics(rows, Parameters(overconfident=0.4), against=photographs)
    c = rows["confidence"].to_numpy()
    assert found["confidence_mean"].value == pytest.approx(c.mean())
    assert found["overconfident_fraction"].value == np.mean(c > 0.4)
    assert found["shift_stability"].value == rows["stable"].mean()
    assert (found["auroc"].n, found["auroc"].denominator) == (140, "images of both sets")
    for name in ("confidence_mean", "auroc", "fpr_at_95_tpr"):
        metric = found[name]
        assert metric.method == "bootstrap"
        assert metric.low < metric.value < metric.high  # type: ignore[operator]
    again = metrics(rows, Parameters(overconfident=0.4), against=photographs)
    assert again == found
    assert metrics(rows, seed=1, against=photographs)["auroc"].low != found["auroc"].low


def test_the_interval_of_auroc_is_about_that_of_hanley_and_mcneil() -> None:
    """Hanley & McNeil 1982, equation 1: a second way to the standard error."""
    rng = np.random.default_rng(3)
    these, others = rng.normal(0, 1, 200), rng.normal(1, 1, 300)
    ranked = ranks(these, others)
    a = auroc(*ranked)
    q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)
    error = np.sqrt((a * (1 - a) + 199 * (q1 - a**2) + 299 * (q2 - a**2)) / (200 * 300))
    interval = bootstrap(auroc, ranked, generator(0, "x"), paired=False)
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(error, rel=0.15)


def test_without_a_second_set_there_is_a_reason() -> None:
    found = metrics(table(np.linspace(0.1, 0.9, 20)))
    for name in ("auroc", "fpr_at_95_tpr"):
        assert found[name].value is None
        assert "`against`" in str(found[name].reason)


def test_a_few_images_get_no_bootstrap() -> None:
    found = metrics(table(np.array([0.5])), against=table(np.linspace(0.1, 0.9, 20)))
    assert found["auroc"].value == pytest.approx(0.5)
    assert found["auroc"].low is None
    assert found["auroc"].reason == "one of the two sets has 1 of at least 10 images"


@pytest.mark.parametrize(("art", "photographs"), [(9, 20), (20, 9), (1, 1), (10, 10)])
def test_few_images_on_either_side_decide_nothing(art: int, photographs: int) -> None:
    sides = table(np.linspace(0.1, 0.2, art)), table(np.linspace(0.8, 0.9, photographs))
    found = metrics(sides[0], against=sides[1])
    for name, threshold in (("auroc", {"at_least": 0.5}), ("fpr_at_95_tpr", {"at_most": 0.5})):
        expectation = Expectation.model_validate({"metric": name, **threshold})
        (judgement,) = judge(expectation, list(found.values()), lambda _: 0.0)
        few = min(art, photographs) < 10
        assert judgement.verdict is (Verdict.INCONCLUSIVE if few else Verdict.PASSED)
        assert ('severity = "warn"' in judgement.sentence) is few
    assert not found["confidence_mean"].few, "of one set"


def test_agreement_with_none_one_and_several_others() -> None:
    rows = table(np.linspace(0.1, 0.9, 30))
    mine = np.array([top[0] for top in rows["top5"]])
    others, shares = {}, []
    for seed in (1, 2):
        other = rows.assign(
            top5=[
                top if keep else np.roll(top, 1)
                for top, keep in zip(
                    rows["top5"], np.random.default_rng(seed).random(30) < 0.6, strict=True
                )
            ]
        )
        others[f"other {seed}"] = other
        shares.append(np.mean(mine == np.array([top[0] for top in other["top5"]])))
    alone = metrics(rows)["agreement"]
    assert (alone.value, alone.n) == (None, 0)
    assert "no other classifier" in str(alone.reason)
    pair = metrics(rows, others={"b": others["other 1"]})["agreement"]
    assert pair.value == pytest.approx(shares[0])
    assert (pair.n, pair.method) == (30, "wilson")
    three = metrics(rows, others=others)["agreement"]
    assert three.value == pytest.approx(np.mean(shares))
    assert (three.n, three.method) == (30, "bootstrap")


def test_a_published_answer(small: Small, rows_of: Rows, samples: ImageSet) -> None:
    classifier = small()
    published = Published(answer="blue", confidence=0.4, source="a lecture")
    parameters = Parameters(expected={"small": published})
    unlabelled = ImageSet(
        "x", tuple(type(i)(i.id, i.path) for i in samples.images[:4]), (), 4
    )  # fmt: skip
    rows = rows_of(MEASURE, parameters, classifier, unlabelled)
    found = metrics(rows, parameters, alias="small", classes=classifier.classes)
    blue = [row.tolist().index(2) for row in map(np.asarray, rows["top5"])]
    share = [c[i] for c, i in zip(rows["top5_confidence"], blue, strict=True)]
    assert found["expected_answer"].value == np.mean([i == 0 for i in blue])
    assert found["expected_confidence_gap"].value == pytest.approx(max(abs(s - 0.4) for s in share))
    assert "a lecture" in str(found["expected_answer"].reason)
    other = metrics(rows, parameters, alias="other", classes=classifier.classes)
    for name in ("expected_answer", "expected_confidence_gap"):
        assert other[name].value is None
        assert "no published answer of other" in str(other[name].reason)
    silent = Parameters(expected={"small": Published(answer="blue", source="a lecture")})
    gap = metrics(rows, silent, alias="small", classes=classifier.classes)[
        "expected_confidence_gap"
    ]
    assert (gap.value, gap.reason) == (None, "no confidence was published")


def test_a_published_class_that_there_is_not(samples: ImageSet) -> None:
    parameters = Parameters(expected={"a": Published(answer="class ten", source="x")})
    with pytest.raises(UserError, match='"class ten" is not a class of ten'):
        MEASURE.prepare(samples, TEN, "a", parameters)
    MEASURE.prepare(samples, TEN, "b", parameters)
    assert set(MEASURE.aliases(parameters)) == {"a"}


def test_the_most_confident_come_first_and_captions_say_what_was_seen(small: Small) -> None:
    rows = table(np.array([0.2, 0.9, 0.5]))
    assert badness(rows).idxmax() == "1.png"
    probe = Probe(small(), tuple(rows["image"]), torch.rand(3, 3, 16, 16), None)
    rows["top5"] = [np.array([2]), np.array([0]), np.array([1])]
    drawings = MEASURE.explain(probe, rows, Parameters())
    assert [d.caption for d in drawings] == [
        "seen as blue 0.20", "seen as red 0.90", "seen as green 0.50"
    ]  # fmt: skip
