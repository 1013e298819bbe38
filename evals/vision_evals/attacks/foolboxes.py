"""Attacks of foolbox behind the protocol of ours."""

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
from vision_evals.attacks.gradients import hold_gradient
from vision_evals.attacks.iterates import see_last
from vision_evals.attacks.losses import cross_entropy
from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.core.rng import generator


@dataclass(frozen=True, slots=True)
class FoolboxAttack:
    """An attack of foolbox behind the protocol of ours.

    Its random numbers come from global generators, seeded here and put back afterwards. Unlike
    those of our own attacks they depend on which images share the batch. foolbox knows one right
    answer an image: where several are accepted, it may stop at one that is right as well.
    """

    name: str
    """With "foolbox." in front."""
    norms: frozenset[str]
    """One, the norm of its distance."""
    iterated: bool
    """Whether it knows a number of steps."""
    theirs: Any
    """The attack itself."""

    def __call__(
        self, victim: Victim, pixels: torch.Tensor, criterion: Criterion, ball: Ball, draws: Draws
    ) -> Attacked:
        """Attack n images. See :class:`vision_evals.attacks.attack.Attack`.

        ``ever`` speaks only of the point that is handed back: foolbox also looks outside the ball.
        ``losses`` is the cross-entropy there, and ``steps`` the gradients of the whole batch.
        """
        foolbox = library()
        network = _Network(victim, len(pixels), pixels.device).eval()
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        seed = generator(draws.seed, "attack", self.name, *draws.ids).initial_seed()
        with _seeded(seed, pixels.device), torch.enable_grad():
            found = self._found(model, pixels.detach(), criterion, ball.epsilon, victim.alias)
        # some leave NaN where they found nothing
        moved = ball.project(torch.where(found.isfinite(), found, pixels).detach(), pixels)
        seen = see_last(victim, moved, criterion, cross_entropy)
        steps = torch.full((len(pixels),), network.gradients, device=pixels.device)
        return Attacked(moved, seen.met, network.blind, steps, seen.objective[None])

    def _found(
        self, model: Any, pixels: torch.Tensor, criterion: Criterion, epsilon: float, alias: str
    ) -> torch.Tensor:
        """Return what foolbox finds; images that it has no way into come back as they were."""
        criteria = library().criteria
        if isinstance(criterion, Misclassification):
            theirs = criteria.Misclassification(criterion.label)
        else:
            theirs = criteria.TargetedMisclassification(criterion.classes[:, 0])
        try:
            found: torch.Tensor = self.theirs(model, pixels, theirs, epsilons=epsilon)[1]
        except (UserError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if "init_attack failed" not in str(error):
                raise NotApplicableError(
                    f"{self.name} cannot attack {alias} here; foolbox says: "
                    f"{str(error) or type(error).__name__}"
                ) from error
            # one image out of reach stops them all: go on without it
            if len(pixels) == 1:
                return pixels
            rows = torch.arange(len(pixels), device=pixels.device)[:, None]
            parts = [self._found(model, pixels[i], criterion.of(i), epsilon, alias) for i in rows]
            return torch.cat(parts)
        return found


class _Network(nn.Module):
    """The victim as a module; counts its differentiated forwards, and sees what they give."""

    def __init__(self, victim: Victim, n: int, device: torch.device) -> None:
        super().__init__()
        # in a tuple: a victim that is a module itself must not be moved along
        self.victim = (victim,)
        self.gradients = 0
        self.blind = torch.zeros(n, dtype=torch.bool, device=device)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = self.victim[0].logits(pixels)
        if pixels.requires_grad:
            hold_gradient(self.victim[0], logits)
            self.gradients += 1
            pixels.register_hook(self._look)  # type: ignore[no-untyped-call]
        return logits

    def _look(self, gradient: torch.Tensor) -> None:
        if len(gradient) == len(self.blind):
            self.blind |= ~gradient.flatten(1).sum(dim=1).isfinite()


def library() -> Any:
    """Return foolbox, imported when it is wanted: it takes a second, and warns."""
    with warnings.catch_warnings():  # of its own imports
        warnings.simplefilter("ignore")
        import foolbox
    return foolbox


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that foolbox draws from, and put them back."""
    numpys = np.random.get_state()  # noqa: NPY002 - some attacks draw from the global one
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
            np.random.set_state(numpys)  # noqa: NPY002
