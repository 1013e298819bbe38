"""Attacks on the packaged networks and their photographs, against foolbox and each other."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch

from vision_evals.attacks.apgd import AutoPGD
from vision_evals.attacks.attack import Attack, Draws
from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.criteria import Misclassification
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels
from vision_evals.images.image_set import limited
from vision_evals.images.labels import targets
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Registry

BATCH = 5


def packaged(name: str) -> Classifier:
    card, base = Registry.read({}, None, Path()).card(name)
    return build(name, card, base, download=False)


def photographs(
    classifier: Classifier, count: int
) -> tuple[torch.Tensor, Misclassification, Draws]:
    image_set = limited(sources.load("imagenet_samples", Path()), count)
    cut = [pixels(read(image.path).picture, classifier.geometry) for image in image_set.images]
    label = torch.as_tensor(targets(image_set, classifier.classes).label)
    x = torch.stack(cut).to(torch.float32).div(255)
    draws = Draws(0, tuple(image.id for image in image_set.images))
    return x, Misclassification(label, label[:, None]), draws


class Module(torch.nn.Module):
    """A classifier as foolbox takes it."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier.logits(x)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet_lite0", "squeezenet1_1_caffe"])
@pytest.mark.parametrize("epsilon", [1 / 1020, 1 / 510])
def test_what_foolbox_breaks_breaks_here(name: str, epsilon: float, foolbox: ModuleType) -> None:
    """PGD with 20 steps of a tenth, from the image, on ten photographs."""
    classifier = packaged(name)
    x, criterion, draws = photographs(classifier, 10)
    model = foolbox.PyTorchModel(Module(classifier).eval(), bounds=(0, 1), device="cpu")
    theirs = foolbox.attacks.LinfPGD(rel_stepsize=0.1, steps=20, random_start=False)
    ours = ProjectedGradientDescent(steps=20, random_start=False)
    broken_there, broken_here = [], []
    for first in range(0, len(x), BATCH):
        rows = torch.arange(first, first + BATCH)
        aim = criterion.of(rows)
        _, _, success = theirs(model, x[rows], aim.label, epsilons=epsilon)
        found = ours(classifier, x[rows], aim, LinfBall(epsilon), draws.of(rows.tolist()))
        assert float(LinfBall(epsilon).distance(found.pixels, x[rows]).max()) <= epsilon + 1e-7
        with torch.no_grad():
            here = aim.met(classifier.logits(found.pixels))
        broken_there += success.tolist()
        broken_here += here.tolist()
    assert sum(broken_there) > 5  # otherwise there is nothing to compare
    missed = [there and not here for there, here in zip(broken_there, broken_here, strict=True)]
    assert not any(missed)


@pytest.mark.slow
def test_auto_pgd_climbs_at_least_as_high_as_pgd() -> None:
    """Best loss along the path, from one random start, on twenty photographs at 1/1020.

    Both without early stop and with the same number of steps. Against steps of a quarter of epsilon
    the mean counts, against steps of a tenth at least 18 of 20 images. Of the seeds 0, 1 and 2 each
    holds both: 5.82, 5.81 and 5.83 against 5.64, 5.66 and 5.66, and 20, 19 and 20 images.
    """
    classifier = packaged("squeezenet1_1_caffe")
    x, criterion, draws = photographs(classifier, 20)
    attacks: dict[str, Attack] = {
        "apgd": AutoPGD(steps=20, early_stop=False),
        "quarter": ProjectedGradientDescent(steps=20, rel_stepsize=0.25, early_stop=False),
        "tenth": ProjectedGradientDescent(steps=20, rel_stepsize=0.1, early_stop=False),
    }
    best = {
        name: attack(classifier, x, criterion, LinfBall(1 / 1020), draws).losses.amax(0).double()
        for name, attack in attacks.items()
    }
    assert best["apgd"].mean() >= best["quarter"].mean()
    assert int((best["apgd"] >= best["tenth"]).sum()) >= 18
