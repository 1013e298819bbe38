"""Attacks of foolbox with the interface of this package's attacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from vision_evals.attacks.attack import Attacked, Draws, Victim
from vision_evals.attacks.balls import Ball
from vision_evals.attacks.criteria import Criterion, Misclassification
from vision_evals.attacks.gradients import cross_entropy, require_gradient, see_last
from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.core.rng import generator


@dataclass(frozen=True, slots=True)
class FoolboxAttack:
    """An attack of foolbox with the interface of this package's attacks.

    Its random numbers come from global generators, which are seeded and restored afterwards. They
    depend on which images share the batch, unlike those of this package's attacks. foolbox supports
    one right class per image: if several are right, it may stop at another right one.
    """

    name: str
    """Starts with "foolbox."."""
    norms: frozenset[str]
    """The norm of its distance."""
    iterated: bool
    """Whether it has a parameter ``steps``."""
    theirs: Any
    """The attack object of foolbox."""

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`.

        ``ever`` is about the returned point only: foolbox also searches outside the ball.
        ``losses`` is the cross-entropy there, and ``steps`` counts the gradients of the batch.
        """
        foolbox = library()
        network = _Network(victim, len(pixels), pixels.device).eval()
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        seed = generator(draws.seed, "attack", self.name, *draws.ids).initial_seed()
        with _seeded(seed, pixels.device), torch.enable_grad():
            adversarial = self._search(
                model, pixels.detach(), criterion, ball.epsilon, victim.alias
            )
        # some attacks return NaN where they find nothing
        moved = ball.project(
            torch.where(adversarial.isfinite(), adversarial, pixels).detach(), pixels
        )
        seen = see_last(victim, moved, criterion, cross_entropy)
        steps = torch.full((len(pixels),), network.gradients, device=pixels.device)
        return Attacked(moved, seen.met, network.blind, steps, seen.objective[None])

    def _search(
        self, model: Any, pixels: torch.Tensor, criterion: Criterion, epsilon: float, alias: str
    ) -> torch.Tensor:
        """Return what foolbox finds; images on which it cannot start are returned unchanged."""
        criteria = library().criteria
        if isinstance(criterion, Misclassification):
            theirs = criteria.Misclassification(criterion.label)
        else:
            theirs = criteria.TargetedMisclassification(criterion.classes[:, 0])
        try:
            adversarial: torch.Tensor = self.theirs(model, pixels, theirs, epsilons=epsilon)[1]
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if "init_attack failed" not in str(error):
                raise NotApplicableError(
                    f"{self.name} cannot attack {alias} here; foolbox says: "
                    f"{str(error) or type(error).__name__}"
                ) from error
            # one image without a starting point stops the batch: attack the images one by one
            if len(pixels) == 1:
                return pixels
            rows = torch.arange(len(pixels), device=pixels.device)[:, None]
            parts = [self._search(model, pixels[i], criterion.of(i), epsilon, alias) for i in rows]
            return torch.cat(parts)
        return adversarial


class _Network(nn.Module):
    """The victim as a module; counts its forwards with gradient, and checks their gradients."""

    def __init__(self, victim: Victim, n: int, device: torch.device) -> None:
        super().__init__()
        # in a tuple: a victim that is itself a module must not become a submodule
        self.victim = (victim,)
        self.gradients = 0
        self.blind = torch.zeros(n, dtype=torch.bool, device=device)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = self.victim[0].logits(pixels)
        if pixels.requires_grad:
            require_gradient(self.victim[0], logits)
            self.gradients += 1
            pixels.register_hook(self._check)  # type: ignore[no-untyped-call]
        return logits

    def _check(self, gradient: torch.Tensor) -> None:
        if len(gradient) == len(self.blind):
            self.blind |= ~gradient.flatten(1).sum(dim=1).isfinite()


def library() -> Any:
    """Return foolbox, imported only when needed: the import takes a second and warns."""
    with warnings.catch_warnings():  # from its own imports
        warnings.simplefilter("ignore")
        import foolbox
    return foolbox


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that foolbox uses, and restore them."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - some attacks use the global generator
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
