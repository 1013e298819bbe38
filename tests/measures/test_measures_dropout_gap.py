"""``dropout_gap`` against a loop over replaced modules, and its metrics against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from vision_evals.core.errors import InvalidError, NotApplicableError
from vision_evals.core.rng import generator
from vision_evals.engine.state_guard import Changes, watch
from vision_evals.images.image_set import ImageSet
from vision_evals.images.labels import ClassMap
from vision_evals.log import Metric
from vision_evals.measures.dropout_gap import MEASURE, Parameters
from vision_evals.measures.measure import Subject
from vision_evals.measures.probe import Answers, Probe
from vision_evals.models.classifier import Classifier

Make = Callable[..., Classifier]
Rows = Callable[..., pd.DataFrame]

FEW = Parameters(masks=4)


def network(p: float = 0.5) -> nn.Sequential:
    """Return convolution, BatchNorm, two dropouts of different kinds, and a dense layer."""
    torch.manual_seed(3)
    made = nn.Sequential(
        nn.Conv2d(3, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout2d(p / 2),
        nn.Flatten(),
        nn.Dropout(p),
        nn.Linear(6 * 14 * 14, 3),
    )
    made.state_dict()["1.running_mean"].uniform_(-0.1, 0.1)
    return made


def probe(classifier: Classifier, n: int = 12, seed: int = 5) -> Probe:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.rand(n, 3, 16, 16, generator=draw)
    label = torch.arange(n) % 3
    known = Answers(label, label[:, None], torch.arange(3))
    return Probe(classifier, tuple(f"{i}.png" for i in range(n)), pixels, known, seed)


def rows_from(one: Probe, parameters: Parameters = FEW) -> pd.DataFrame:
    """Return the rows that a walk would write."""
    columns = MEASURE.observe(one, parameters)
    axes = pd.MultiIndex.from_product([one.ids, parameters.mask_names], names=["image", "mask"])
    flat = {name: np.asarray(column).reshape(-1) for name, column in columns.items()}
    return pd.DataFrame(flat, index=axes).reset_index()


class Mine(nn.Module):
    """A dropout of the tests' own, with the masks that are promised."""

    draws: tuple[torch.Generator, ...] = ()

    def __init__(self, p: float, *, channels: bool) -> None:
        super().__init__()
        self.p, self.channels = p, channels

    def forward(self, x: Tensor) -> Tensor:
        dropped = []
        for image, draw in zip(x, Mine.draws, strict=True):
            shape = (len(image), 1, 1) if self.channels else image.shape
            dropped.append(image * (torch.rand(shape, generator=draw) >= self.p) / (1 - self.p))
        return torch.stack(dropped)


def test_it_equals_a_loop_over_replaced_modules(small: Make) -> None:
    one = probe(small(network()))
    rows = rows_from(one)
    replaced = network().eval()
    replaced[3], replaced[5] = Mine(0.25, channels=True), Mine(0.5, channels=False)
    clean, under = one.logits, []
    for mask in FEW.mask_names:
        Mine.draws = tuple(generator(5, "dropout_gap", mask, image) for image in one.ids)
        with torch.inference_mode():
            under.append(replaced(one.pixels))
    stack, label = torch.stack(under), torch.arange(12) % 3
    assert rows["top1"].tolist() == stack.argmax(2).T.flatten().tolist()
    assert rows["correct"].tolist() == (stack.argmax(2) == label).T.flatten().tolist()
    once = rows.drop_duplicates("image")
    assert once["top1_eval"].tolist() == clean.argmax(1).tolist()
    assert once["correct_eval"].tolist() == (clean.argmax(1) == label).tolist()
    together = stack.softmax(2).mean(0).argmax(1) == label
    assert once["correct_ensemble"].tolist() == together.tolist()
    shift = np.linalg.norm((stack - clean).double().mean(0).numpy(), axis=1)
    assert once["shift"].to_numpy() == pytest.approx(shift, rel=1e-5)
    assert rows["top1"].nunique() > 1  # the masks do say different things
    assert set(rows["calls"]) == {2}


class Written(nn.Module):
    """The same network, its dropouts written as functions."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        layers[3] = layers[5] = nn.Identity()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout2d(self.layers[:3](x), 0.25, self.training)
        x = torch.dropout(x.flatten(1), 0.5, self.training)
        return self.layers[6](x)  # type: ignore[no-any-return]


def test_modules_and_functions_give_the_same_rows(small: Make) -> None:
    modules, functions = (probe(small(made)) for made in (network(), Written(network())))
    pd.testing.assert_frame_equal(rows_from(modules), rows_from(functions))


@pytest.mark.parametrize("size", [1, 7])
def test_no_batch_changes_a_draw(small: Make, size: int) -> None:
    whole = probe(small(network()))
    parts = []
    for first in range(0, 12, size):
        at = slice(first, first + size)
        known = Answers(whole.answers.label[at], whole.answers.accepted[at], torch.arange(3))  # type: ignore[union-attr]
        part = Probe(whole.classifier, whole.ids[at], whole.pixels[at], known, whole.seed)
        parts.append(rows_from(part))
    joined = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(joined, rows_from(whole), rtol=1e-4)


def test_another_seed_draws_other_masks(small: Make) -> None:
    one, other = (rows_from(probe(small(network()), seed=seed)) for seed in (0, 1))
    assert not np.allclose(one["shift"], other["shift"])
    assert one["top1_eval"].tolist() == other["top1_eval"].tolist()


def test_nothing_of_the_network_changes(small: Make) -> None:
    classifier, changes = small(network()), Changes()
    before = torch.get_rng_state()
    with watch({"small": classifier.network}, changes):
        rows_from(probe(classifier))
        assert torch.equal(torch.get_rng_state(), before)
    assert changes.by_alias == {}


def metrics(rows: pd.DataFrame, parameters: Parameters = FEW) -> dict[str, Metric]:
    subject = Subject("a", ClassMap("colors", ("red", "green", "blue"), None), 0)
    return {m.name: m for m in MEASURE.summarise(rows, parameters, subject)}


def test_a_network_whose_rates_are_all_zero_has_nothing_to_measure(small: Make) -> None:
    """As timm's ViT and ConvNeXt have them: a gap of 0 would be a number about nothing."""
    with pytest.raises(NotApplicableError, match="calls no dropout with a rate above 0"):
        rows_from(probe(small(network(0.0))))


def test_a_rate_that_drops_no_value_leaves_exactly_nothing(small: Make) -> None:
    rows = rows_from(probe(small(network(1e-30))))
    found = metrics(rows)
    assert rows["shift"].tolist() == [0.0] * len(rows)
    assert rows["correct"].tolist() == rows["correct_eval"].tolist()
    for name in ("accuracy_gap", "disagreement", "logit_shift", "train_accuracy_spread"):
        assert found[name].value == 0.0
    assert 0 < found["eval_accuracy"].value < 1  # type: ignore[operator]


def made() -> pd.DataFrame:
    """Return 12 images under 4 masks, eval mode answering class 0."""
    top1 = np.random.default_rng(0).integers(0, 3, (12, 4))
    label = np.arange(12) % 3
    return pd.DataFrame(
        {
            "image": np.repeat([f"{i}.png" for i in range(12)], 4),
            "mask": np.tile(["1", "2", "3", "4"], 12),
            "top1": top1.ravel(),
            "correct": (top1 == label[:, None]).ravel(),
            "top1_eval": 0,
            "correct_eval": np.repeat(label == 0, 4),
            "correct_ensemble": np.repeat(label < 2, 4),
            "shift": np.repeat(label / 2, 4),
            "calls": 1,
            "uncalled": 0,
            "fused": 0,
        }
    )


def test_the_metrics_by_hand() -> None:
    rows = made()
    found = metrics(rows)
    correct = rows["correct"].to_numpy().reshape(12, 4)
    assert found["eval_accuracy"].value == 4 / 12
    assert found["ensemble_accuracy"].value == 8 / 12
    assert found["train_accuracy_mean"].value == pytest.approx(correct.mean())
    by_mask = correct.mean(0)
    spread = np.sqrt(((by_mask - by_mask.mean()) ** 2).sum() / 3)
    assert found["train_accuracy_spread"].value == pytest.approx(spread)
    assert found["accuracy_gap"].value == pytest.approx(4 / 12 - correct.mean())
    assert found["disagreement"].value == pytest.approx((rows["top1"] != 0).mean())
    assert found["logit_shift"].value == pytest.approx(0.5)
    assert {found[m.name].unit for m in MEASURE.metrics} == {"fraction", "logits"}


def test_images_are_counted_once_and_intervals_are_over_them() -> None:
    """Masks of an image go together: the interval is that of twelve numbers, not of 48."""
    found = metrics(made())
    assert {m.n for m in found.values() if m.denominator == "images"} == {12}
    single = made()["correct"].to_numpy().reshape(12, 4).mean(1)
    mean = found["train_accuracy_mean"]
    half = 1.96 * single.std() / np.sqrt(12)
    assert (mean.high - mean.low) / 2 == pytest.approx(half, rel=0.15)  # type: ignore[operator]
    assert found["train_accuracy_spread"].low is None
    assert "no interval" in (found["train_accuracy_spread"].reason or "")
    assert found["train_accuracy_spread"].n == 4


def test_the_worst_image_is_the_one_most_masks_disagree_on() -> None:
    share = MEASURE.badness(made())  # type: ignore[misc]
    assert share["3.png"] == (made()["top1"][12:16] != 0).mean()


def test_the_plot_shows_masks_between_two_levels() -> None:
    (plot,) = MEASURE.plots(made(), FEW, Subject("a", None, 0))
    lines = {line.name: line for line in plot.lines}
    assert lines["single masks"].x == (1.0, 2.0, 3.0, 4.0)
    by_mask = made().groupby("mask")["correct"].mean().tolist()
    assert lines["single masks"].y == pytest.approx(by_mask)
    single = lines["single masks"]
    for low, y, high in zip(single.low, single.y, single.high, strict=True):
        for end in (low, high):  # Wilson's ends: where the score test just rejects
            assert abs(y - end) == pytest.approx(1.959964 * (end * (1 - end) / 12) ** 0.5, abs=1e-6)  # type: ignore[operator]
    assert {line.n for line in plot.lines} == {(12,) * 4}
    assert lines["eval mode"].y == pytest.approx([4 / 12] * 4)
    assert lines["ensemble"].y == pytest.approx([8 / 12] * 4)
    assert plot.share


def test_no_dropout_is_not_applicable_and_never_a_pass(small: Make) -> None:
    with pytest.raises(NotApplicableError, match=r"^small calls no dropout"):
        MEASURE.observe(probe(small()), FEW)
    depth = nn.Sequential(
        torchvision.ops.StochasticDepth(0.2, "row"), nn.Flatten(), nn.Linear(768, 3)
    )
    with pytest.raises(NotApplicableError, match=r"0 \(StochasticDepth\) cannot be switched on"):
        MEASURE.observe(probe(small(depth)), FEW)


def test_dropout_that_stays_on_makes_no_rows(small: Make) -> None:
    class Careless(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.25)

    stays = nn.Sequential(Careless(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(768, 3))
    said = r"^dropout stays on in eval mode: 0, call 1 \(p = 0.25\); let"
    with pytest.raises(InvalidError, match=said):
        MEASURE.observe(probe(small(stays)), FEW)


def test_what_was_left_off_is_vouched_for() -> None:
    (validity,) = MEASURE.vouch(network(), made())
    assert validity.outcome == "passed"
    assert validity.evidence.endswith("dropout modules: 2")
    assert "if self.training" in validity.meaning
    depth = nn.Sequential(network(), torchvision.ops.StochasticDepth(0.2, "row"))
    (validity,) = MEASURE.vouch(depth, made())
    assert validity.outcome == "undecided"
    assert validity.evidence.endswith("left off: 1 (StochasticDepth)")


def test_a_rate_inside_a_fused_function_cannot_pass(small: Make) -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attn_drop, self.drop = nn.Dropout(0.3), nn.Dropout(0.5)

        def forward(self, x: Tensor) -> Tensor:
            rate = self.attn_drop.p if self.training else 0.0
            rows = F.scaled_dot_product_attention(x, x, x, dropout_p=rate)
            return self.drop(rows.mean(dim=(2, 3)))  # type: ignore[no-any-return]

    network = Attention().eval()
    (validity,) = MEASURE.vouch(network, rows_from(probe(small(network))))
    assert (validity.outcome, validity.required) == ("undecided", True)
    assert validity.evidence.endswith(
        "left off: dropout modules that were never called: 1; "
        "modules that drop inside a fused function: 1"
    )


def test_the_picture_says_what_the_masks_said(small: Make) -> None:
    one = probe(small(network()), n=3)
    rows = rows_from(one)
    for drawing, (_, mine) in zip(
        MEASURE.explain(one, rows, FEW), rows.groupby("image"), strict=True
    ):
        (panel,) = drawing.panels
        name = ("red", "green", "blue")[mine["top1_eval"].iloc[0]]
        assert panel.heading.startswith(f"eval mode: {name} 0.")
        common = mine["top1"].mode()
        counts = [f"{('red', 'green', 'blue')[c]} {(mine['top1'] == c).sum()}" for c in common]
        assert any(panel.subtitle.startswith(f"of 4 masks: {count}") for count in counts)
        assert panel.subtitle in drawing.caption


@pytest.mark.parametrize("masks", [0, 1, 101, "many"])
def test_numbers_of_masks_that_make_no_sense(masks: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        Parameters(masks=masks)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_packaged_networks(packaged: Classifier, samples: ImageSet, rows_of: Rows) -> None:
    """One dropout each, before the last layer: the masks average out to eval mode's answers."""
    rows = rows_of(MEASURE, FEW, packaged, samples, 20)
    found = metrics(rows)
    known = {"efficientnet_lite0": 0.85, "squeezenet1_1_caffe": 0.7}
    assert found["eval_accuracy"].value == known[packaged.alias]
    assert found["ensemble_accuracy"].value == pytest.approx(known[packaged.alias], abs=0.1)
    assert found["disagreement"].value < 0.25  # type: ignore[operator]
    assert found["logit_shift"].value > 1  # type: ignore[operator]
    assert set(rows["calls"]) == {1}
    one_by_one = rows_of(MEASURE, Parameters(masks=2), packaged, samples, 7)
    same = rows[rows["mask"].isin(["1", "2"])]
    assert one_by_one["top1"].tolist() == same["top1"].tolist()
