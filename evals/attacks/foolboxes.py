"""Attacks of foolbox, by their names there."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from evals.attacks.attack import Attacked, Draws, Victim
from evals.attacks.balls import Ball
from evals.attacks.criteria import Criterion, Misclassification
from evals.attacks.gradients import hold_gradient
from evals.attacks.iterates import see_last
from evals.attacks.losses import cross_entropy
from evals.draws import generator
from evals.errors import NotApplicableError, UserError, did_you_mean

_NORMS = {float("inf"): "linf", 2.0: "l2"}


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
        """Attack n images. See :class:`evals.attacks.attack.Attack`.

        ``ever`` speaks only of the point that is handed back: foolbox also looks outside the ball.
        ``losses`` is the cross-entropy there, and ``steps`` the gradients of the whole batch.
        """
        foolbox = _foolbox()
        network = _Network(victim).eval()
        model = foolbox.PyTorchModel(network, bounds=(0, 1), device=pixels.device)
        if isinstance(criterion, Misclassification):
            theirs = foolbox.criteria.Misclassification(criterion.label)
        else:
            theirs = foolbox.criteria.TargetedMisclassification(criterion.classes)
        seed = generator(draws.seed, "attack", self.name, *draws.ids).initial_seed()
        with _seeded(seed, pixels.device), torch.enable_grad():
            try:
                _, found, _ = self.theirs(model, pixels.detach(), theirs, epsilons=ball.epsilon)
            except (ValueError, AssertionError, NotImplementedError) as error:
                raise NotApplicableError(
                    f"{self.name} cannot attack {victim.alias} here; foolbox says: "
                    f"{str(error) or type(error).__name__}"
                ) from error
        # some leave NaN where they found nothing
        moved = ball.project(torch.where(found.isfinite(), found, pixels).detach(), pixels)
        seen = see_last(victim, moved, criterion, cross_entropy)
        steps = torch.full((len(pixels),), network.gradients, device=pixels.device)
        return Attacked(moved, seen.met, steps, seen.objective[None])


def foolbox_attack(name: str, parameters: Mapping[str, object]) -> FoolboxAttack:
    """Return an attack of foolbox.

    Args:
        name: of its class, such as ``L2CarliniWagnerAttack``.
        parameters: of its constructor. Attacks that leave their distance open take ``distance``
            "linf" or "l2".

    Raises:
        UserError: there is no such attack, it does not take these parameters, or it measures
            distance in a norm in which there is no ball here.
    """
    foolbox = _foolbox()
    known = _classes(foolbox)
    if name not in known:
        raise UserError(f'foolbox has no attack "{name}"{did_you_mean(name, known)}')
    where = f"foolbox.{name}"
    given = _held(where, inspect.signature(known[name]), parameters)
    if isinstance(given.get("distance"), str):
        given["distance"] = _distance(foolbox, where, given["distance"])
    try:
        made = known[name](**given)
    except Exception as error:  # whatever a constructor may think of its arguments
        raise UserError(f"{where} does not take these parameters: {error}") from error
    norm = _norm(made)
    if norm is None:
        open_distance = "distance" in inspect.signature(known[name]).parameters
        repair = 'write distance = "linf" or "l2"' if open_distance else "name another attack"
        raise UserError(
            f"{where} measures {_distance_of(made) or 'no distance'}; there are balls of norm "
            f'"linf" and "l2": {repair}'
        )
    iterated = "steps" in inspect.signature(known[name]).parameters
    return FoolboxAttack(where, frozenset({norm}), iterated, made)


class _Network(nn.Module):
    """The victim as a module; counts its differentiated forwards."""

    def __init__(self, victim: Victim) -> None:
        super().__init__()
        # in a tuple: a victim that is a module itself must not be moved along
        self.victim = (victim,)
        self.gradients = 0

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits = self.victim[0].logits(pixels)
        if pixels.requires_grad:
            hold_gradient(self.victim[0], logits)
            self.gradients += 1
        return logits


def _foolbox() -> Any:
    with warnings.catch_warnings():  # of its own imports
        warnings.simplefilter("ignore")
        import foolbox
    return foolbox


def _classes(foolbox: Any) -> dict[str, type]:
    """Return what can be run, by every name that foolbox gives it."""
    return {
        name: found
        for name, found in vars(foolbox.attacks).items()
        if inspect.isclass(found)
        and issubclass(found, foolbox.attacks.Attack)
        and not inspect.isabstract(found)
    }


def _held(
    where: str, signature: inspect.Signature, parameters: Mapping[str, object]
) -> dict[str, object]:
    for key in parameters:
        if key not in signature.parameters:
            shown = ", ".join(signature.parameters)
            takes = f"only {shown}" if shown else "and takes none"
            near = did_you_mean(key, signature.parameters)
            near = near if near.startswith("; did") else ""
            raise UserError(f'{where} has no parameter "{key}", {takes}{near}')
    for key, parameter in signature.parameters.items():
        if parameter.default is parameter.empty and key not in parameters:
            raise UserError(f'{where} needs the parameter "{key}"')
        _hold_type(where, parameter, parameters.get(key, parameter.default))
    return dict(parameters)


def _hold_type(where: str, parameter: inspect.Parameter, value: object) -> None:
    """Numbers are held here: foolbox would stumble over a wrong one in the middle of a run."""
    wanted = parameter.annotation
    if wanted not in (int, float, bool) or value is parameter.default:
        return
    fits = (int, float) if wanted is float else wanted
    if not isinstance(value, fits) or (isinstance(value, bool) and wanted is not bool):
        raise UserError(f"{where}: {parameter.name} = {value!r} is no {wanted.__name__}")


def _distance(foolbox: Any, where: str, written: object) -> Any:
    if written not in _NORMS.values():
        raise UserError(f'{where}: distance = "{written}" is unknown; write "linf" or "l2"')
    return getattr(foolbox.distances, str(written))


def _distance_of(attack: Any) -> Any:
    try:
        return attack.distance
    except (AttributeError, ValueError):  # none at all, or left open
        return None


def _norm(attack: Any) -> str | None:
    return _NORMS.get(getattr(_distance_of(attack), "p", None))  # type: ignore[arg-type]


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
