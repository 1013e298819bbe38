"""``linear_response`` against closed forms on linear networks, and R^2 against NumPy's polyfit."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from torch import Tensor, nn

from vision_evals.attacks.signs import fast_gradient_sign
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import ClassMap
from vision_evals.log import Metric
from vision_evals.measures.epsilons import value
from vision_evals.measures.linear_response import MEASURE, Parameters
from vision_evals.measures.measure import Subject
from vision_evals.measures.probe import Answers, Probe
from vision_evals.measures.straightness import r2_line, r2_per_side
from vision_evals.models.classifier import Classifier

Make = Callable[..., Classifier]
Rows = Callable[..., pd.DataFrame]

N = 12


def probe(classifier: Classifier, pixels: Tensor, label: Tensor | None = None) -> Probe:
    label = torch.zeros(len(pixels), dtype=torch.int64) if label is None else label
    known = Answers(label, label[:, None], torch.arange(3))
    ids = tuple(f"{i}.png" for i in range(len(pixels)))
    return Probe(classifier, ids, pixels, known, differentiate=True)


def grey(n: int = N) -> Tensor:
    """Return pixels so far from black and white that no step is clipped."""
    return 0.3 + 0.4 * torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def rows_from(one: Probe, parameters: Parameters) -> pd.DataFrame:
    """Return the rows that a walk would write."""
    columns = MEASURE.observe(one, parameters)
    axes = pd.MultiIndex.from_product([one.ids, parameters.epsilons], names=["image", "epsilon"])
    flat = {name: np.asarray(column).reshape(-1) for name, column in columns.items()}
    rows = pd.DataFrame(flat, index=axes).reset_index()
    assert one.answers is not None
    return rows.assign(label=one.answers.label.numpy().repeat(len(parameters.epsilons)))


def metrics(rows: pd.DataFrame, parameters: Parameters | None = None) -> dict[str, Metric]:
    subject = Subject("a", ClassMap("colors", ("red", "green", "blue"), None), 0)
    found = MEASURE.summarise(rows, parameters or Parameters(), subject)
    return {metric.name: metric for metric in found}


def linear(bias: float = 0.3) -> nn.Sequential:
    """Return logits Wx + b of two classes; the third is out of the race for any epsilon."""
    torch.manual_seed(0)
    layer = nn.Linear(768, 3)
    with torch.no_grad():
        layer.weight.normal_(0, 0.05)
        layer.bias.copy_(torch.tensor([0.0, 0.0, -1e4]))
        logits = layer(grey().flatten(1))
        layer.bias[0] += bias - (logits[:, 0] - logits[:, 1]).mean()
    return nn.Sequential(nn.Flatten(), layer)


def test_a_linear_network_is_straight_and_crosses_at_margin_over_l1(small: Make) -> None:
    """Margin m falls by ||w_label - w_other||_1 for each unit of epsilon."""
    network, x = linear(), grey()
    rows = rows_from(probe(small(network), x), Parameters())
    found = metrics(rows)
    assert found["r2_line"].value == pytest.approx(1, abs=1e-6)
    assert found["r2_per_side"].value == pytest.approx(1, abs=1e-6)
    w, logits = network.get_parameter("1.weight").detach(), network(x).detach()
    margin = (logits[:, 0] - logits[:, 1]).numpy()
    crossing = margin / float((w[0] - w[1]).abs().sum())
    crossing = np.where(crossing > value("4/255"), np.inf, crossing)[margin > 0]
    metric = found["crossing_epsilon"]
    assert metric.value == pytest.approx(np.median(crossing), rel=1e-3)
    assert metric.n == len(crossing) > 5
    each = -MEASURE.badness(rows).to_numpy()[margin > 0]  # type: ignore[misc]
    np.testing.assert_allclose(each, np.minimum(crossing, 1), rtol=1e-3)
    assert found["wrong_class_stable"].value == 1


class Kink(nn.Module):
    """Logit 0 is -|w (x - c)|, whose derivative at 0 is taken from one side."""

    def __init__(self, center: Tensor) -> None:
        super().__init__()
        self.center = center
        self.w = torch.linspace(-1, 1, 768)

    def forward(self, x: Tensor) -> Tensor:
        t = (x - self.center).flatten(1) @ self.w
        bent = -nn.functional.leaky_relu(t, -1.0)
        return torch.stack([bent, torch.zeros_like(t), torch.zeros_like(t)], dim=1)


def test_a_kink_at_the_image_needs_a_line_for_each_side(small: Make) -> None:
    x = grey(1)
    rows = rows_from(probe(small(Kink(x)), x), Parameters())
    found = metrics(rows)
    assert found["r2_line"].value == pytest.approx(0, abs=1e-6)
    assert found["r2_per_side"].value == pytest.approx(1, abs=1e-6)
    slope = np.diff(rows["label_logit"])
    assert (slope[:8] > 0).all()
    assert (slope[8:] < 0).all()


def test_r2_is_polyfits() -> None:
    x = np.linspace(-1, 1, 9)
    y = np.random.default_rng(0).normal(size=(20, 9)) + 2 * x
    left, right = x <= 0, x >= 0
    for one, whole, sides in zip(y, r2_line(x, y), r2_per_side(x, y), strict=True):
        parts = [(x, one), (x[left], one[left]), (x[right], one[right])]
        residue = [((b - np.polyval(np.polyfit(a, b, 1), a)) ** 2).sum() for a, b in parts]
        assert whole == pytest.approx(1 - residue[0] / (len(one) * one.var()))
        both = np.concatenate([one[left], one[right]])
        assert sides == pytest.approx(1 - sum(residue[1:]) / (len(both) * both.var()))
        assert 0 <= whole <= 1
        assert 0 <= sides <= 1


class Bent(nn.Module):
    """A small network with hidden units, far from linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 196, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return 20 * self.layers(x)  # type: ignore[no-any-return]


def test_on_the_positive_side_it_is_fgsm_bit_for_bit(small: Make) -> None:
    x = torch.rand(N, 3, 16, 16, generator=torch.Generator().manual_seed(0))  # some are clipped
    one, parameters = probe(small(Bent()), x, torch.arange(N) % 3), Parameters(reach="16/255")
    rows = rows_from(one, parameters)
    label = torch.arange(N) % 3
    for epsilon in parameters.epsilons[8:]:
        moved = fast_gradient_sign(x, one.gradient, value(epsilon))
        with torch.inference_mode():
            logits = one.logits if epsilon == "0" else one.classifier.logits(moved)
        at = rows[rows["epsilon"] == epsilon]
        assert at["label_logit"].tolist() == logits.gather(1, label[:, None])[:, 0].tolist()
        assert at["top1"].tolist() == logits.argmax(1).tolist()
        assert at["correct"].tolist() == (logits.argmax(1) == label).tolist()
        others = logits.clone()
        others[torch.arange(N), label] = -torch.inf
        assert at["other"].tolist() == others.argmax(1).tolist()
        assert at["margin"].tolist() == (at["label_logit"] - at["other_logit"]).tolist()


def test_the_other_side_goes_against_the_gradient_within_the_box(small: Make) -> None:
    x = torch.rand(N, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    one, parameters = probe(small(Bent()), x), Parameters(reach="1/10", points=2)
    rows = rows_from(one, parameters)
    moved = np.clip(x.numpy() - np.float32(0.1) * np.sign(one.gradient.numpy()), 0, 1)
    expected = one.classifier.logits(torch.from_numpy(moved)).detach()[:, 0].numpy()
    np.testing.assert_allclose(rows["label_logit"][rows["epsilon"] == "-1/10"], expected, rtol=1e-4)
    assert (expected > one.logits[:, 0].numpy()).all()


def test_epsilons_are_exact_and_hold_zero() -> None:
    parameters = Parameters(reach="4/255", points=2)
    assert parameters.epsilons == ("-4/255", "-2/255", "0", "2/255", "4/255")
    exact = [Fraction(epsilon) for epsilon in Parameters(reach=0.007, points=7).epsilons]
    assert exact == [Fraction(i, 1000) for i in range(-7, 8)]


def test_a_logit_that_stands_still_is_left_out(small: Make) -> None:
    class Dark(nn.Module):
        """Sees nothing of pictures darker than grey."""

        def forward(self, x: Tensor) -> Tensor:
            bright = torch.relu(x.mean(dim=(2, 3)) - 0.5)
            return torch.cat([1 - bright[:, :1], bright[:, 1:]], dim=1)

    x = torch.cat([grey(4) * 0.5, grey(2) + 0.3])
    rows = rows_from(probe(small(Dark()), x.clamp(0, 1)), Parameters())
    found = metrics(rows)
    assert found["r2_line"].n == found["r2_per_side"].n == 2
    assert found["r2_line"].denominator == "images whose label's logit moves"
    validity, _ = MEASURE.vouch(Dark(), rows)
    assert validity.outcome == "undecided"
    assert "moves on 2 of 6 images; the others are left out" in validity.evidence
    still = rows[rows["image"].isin([f"{i}.png" for i in range(4)])]
    found = metrics(still)
    assert found["r2_line"].value is found["r2_per_side"].value is None
    assert found["r2_line"].reason == "there are no images whose label's logit moves"
    assert found["crossing_epsilon"].value is None
    assert found["crossing_epsilon"].reason == "4 of 4 stay correct up to 4/255"
    assert found["wrong_class_stable"].value is None


def made(curves: list[tuple[list[float], list[int]]]) -> pd.DataFrame:
    """Return rows of images with label 0 from margins and answers at epsilon 0, 1/10, 2/10."""
    written = Parameters(reach="2/10", points=2).epsilons
    return pd.DataFrame(
        [
            {
                "image": f"{i}.png",
                "epsilon": epsilon,
                "label_logit": value(epsilon),
                "margin": margin,
                "top1": top1,
                "correct": top1 == 0,
                "label": 0,
            }
            for i, (margins, answers) in enumerate(curves)
            for epsilon, margin, top1 in zip(
                written, [9, 9, *margins], [0, 0, *answers], strict=True
            )
        ]
    )


MADE = made(
    [
        ([3.0, -1.0, -2.0], [0, 1, 1]),  # crosses at 3/4 of the first step, and stays
        ([1.0, -1.0, -2.0], [0, 1, 2]),  # at a half, and changes its mind
        ([1.0, -3.0, 1.0], [0, 1, 0]),  # at a quarter, and is right again
        ([2.0, 2.0, -2.0], [0, 0, 1]),  # in the middle of the second step: too late to be stable
        ([-1.0, -1.0, -1.0], [1, 1, 1]),  # wrong when clean
    ]
)


def test_crossings_by_hand() -> None:
    found = metrics(MADE, Parameters(reach="2/10", points=2))
    crossing = found["crossing_epsilon"]
    assert crossing.value == pytest.approx(np.median([0.075, 0.05, 0.025, 0.15]))
    assert (crossing.n, crossing.unit) == (4, "epsilon")
    stable = found["wrong_class_stable"]
    assert stable.value == pytest.approx(1 / 3)
    assert stable.n == 3
    worst = MEASURE.badness(MADE)  # type: ignore[misc]
    assert worst.sort_values(ascending=False).index.tolist() == [
        *("2.png", "1.png", "0.png", "3.png", "4.png")
    ]


def test_crossings_within_the_first_step_are_too_coarse() -> None:
    _, validity = MEASURE.vouch(nn.Identity(), MADE)
    assert validity.outcome == "undecided"
    assert validity.evidence.startswith("3 of 4 images that turn wrong do so within the first step")
    late = MADE[MADE["image"].isin(["3.png", "4.png"])]
    assert MEASURE.vouch(nn.Identity(), late)[1].outcome == "passed"


def test_half_that_never_cross_have_no_median() -> None:
    stay, early = ([1.0, 1.0, 1.0], [0, 0, 0]), ([1.0, -1.0, -1.0], [0, 1, 1])
    parameters = Parameters(reach="2/10", points=2)
    half = metrics(made([stay, early]), parameters)["crossing_epsilon"]
    assert (half.value, half.n) == (None, 2)
    assert half.reason == "1 of 2 stay correct up to 2/10"
    fewer = metrics(made([stay, early, early]), parameters)["crossing_epsilon"]
    assert fewer.value == pytest.approx(0.05)
    assert "cannot be resampled" in (fewer.reason or "")
    wrong = metrics(made([([-1.0] * 3, [1, 1, 1])]), parameters)["crossing_epsilon"]
    assert wrong.value is None
    assert wrong.reason == "there are no images correct when clean"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reach": 0}, "must be above 0"),
        ({"reach": -0.1}, "is negative"),
        ({"reach": 4}, "above 1, the whole pixel scale"),
        ({"points": 1}, "greater than or equal to 2"),
        ({"points": 51}, "less than or equal to 50"),
    ],
)
def test_parameters_that_make_no_sense(given: dict[str, object], said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        Parameters(**given)  # type: ignore[arg-type]


def test_figure_four(small: Make) -> None:
    network, x = linear(0.1), grey(3)
    parameters = Parameters(points=2)
    one = probe(small(network), x)
    rows = rows_from(one, parameters)
    for i, drawing in enumerate(MEASURE.explain(one, rows, parameters)):
        assert drawing.pixels.shape == (3, 16, 48)
        assert torch.equal(drawing.pixels[:, :, 16:32], x[i])
        apart = drawing.pixels[:, :, 32:] - drawing.pixels[:, :, :16]
        np.testing.assert_allclose(apart.abs(), 8 / 255, atol=1e-6)
        titles = [panel.title for panel in drawing.panels]
        assert titles == ["epsilon -4/255", "image", "epsilon 4/255"]
        plot = drawing.plot
        assert plot is not None
        lines = {line.name: line for line in plot.lines}
        assert plot.lines[0].name == "red"
        assert lines["red"].x == tuple(map(value, parameters.epsilons))
        mine = rows[rows["image"] == drawing.image]
        assert lines["red"].y == pytest.approx(mine["label_logit"].tolist())
        crossing = -MEASURE.badness(rows)[drawing.image]  # type: ignore[misc]
        assert [mark.x for mark in plot.marks] == ([crossing] if crossing < 1 else [])


@pytest.mark.slow
def test_the_packaged_networks(packaged: Classifier, samples: ImageSet, rows_of: Rows) -> None:
    few, parameters = limited(samples, 6), Parameters(points=4)
    rows = rows_of(MEASURE, parameters, packaged, few, 6)
    found = metrics(rows, parameters)
    x = [value(epsilon) for epsilon in parameters.epsilons]
    r2 = [np.corrcoef(x, mine["label_logit"])[0, 1] ** 2 for _, mine in rows.groupby("image")]
    assert found["r2_line"].value == pytest.approx(np.median(r2))
    assert 0.5 < np.median(r2) < 0.95
    assert found["r2_line"].value < found["r2_per_side"].value  # type: ignore[operator]
    assert 0 < found["crossing_epsilon"].value < value("4/255")  # type: ignore[operator]
    assert found["crossing_epsilon"].n == rows[rows["epsilon"] == "0"]["correct"].sum()
