"""``adversarial`` against closed forms on linear networks, and its metrics against NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from torch import nn

from vision_evals.engine.tables import Axis, BatchRows, _table
from vision_evals.images.labels import ClassMap
from vision_evals.measures.adversarial import MEASURE, Parameters
from vision_evals.measures.attack_tables import Pgd
from vision_evals.measures.measure import MOVED, Subject
from vision_evals.measures.probe import Answers, Probe
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier

CLASSES = ClassMap("two", ("a", "b"), None)
SIDE = 4


class Linear(nn.Module):
    """Two classes, each a weighted sum of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        drawn = torch.randn(2, 3 * SIDE * SIDE, generator=torch.Generator().manual_seed(3))
        self.weight = nn.Parameter(drawn, requires_grad=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - 0.5).flatten(1) @ self.weight.T


def classifier(network: nn.Module) -> Classifier:
    fed = Input(resize=SIDE, crop=SIDE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    card = Card(network="nets:Linear", input=fed)
    return Classifier("linear", card, network.eval(), fed, CLASSES, "f", "made", None, {})


def observed(
    parameters: Parameters, n: int = 40, *, wrong: bool = False
) -> tuple[pd.DataFrame, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return rows, pixels, labels and weights; pixels stay clear of black and white."""
    net = Linear()
    drawn = torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    pixels = 0.4 + 0.2 * drawn
    label = net(pixels).argmax(1)
    label = 1 - label if wrong else label
    ids = tuple(f"{i:02d}" for i in range(n))
    known = Answers(label, label[:, None], torch.arange(2))
    probe = Probe(classifier(net), ids, pixels, known, differentiate=True)
    axis = Axis("epsilon", tuple(map(str, parameters.epsilons)))
    columns = MEASURE.observe(probe, parameters)
    part = BatchRows(ids, {"label": known.label, "accepted": known.accepted}, columns, axis)
    return _table([part]).to_pandas(), pixels, label, net.weight


@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
@pytest.mark.parametrize("attack", ["pgd", "apgd"])
def test_the_worst_case_of_a_linear_network_is_its_closed_form(
    norm: str, dual: int, attack: str
) -> None:
    """An image stands if its lead exceeds epsilon times the dual norm of the weights' difference.

    With two classes: with more, the gradient of the loss points between several of them.
    """
    sizes = (0, 0.002, 0.005, 0.01) if norm == "linf" else (0, 0.01, 0.04, 0.08)
    parameters = Parameters.model_validate(
        {
            "norm": norm,
            "epsilons": sizes,
            "attacks": [{"name": attack, "steps": 40, "restarts": 2}, "pgd"],
        }
    )
    rows, pixels, label, weight = observed(parameters)
    scores = (pixels - 0.5).flatten(1) @ weight.T
    seen = set()
    for epsilon in sizes:
        stands = []
        for score, y in zip(scores, label.tolist(), strict=True):
            gap = (score[y] - score[1 - y]) / (weight[y] - weight[1 - y]).norm(p=dual)
            stands.append(float(gap) - epsilon)
        clear = np.abs(stands) > 0.02 * epsilon + 1e-6  # an attack comes close, never quite there
        ours = rows[rows["epsilon"] == str(epsilon)]["correct"].to_numpy()
        expected = np.array(stands) > 0
        assert (ours[clear] == expected[clear]).all()
        assert clear.sum() > 30
        seen |= set(expected.tolist())
    assert seen == {True, False}
    assert rows["outside"].max() <= 1e-6
    assert (rows["distance"] <= rows["epsilon"].astype(float) + 1e-6).all()


def made() -> pd.DataFrame:
    """Four images at two sizes; the first is wrong before any attack."""
    rows = []
    for epsilon, correct, by in (
        ("0", [False, True, True, True], [-2, -1, -1, -1]),
        ("1/255", [False, False, False, True], [-2, 0, 1, -1]),
    ):
        rows += [
                {
                    "image": f"i{i}", "epsilon": epsilon, "correct_clean": i > 0,
                    "correct": correct[i], "correct_8bit": correct[i],
                    "correct_fgsm": correct[i] or (epsilon != "0" and i == 2),
                    "correct_noise": i > 0, "broken_by": by[i], "ever": by[i] >= 0,
                    "carried": False,
                    "confidence": 0.1 * (i + 1), "distance": 0.001 * i, "outside": 0.0,
                }
                for i in range(4)
            ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_numbers_of_four_images_by_hand() -> None:
    parameters = Parameters.model_validate(
        {"epsilons": [0, "1/255"], "attacks": ["pgd", {"name": "apgd", "loss": "dlr"}]}
    )
    found = {
        (m.name, m.at): m for m in MEASURE.summarise(made(), parameters, Subject("x", CLASSES, 0))
    }
    assert found["robust_accuracy", "0"].value == 0.75
    robust, success = (found[name, "1/255"] for name in ("robust_accuracy", "attack_success"))
    assert (robust.value, robust.n, success.n) == (0.25, 4, 3)
    assert success.value == pytest.approx(2 / 3)
    assert found["fgsm_accuracy", "1/255"].value == 0.5
    assert found["median_distance", "1/255"].value == pytest.approx(0.0015)
    assert found["noise_p_value", "1/255"].value == 0.25  # two of two coins
    assert found["median_flip_epsilon", None].value == 1 / 255
    assert found["confidence_on_mistakes", "1/255"].value == pytest.approx(0.2)
    promised = {metric.name for metric in MEASURE.metrics}
    assert {name for name, _ in found} == promised


def test_the_lowest_line_is_the_worst_case_and_lines_never_rise_from_attack_to_attack() -> None:
    parameters = Parameters.model_validate(
        {"epsilons": ["1/255", 0], "attacks": ["pgd", {"name": "apgd", "loss": "dlr"}]}
    )
    (plot,) = MEASURE.plots(made(), parameters, Subject("x", CLASSES, 0))
    lines = {line.name: line for line in plot.lines}
    assert list(lines) == [
        "random noise", "one step", "pgd, steps 40", "then apgd, loss dlr, steps 100",
    ]  # fmt: skip
    assert lines["pgd, steps 40"].x == (0.0, 1.0)
    assert lines["pgd, steps 40"].y == (0.75, 0.5)
    assert lines["then apgd, loss dlr, steps 100"].y == (0.75, 0.25)
    # the same numbers as the metrics, whose curves they explain
    found = MEASURE.summarise(made(), parameters, Subject("x", CLASSES, 0))
    curves = {"random noise": "noise_accuracy", "one step": "fgsm_accuracy"}
    curves["then apgd, loss dlr, steps 100"] = "robust_accuracy"
    for name, metric in curves.items():
        points = {m.at: m for m in found if m.name == metric}
        line = lines[name]
        for rank, at in enumerate(("0", "1/255")):
            same = (line.y[rank], line.low[rank], line.high[rank], line.n[rank])
            one = points[at]
            assert same == (one.value, one.low, one.high, one.n)


def test_a_row_that_a_smaller_ball_explains_gives_neither_confidence_nor_distance() -> None:
    """The image counts as broken; what its own point is like is not what broke it."""
    parameters = Parameters.model_validate({"epsilons": [0, "1/255"], "attacks": ["pgd", "apgd"]})
    rows = made()
    rows.loc[(rows["epsilon"] == "1/255") & (rows["image"] == "i1"), "carried"] = True
    metrics = MEASURE.summarise(rows, parameters, Subject("x", CLASSES, 0))
    plain = MEASURE.summarise(made(), parameters, Subject("x", CLASSES, 0))
    found, before = ({(m.name, m.at): m for m in side} for side in (metrics, plain))
    changed = {key for key in found if found[key].value != before[key].value}
    assert changed == {("median_distance", "1/255"), ("confidence_on_mistakes", "1/255")}
    assert found["median_distance", "1/255"].value == pytest.approx(0.002)
    assert found["median_distance", "1/255"].n == 1
    assert MEASURE.badness is not None
    assert MEASURE.badness(rows)["i1"] == 0


def test_without_an_image_that_is_right_there_is_nothing_to_attack() -> None:
    parameters = Parameters(epsilons=(0, "1/255"))
    rows, *_ = observed(parameters, n=5, wrong=True)
    assert (rows["broken_by"] == -2).all()
    assert (rows["distance"] == 0).all()
    found = MEASURE.summarise(rows, parameters, Subject("x", CLASSES, 0))
    success = next(m for m in found if (m.name, m.at) == ("attack_success", "1/255"))
    assert (success.value, success.reason) == (None, "there are no images correct when clean")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"attacks": ["pdg"]}, 'there is no attack "pdg"; did you mean'),
        ({"attacks": [{"name": "pgd", "step": 3}]}, "step"),
        ({"attacks": [{"name": "pgd", "loss": "hinge"}]}, "hinge"),
        ({"attacks": []}, "at least 1"),
        ({"attacks": [3]}, "must be a name, or a table"),
        ({"attacks": [["pgd"]]}, "must be a name, or a table"),
        ({"attacks": ["pgd", {"name": "pgd", "steps": 40}]}, "is listed twice"),
        ({"attacks": ["foolbox.LinfPGD", "foolbox.LinfPGD"]}, "is listed twice"),
        (
            {"norm": "l2", "epsilons": ["1e200"]},
            "larger than the distance between any two pictures",
        ),
        ({"attacks": ["foolbox.LinfPDG"]}, "LinfPGD"),
        ({"attacks": [{"name": "foolbox.LinfPGD", "step": 3}]}, '"steps"'),
        ({"norm": "linf", "attacks": ["foolbox.L2PGD"]}, 'norm = "l2"'),
        ({"norm": "linf", "epsilons": [2]}, "above 1"),
        ({"norm": "l2", "epsilons": [-1]}, "negative"),
        ({"norm": "l2", "epsilons": ["1e400"]}, "not a number of at most 300 digits"),
        ({"norm": "l1"}, "linf"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_repair(
    written: dict[str, object], said: str
) -> None:
    with pytest.raises(pydantic.ValidationError) as refused:
        Parameters.model_validate(written)
    assert said in str(refused.value)


def test_foolboxs_attacks_take_part_by_name() -> None:
    parameters = Parameters.model_validate(
        {
            "norm": "l2",
            "epsilons": [0.04],
            "attacks": [{"name": "foolbox.L2PGD", "steps": 20, "rel_stepsize": 0.1}],
        }
    )
    rows, *_ = observed(parameters)
    by_ours, *_ = observed(parameters.model_copy(update={"attacks": (Pgd(name="pgd", steps=20),)}))
    assert rows["correct"].tolist() == by_ours["correct"].tolist()
    assert 0 < rows["correct"].mean() < 1


class Refusing(nn.Module):
    """A network whose gradient nobody may ask for."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        assert not pixels.requires_grad, "an attack is run"
        logits: torch.Tensor = self.inner(pixels)
        return logits


@pytest.mark.parametrize("order", [(0, 0.002, 0.01, 0.3), (0.3, 0.01, 0.002, 0)])
def test_the_point_that_breaks_first_is_kept_for_the_picture(order: tuple[float, ...]) -> None:
    """The kept points are those of the rows, and no attack is run again for the pictures."""
    parameters = Parameters(epsilons=order, attacks=(Pgd(name="pgd"),))
    net, n = Linear(), 12
    pixels = 0.4 + 0.2 * torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    label = net(pixels).argmax(1)
    label[:2] = 1 - label[:2]  # two are wrong when clean
    ids = tuple(f"{i:02d}" for i in range(n))
    known = Answers(label, label[:, None], torch.arange(2))
    probe = Probe(classifier(net), ids, pixels, known, differentiate=True)
    without = MEASURE.observe(probe, parameters)
    columns = dict(MEASURE.observe(replace(probe, keeps=True), parameters))
    moved = columns.pop(MOVED)
    assert columns.keys() == without.keys()
    part = BatchRows(ids, {}, columns, Axis("epsilon", tuple(map(str, order))))
    rows = _table([part]).to_pandas()
    for i, image in enumerate(ids):
        at = rows[rows["image"] == image].set_index("epsilon")
        broken = [e for e in sorted(order) if e and not at["correct"][str(e)]]
        first = at.loc[str(broken[0] if broken else max(order))]
        logits = net(torch.as_tensor(moved[i][None]))
        assert float(logits.softmax(1).max()) == pytest.approx(first["confidence"], rel=1e-6)
        assert float((moved[i] - pixels[i]).abs().max()) == pytest.approx(first["distance"])
    kept = replace(
        probe, classifier=classifier(Refusing(net)), moved=dict(zip(ids, moved, strict=True))
    )
    for i, drawing in enumerate(MEASURE.explain(kept, rows, parameters)):
        assert drawing.adversarial is not None
        assert torch.equal(drawing.adversarial, torch.as_tensor(moved[i]))
    with pytest.raises(AssertionError, match="an attack is run"):
        MEASURE.explain(replace(kept, moved={}), rows, parameters)
