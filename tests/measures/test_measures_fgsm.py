"""``fgsm`` against foolbox on real networks, and its metrics against NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic
import pytest
import torch
from scipy.stats import binom

from vision_evals.attacks.fgsm import FastGradientSign
from vision_evals.attacks.signs import fast_gradient_sign
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels, to_unit
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import ClassMap, targets
from vision_evals.measures.epsilons import value
from vision_evals.measures.fgsm import MEASURE, SWEEP, Parameters
from vision_evals.measures.measure import Subject
from vision_evals.measures.probe import Probe, answers
from vision_evals.models.classifier import Classifier

Rows = Callable[..., pd.DataFrame]


def unit(classifier: Classifier, image_set: ImageSet) -> torch.Tensor:
    raw = [pixels(read(image.path).picture, classifier.geometry) for image in image_set.images]
    return to_unit(torch.stack(raw), torch.device("cpu"))


@pytest.mark.slow
def test_every_verdict_equals_foolboxs(
    packaged: Classifier, samples: ImageSet, rows_of: Rows
) -> None:
    """10 images and 8 epsilons; a differing one must lie within 1e-3 of the boundary."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import foolbox

    class Whole(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return packaged.logits(x)

    samples = limited(samples, 10)
    x = unit(packaged, samples)
    label = torch.as_tensor(targets(samples, packaged.classes).label)
    model = foolbox.PyTorchModel(  # type: ignore[attr-defined]
        Whole().eval(), bounds=(0, 1), device="cpu"
    )
    attack = foolbox.attacks.LinfFastGradientAttack()  # type: ignore[attr-defined]
    # at epsilon 0 foolbox is not asked: the model's own clean answers stand for it
    epsilons = [value(epsilon) for epsilon in SWEEP]
    rows = rows_of(MEASURE, Parameters(), packaged, samples)
    for written, epsilon in zip(map(str, SWEEP), epsilons, strict=True):
        moved = x if epsilon == 0 else attack(model, x, label, epsilons=epsilon)[1]
        with torch.no_grad():
            theirs = packaged.logits(moved).argmax(1) == label
        ours = rows[rows["epsilon"] == written]
        differs = ours["correct"].to_numpy() != theirs.numpy()
        assert (ours["margin"].abs()[differs] < 1e-3).all()


def test_epsilon_zero_is_the_clean_answer_bit_for_bit(
    packaged: Classifier, samples: ImageSet, rows_of: Rows
) -> None:
    few = limited(samples, 4)
    rows = rows_of(MEASURE, Parameters(epsilons=("0", "1/255")), packaged, few)
    at = rows[rows["epsilon"] == "0"]
    x, known = unit(packaged, few), answers(targets(few, packaged.classes))
    probe = Probe(packaged, tuple(i.id for i in few.images), x, known, differentiate=True)
    confidence = probe.logits.softmax(1).amax(1)
    assert at["confidence"].to_numpy() == pytest.approx(confidence.numpy(), abs=0)
    assert (at["correct"] == at["correct_noise"]).all()
    assert (at["correct"] == at["correct_8bit"]).all()  # photographs are 8-bit already


def test_the_batch_changes_no_decision_and_no_noise(
    packaged: Classifier, samples: ImageSet, rows_of: Rows
) -> None:
    few = limited(samples, 6)
    parameters = Parameters(epsilons=("1/1020", "16/255"))
    one, other = (rows_of(MEASURE, parameters, packaged, few, size) for size in (1, 6))
    for column in ("correct", "correct_8bit", "correct_noise", "top1"):
        assert one[column].tolist() == other[column].tolist()
    # equal to 1e-3, but where the batch flipped the sign of a gradient near 0 and so moved a pixel
    x, known = unit(packaged, few), answers(targets(few, packaged.classes))
    ids = tuple(image.id for image in few.images)
    whole = Probe(packaged, ids, x, known, differentiate=True)
    alone = [
        Probe(packaged, ids[i : i + 1], x[i : i + 1], known.of([i], x.device), differentiate=True)
        for i in range(len(ids))
    ]
    flipped = whole.gradient.sign() != torch.cat([probe.gradient for probe in alone]).sign()
    assert flipped.double().mean() < 0.01
    moved = np.array(
        one["image"].map(dict(zip(ids, flipped.flatten(1).any(1).tolist(), strict=True)))
    )
    apart = np.abs(one["margin"] - other["margin"]).to_numpy()
    assert apart[~moved].max(initial=0) < 1e-3
    # and the very same moved pictures are answered alike in any batch
    steps = fast_gradient_sign(x, whole.gradient, 16 / 255)
    with torch.inference_mode():
        together = packaged.logits(steps)
        singly = torch.cat([packaged.logits(step[None]) for step in steps])
    assert (together - singly).abs().max() < 1e-3


CLASSES = ClassMap("three", ("a", "b", "c"), None)


def made(correct: list[list[bool]], **columns: list[list[object]]) -> pd.DataFrame:
    """Return rows of n images at epsilons 0, 1/255 and 4/255."""
    written = ("0", "1/255", "4/255")
    return pd.DataFrame(
        [
            {
                "image": f"{i}.png",
                "epsilon": epsilon,
                "correct_clean": right[0],
                "correct": right[j],
                "correct_8bit": right[j],
                "correct_noise": columns.get("noise", correct)[i][j],
                "confidence": 0.5 + 0.1 * j,
            }
            for i, right in enumerate(correct)
            for j, epsilon in enumerate(written)
        ]
    )


def metrics(rows: pd.DataFrame) -> dict[tuple[str, str | None], object]:
    found = MEASURE.summarise(
        rows, Parameters(epsilons=("0", "1/255", "4/255")), Subject("a", CLASSES, 0)
    )
    return {(metric.name, metric.at): metric for metric in found}


def test_both_denominators() -> None:
    """Robust accuracy counts all images, attack success those that were right when clean."""
    rows = made([[True, False, False], [True, True, False], [False, True, False]])
    found = metrics(rows)
    robust, success = found["robust_accuracy", "1/255"], found["attack_success", "1/255"]
    assert (robust.value, robust.n) == (2 / 3, 3)  # type: ignore[attr-defined]
    assert (success.value, success.n) == (1 / 2, 2)  # type: ignore[attr-defined]
    assert found["median_flip_epsilon", None].value == 1 / 255  # type: ignore[attr-defined]


def test_clean_is_clean_without_a_zero_in_the_sweep(
    packaged: Classifier, samples: ImageSet, rows_of: Rows
) -> None:
    """Right when clean is asked of the network, never of the smallest step that was written."""
    few = limited(samples, 6)
    whole = rows_of(MEASURE, Parameters(epsilons=(0, "4/255")), packaged, few)
    alone = rows_of(MEASURE, Parameters(epsilons=("4/255",)), packaged, few)
    clean = whole[whole["epsilon"] == "0"]["correct"].tolist()
    assert alone["correct_clean"].tolist() == clean
    metric = {
        m.name: m
        for m in MEASURE.summarise(
            alone, Parameters(epsilons=("4/255",)), Subject("a", packaged.classes, 0)
        )
    }["attack_success"]
    broken = [was and not now for was, now in zip(clean, alone["correct"], strict=True)]
    assert (metric.value, metric.n) == (sum(broken) / sum(clean), sum(clean))
    assert sum(broken) > 0


def test_every_image_wrong_to_begin_with_is_null_with_the_reason() -> None:
    found = metrics(made([[False, False, False]] * 3))
    success = found["attack_success", "4/255"]
    assert success.value is None  # type: ignore[attr-defined]
    assert "no images correct when clean" in success.reason  # type: ignore[attr-defined]
    assert found["median_flip_epsilon", None].value is None  # type: ignore[attr-defined]


def test_the_p_value_is_the_exact_binomial_tail() -> None:
    """Six images that only the gradient breaks, one that only the noise does."""
    correct = [[True, False, False]] * 6 + [[True, True, True]]
    noise = [[True, True, True]] * 6 + [[True, False, False]]
    metric = metrics(made(correct, noise=noise))["noise_p_value", "1/255"]  # type: ignore[arg-type]
    assert metric.value == pytest.approx(binom.sf(5, 7, 0.5))  # type: ignore[attr-defined]
    assert metric.n == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("epsilon", "said"),
    [
        (-0.1, "is negative"),
        (8, 'above 1, the whole pixel scale; write "8/255"'),
        ("300/255", "above 1"),
        ("small", "is not a number"),
        ("1/0", "is not a number"),
    ],
)
def test_epsilons_that_make_no_sense(epsilon: object, said: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=said):
        Parameters(epsilons=("0", epsilon))  # type: ignore[arg-type]


def test_an_epsilon_written_twice() -> None:
    with pytest.raises(pydantic.ValidationError, match="is listed twice"):
        Parameters(epsilons=("1/255", "2/510"))


def test_the_triptych_shows_the_smallest_step_that_flips(
    packaged: Classifier, samples: ImageSet, rows_of: Rows, tmp_path: Path
) -> None:
    few = limited(samples, 3)
    rows = rows_of(MEASURE, Parameters(), packaged, few)
    known = answers(targets(few, packaged.classes))
    ids = tuple(image.id for image in few.images)
    probe = Probe(packaged, ids, unit(packaged, few), known, differentiate=True)
    side = packaged.geometry.crop
    for drawing in MEASURE.explain(probe, rows, Parameters()):
        assert drawing.pixels.shape == (3, side, 3 * side)  # type: ignore[operator]
        titles = [panel.title for panel in drawing.panels]
        assert titles[0] == "image"
        assert titles[1].startswith("perturbation x ")
        shown = titles[2].removeprefix("adversarial at ")
        mine = rows[rows["image"] == drawing.image].set_index("epsilon")
        wrong = [e for e in map(str, SWEEP) if value(e) > 0 and not mine["correct"][e]]
        if wrong:
            assert shown == min(wrong, key=value)
            assert not mine["correct"][shown]


def test_what_moves_the_pixels() -> None:
    assert MEASURE.attack is not None
    assert MEASURE.attack(Parameters()) == FastGradientSign()
