"""PGD against foolbox's: `python benchmarks/pgd.py`.

Twenty steps of a tenth of epsilon 1/1020 in linf, from the image itself, on the twenty photographs
in one batch. The three take turns, and the medians of the ratios of neighbours are printed:
foolbox's seconds by ours, without early stop and with. Both get the network as a user would hand
it over: foolbox as it was loaded, its parameters asking for gradients, ours frozen.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import argparse
import importlib
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vision_evals.attacks.attack import Draws
from vision_evals.attacks.balls import LinfBall
from vision_evals.attacks.criteria import Misclassification
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels
from vision_evals.images.labels import targets
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.registry import Registry

EPSILON, STEPS, SHARE = 1 / 1020, 20, 0.1


class Unfrozen(torch.nn.Module):
    """A network as it comes: pixels in, logits out, every parameter asks for gradients."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        network = deepcopy(classifier.network).requires_grad_()
        self.network = network
        self.classifier = replace(classifier, network=network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        return self.classifier.logits(x)


def photographs(classifier: Classifier) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the twenty photographs as the classifier is fed them, and their labels."""
    image_set = sources.load("imagenet_samples", Path())
    cut = [pixels(read(image.path).picture, classifier.geometry) for image in image_set.images]
    label = torch.as_tensor(targets(image_set, classifier.classes).label)
    return torch.stack(cut).to(torch.float32).div(255), label


def foolboxes(classifier: Classifier, x: torch.Tensor, label: torch.Tensor) -> Callable[[], int]:
    """Return foolbox's attack, which gives how many images it broke."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox: Any = importlib.import_module("foolbox")
    network = Unfrozen(classifier).eval()
    model = foolbox.PyTorchModel(network, bounds=(0, 1), device=x.device)
    attack = foolbox.attacks.LinfPGD(rel_stepsize=SHARE, steps=STEPS, random_start=False)

    def run() -> int:
        return int(attack(model, x, label, epsilons=EPSILON)[2].sum())

    return run


def ours(
    classifier: Classifier, x: torch.Tensor, label: torch.Tensor, *, early_stop: bool
) -> Callable[[], int]:
    """Return our attack, which gives how many images it broke.

    With early stop what is handed back was looked at when it was found. Without, a forward of its
    own decides, as foolbox does at its end.
    """
    criterion, draws = Misclassification(label, label[:, None]), Draws(0, ("",) * len(x))
    attack = ProjectedGradientDescent(STEPS, SHARE, random_start=False, early_stop=early_stop)

    def run() -> int:
        found = attack(classifier, x, criterion, LinfBall(EPSILON), draws)
        if early_stop:
            return int(found.ever.sum())
        with torch.no_grad():
            return int(criterion.met(classifier.logits(found.pixels)).sum())

    return run


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """Return how long it takes, and what it gives."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("names", nargs="*", default=["squeezenet1_1_caffe", "efficientnet_lite0"])
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    chip = torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU"
    print(
        f"{chip}, {torch.get_num_threads()} threads, torch {torch.__version__}, n = 20 "
        f"photographs in one batch, medians of {arguments.repeats} repeats in turns (range)"
    )
    registry = Registry.read({}, None, Path())
    for name in arguments.names:
        classifier = build(name, *registry.card(name), download=False).to(arguments.device)
        x, label = (tensor.to(arguments.device) for tensor in photographs(classifier))
        works = (
            foolboxes(classifier, x, label),
            ours(classifier, x, label, early_stop=False),
            ours(classifier, x, label, early_stop=True),
        )
        for work in works:  # to warm up
            work()
        turns = [[timed(work) for work in works] for _ in range(arguments.repeats)]
        shown = []
        for column in (1, 2):
            ratios = [turn[0][0] / turn[column][0] for turn in turns]
            low, high = min(ratios), max(ratios)
            shown.append(f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
        theirs = statistics.median(turn[0][0] for turn in turns)
        broken = "/".join(str(found) for _, found in turns[-1])
        print(
            f"{name}: foolbox {theirs:.2f} s; foolbox / ours without early stop {shown[0]}, "
            f"with {shown[1]}; broken {broken}"
        )


if __name__ == "__main__":
    main()
