"""Numbers of labels: shifted, sorted as text or of folders they fall; a good network passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from vision_evals.core.errors import NotApplicableError
from vision_evals.images.labels import ClassMap
from vision_evals.measures import fgsm
from vision_evals.measures.accuracy import Parameters
from vision_evals.measures.binomial import at_least
from vision_evals.measures.probe import Answers
from vision_evals.models.classifier import Classifier
from vision_evals.validity import numbering
from vision_evals.validity.check import CheckResult, Evidence

Make = Callable[..., Evidence]
Small = Callable[..., Classifier]
Judge = Callable[..., CheckResult]


@pytest.fixture
def judged(small: Small, asked: Make) -> Judge:
    """Return a function that checks made-up labels and answers of a network of n classes."""

    def judge(
        label: np.ndarray,
        first: np.ndarray,
        classes: int | ClassMap,
        parameters: Parameters | None = None,
        among: list[int] | None = None,
        drop: tuple[str, ...] = (),
    ) -> CheckResult:
        if isinstance(classes, int):
            classes = ClassMap("own", tuple(f"class {i:05}" for i in range(classes)), None)
        rows = {"label": label, "top5": [[a, 0] for a in first], "correct1": label == first}
        whole = torch.tensor(among or np.unique(label).tolist())
        evidence = asked(
            replace(small(), classes=classes),
            labelled=False,
            rows=pd.DataFrame(rows).drop(columns=list(drop)),
            parameters=parameters,
        )
        none = torch.zeros(0, dtype=torch.int64)
        probe = replace(evidence.probe, answers=Answers(none, none, whole))
        return numbering.numbering(replace(evidence, probe=probe))

    return judge


def answers(true: np.ndarray, classes: int, right: float, seed: int = 0) -> np.ndarray:
    """Return (n,) answers of a network that is right with this chance, else anything."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(len(true)) < right, true, rng.integers(0, classes, len(true)))


@pytest.mark.parametrize("classes", [10, 20, 1000])
@pytest.mark.parametrize("right", [0.5, 0.76, 1.0])
@pytest.mark.parametrize("each", [1, 5])
def test_a_good_network_passes(classes: int, right: float, each: int, judged: Judge) -> None:
    label = np.repeat(np.arange(classes), each)
    found = judged(label, answers(label, classes, right), classes)
    few = right == 0.5 and len(label) < 50
    assert found.outcome == "passed" or (few and found.outcome == "undecided"), found.evidence


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("classes", [10, 20, 1000])
def test_shifted_labels_fall(by: int, classes: int, judged: Judge) -> None:
    true = np.repeat(np.arange(classes), 5)
    first = answers(true, classes, 0.76)
    label = (true + by) % classes
    found = judged(label, first, classes)
    assert found.outcome == "failed", found.evidence
    better = (first == true).mean()
    assert f"and {better:.2f} if labels are shifted by one" in found.evidence
    assert ("count from 1" in found.evidence) == (by == 1)


@pytest.mark.parametrize("logits", [True, False])
def test_numbers_sorted_as_text_fall(logits: bool, judged: Judge) -> None:
    """As ImageFolder orders folders 0, 1, 10, 11, 2: in the network, or in the list of labels."""
    folders = sorted(map(str, range(12)))
    assert folders[:4] == ["0", "1", "10", "11"]
    number = np.repeat(np.arange(12), 4)
    place = np.array([folders.index(str(i)) for i in number])
    label, true = (number, place) if logits else (place, number)
    found = judged(label, answers(true, 12, 0.9), 12)
    assert found.outcome == "failed", found.evidence
    what = "logits come" if logits else "labels come"
    assert f"if the {what} in the order of numbers sorted as text" in found.evidence


@pytest.mark.parametrize(("moved", "outcome"), [(12, "failed"), (6, "undecided")])
def test_class_names_sorted_as_text_fall(moved: int, outcome: str, judged: Judge) -> None:
    """Where the order moves half of the classes only, the hint stays a hint."""
    names = [f"{chr(ord('a') + i)}nt" for i in range(12)]
    names[:moved] = reversed(names[:moved])
    if moved == 6:
        names[:3], names[3:6] = names[3:6], names[:3]
    label = np.repeat(np.arange(12), 6)
    true = np.array([sorted(names).index(names[i]) for i in label])
    first = np.where(true == label, (label + 5) % 12, true)
    found = judged(label, first, ClassMap("own", tuple(names), None))
    assert found.outcome == outcome, found.evidence
    assert "if the logits come in the order of class names sorted as text" in found.evidence


def test_numbers_of_the_folders_fall(judged: Judge) -> None:
    """Imagenette's ten folders, numbered from 0, shown to a network of 1000 classes."""
    logits = np.array([0, 217, 482, 491, 497, 566, 569, 571, 574, 701])
    label = np.repeat(np.arange(10), 4)
    found = judged(label, answers(logits[label], 1000, 0.9), 1000)
    assert found.outcome == "failed", found.evidence
    assert "labels number the folders of this set, not the logits" in found.evidence


def test_hard_images_of_neighbouring_classes_do_not_fall(judged: Judge) -> None:
    """All wrong, and often the class beside the label: hard images, not another numbering."""
    label = np.arange(200) * 5
    rng = np.random.default_rng(3)
    beside = label + rng.choice([-3, -2, -1, 1, 2, 3], 200)
    found = judged(label, beside.clip(0, 999), 1000)
    assert found.outcome == "undecided", found.evidence
    consecutive = np.arange(30)
    near = np.abs(consecutive + rng.integers(-20, 20, 30))
    assert judged(consecutive, np.where(near == consecutive, 40, near), 1000).outcome == "undecided"


def test_chance_does_not_fall(judged: Judge) -> None:
    fell = [
        judged(label, np.random.default_rng(seed).integers(0, n, len(label)), n).outcome
        for seed in range(20)
        for n, label in ((3, np.arange(90) % 3), (10, np.arange(30) % 10), (40, np.arange(40)))
    ]
    assert fell.count("failed") == 0


def test_a_constant_answer_does_not_fall(judged: Judge) -> None:
    label = np.repeat(np.arange(12), 4)
    assert judged(label, np.full_like(label, 3), 12).outcome == "undecided"


@pytest.mark.parametrize(
    ("classes", "outcome"), [(3, "undecided"), (4, "undecided"), (5, "failed")]
)
def test_few_classes_get_a_hint(classes: int, outcome: str, judged: Judge) -> None:
    """Swapped answers of two classes may be chosen images; of five they are not."""
    label = np.repeat(np.arange(classes), 9)
    found = judged(label, (label - 1) % classes, classes)
    assert found.outcome == outcome, found.evidence
    assert "accuracy is 0.00 as labelled, and 1.00 if labels are shifted by one" in found.evidence


@given(right=st.integers(0, 16))
def test_the_border_is_that_of_scipy(right: int) -> None:
    """Of 16 images of 16 classes: the share of the four numberings that can be tried."""
    p = binom.sf(right - 1, 16, numbering.CHANCE)
    assert at_least(right, 16, numbering.CHANCE) == pytest.approx(p)


@given(st.lists(st.integers(0, 30), max_size=9))
def test_the_longest_rise_by_trying_all(values: list[int]) -> None:
    rises = (
        size
        for size in range(len(values), 0, -1)
        for chosen in combinations(values, size)
        if all(a < b for a, b in pairwise(chosen))
    )
    assert numbering._longest_rise(values) == next(rises, 0)


@pytest.mark.parametrize("why", ["no columns", "among", "axis"])
def test_without_rows_the_few_images_answer(why: str, small: Small, asked: Make) -> None:
    """Shifted by one among sixteen classes: the batch of the validity checks shows it."""
    label = torch.arange(16)
    eye = torch.eye(16) * 9

    class Known(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return eye[: len(pixels)] + 0 * pixels.sum()

    names = tuple(f"class {i:05}" for i in range(16))
    classifier = replace(small(Known()), classes=ClassMap("own", names, None))
    rows = pd.DataFrame({"label": [], "top5": [], "correct1": []})
    evidence = asked(
        classifier,
        label=(label + 1) % 16,
        rows=rows.drop(columns="top5") if why == "no columns" else rows,
        parameters=Parameters(among="set" if why == "among" else "all"),
        **({"measure": fgsm.MEASURE} if why == "axis" else {}),
    )
    found = numbering.numbering(evidence)
    assert found.outcome == "failed", found.evidence
    assert "16 images of 16 classes" in found.evidence


def test_accepted_labels_count_as_right(small: Small, asked: Make) -> None:
    """Two right labels an image: the second is what the network answers."""
    evidence = asked(small(), label=torch.zeros(16, dtype=torch.int64))
    known = evidence.probe.answers
    assert known is not None
    own = evidence.probe.logits.argmax(dim=1)
    accepted = torch.stack([known.label, own], dim=1)
    probe = replace(evidence.probe, answers=replace(known, accepted=accepted))
    found = numbering.numbering(replace(evidence, probe=probe))
    assert found == ("passed", "on 1 of 1 classes the usual answer is the label")


def test_images_without_labels_say_nothing(small: Small, asked: Make) -> None:
    with pytest.raises(NotApplicableError):
        numbering.numbering(asked(small(), labelled=False))
