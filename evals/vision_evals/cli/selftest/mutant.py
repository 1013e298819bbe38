"""A mutant: one common mistake, made on purpose in a copy of a classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import nn

from vision_evals.images.image_set import ImageSet
from vision_evals.models.classifier import Classifier

SEED = 0
"""Seed of everything random in a mutant: a mutant is the same in every run."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake. Card, fingerprint and files stay as they were, so that nothing reveals it."""

    name: str
    """In ``suites/mutants.toml`` and tables: ``wrong-mean-std``."""
    about: str
    """What it changes, in words without a full stop."""
    applies: Callable[[Classifier], str | None]
    """Why this mistake cannot be made with a classifier, or None where it can."""
    make: Callable[[Classifier], Classifier]
    """Returns the broken copy; the classifier given is left as it was."""
    pictures: Callable[[ImageSet], ImageSet] | None = None
    """Returns the images that it is shown; None for those of the suite."""
    one_is_enough: bool = False
    """Whether the suites end with the first notice: of the other kind there would hardly be one."""


def mutant(
    name: str,
    about: str,
    applies: Callable[[Classifier], str | None] = lambda _: None,
    pictures: Callable[[ImageSet], ImageSet] | None = None,
    *,
    one_is_enough: bool = False,
) -> Callable[[Callable[[Classifier], Classifier]], Mutant]:
    """Make a mutant of the function that breaks a classifier; arguments as in `Mutant`."""
    return partial(Mutant, name, about, applies, pictures=pictures, one_is_enough=one_is_enough)


def with_network(classifier: Classifier, change: Callable[[nn.Module], nn.Module]) -> Classifier:
    """Return the classifier with a changed copy of its network, frozen and otherwise the same."""
    network = change(copy.deepcopy(classifier.network)).requires_grad_(requires_grad=False)
    return with_step(replace(classifier, network=network), copy.deepcopy(step(classifier)))


def with_step(classifier: Classifier, changed: nn.Module) -> Classifier:
    """Return the classifier with another last step of preprocessing, its network copied.

    Its card stays: the code that feeds it is wrong.
    """
    broken = replace(classifier, network=copy.deepcopy(classifier.network))
    object.__setattr__(broken, "_normalise", changed.to(classifier.device))
    return broken


def step(classifier: Classifier) -> nn.Module:
    """Return what turns pixels into the network's input."""
    return classifier._normalise
