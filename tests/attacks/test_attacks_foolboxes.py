"""foolbox's attacks behind our protocol, against foolbox called by hand."""

# ruff: noqa: NPY002 - foolbox draws from the global generator
from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from vision_evals.attacks.attack import Draws, check_norm
from vision_evals.attacks.balls import Ball, L2Ball, LinfBall
from vision_evals.attacks.criteria import Misclassification, TargetedMisclassification
from vision_evals.attacks.foolbox_names import foolbox_attack
from vision_evals.core.errors import InvalidError, NotApplicableError, UserError
from vision_evals.core.rng import generator

Images = Callable[..., torch.Tensor]
Watched = Any
"""The victim of conftest."""


class Module(torch.nn.Module):
    """A function as foolbox takes it."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.function(pixels)


DRAWS = Draws(0, ("a", "b", "c", "d"))
LABEL = torch.tensor([0, 1, 2, 0])
WRONG = Misclassification(LABEL, LABEL[:, None])


@pytest.mark.parametrize(
    ("name", "parameters", "ball", "iterated"),
    [
        ("LinfPGD", {"steps": 7, "random_start": False}, LinfBall(0.05), True),
        ("LinfPGD", {"steps": 7}, LinfBall(0.05), True),
        ("FGM", {}, L2Ball(0.4), False),
        ("L2DeepFoolAttack", {"steps": 5}, L2Ball(0.4), True),
        ("L2CarliniWagnerAttack", {"steps": 30, "binary_search_steps": 3}, L2Ball(0.4), True),
        ("LInfFMNAttack", {"steps": 20}, LinfBall(0.05), True),
        ("L2RepeatedAdditiveGaussianNoiseAttack", {"repeats": 5}, L2Ball(3), False),
        ("GenAttack", {"steps": 3}, LinfBall(0.2), True),
        ("InversionAttack", {"distance": "l2"}, L2Ball(4), False),
    ],
)
def test_it_is_foolbox(
    name: str,
    parameters: dict[str, object],
    ball: Ball,
    iterated: bool,
    foolbox: ModuleType,
    curved: Watched,
    images: Images,
) -> None:
    x = images(4)
    attack = foolbox_attack(name, parameters)
    assert (attack.name, attack.iterated) == (f"foolbox.{name}", iterated)
    check_norm(attack, ball.norm)
    targeted = name == "GenAttack"  # which knows no other
    criterion = TargetedMisclassification(LABEL) if targeted else WRONG
    found = attack(curved, x, criterion, ball, DRAWS)

    given = dict(parameters)
    if "distance" in given:
        given["distance"] = foolbox.distances.l2
    named = "TargetedMisclassification" if targeted else "Misclassification"
    model = foolbox.PyTorchModel(curved.layers, bounds=(0, 1), device="cpu")
    seed = generator(0, "attack", f"foolbox.{name}", *DRAWS.ids).initial_seed()
    numpys = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        theirs = getattr(foolbox.attacks, name)(**given)
        _, expected, success = theirs(
            model, x, getattr(foolbox.criteria, named)(LABEL), epsilons=ball.epsilon
        )
    np.random.set_state(numpys)
    assert torch.allclose(found.pixels, ball.project(expected, x), atol=1e-12)
    assert torch.equal(found.ever, success)
    assert float(ball.distance(found.pixels, x).max()) <= ball.epsilon * (1 + 1e-9)
    assert found.losses.shape == (1, 4)
    if name == "LinfPGD":
        assert found.steps.tolist() == [7] * 4


def test_pgd_breaks_what_there_is_to_break(curved: Watched, images: Images) -> None:
    """So that the comparisons above do not compare nothing with nothing."""
    label = curved.function(images(4)).argmax(1)
    aim = Misclassification(label, label[:, None])
    for name, ball in (("LinfPGD", LinfBall(0.1)), ("L2CarliniWagnerAttack", L2Ball(1.5))):
        attack = foolbox_attack(name, {"steps": 40})
        assert attack(curved, images(4), aim, ball, DRAWS).ever.all()


@pytest.mark.parametrize("name", ["LinfPGD", "L2CarliniWagnerAttack"])
def test_epsilon_zero_changes_no_bit(name: str, curved: Watched, images: Images) -> None:
    attack = foolbox_attack(name, {"steps": 5})
    ball = LinfBall(0) if name == "LinfPGD" else L2Ball(0)
    assert torch.equal(attack(curved, images(4), WRONG, ball, DRAWS).pixels, images(4))


def test_the_same_draws_twice_and_others_for_another_seed(curved: Watched, images: Images) -> None:
    attack = foolbox_attack("LinfPGD", {"steps": 1})
    one, same, other = (
        attack(curved, images(4), WRONG, LinfBall(0.1), Draws(seed, DRAWS.ids)).pixels
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("name", "ball"), [("LinfPGD", LinfBall(0.1)), ("GenAttack", LinfBall(0.1))]
)
def test_global_generators_are_as_before(
    name: str, ball: Ball, curved: Watched, images: Images
) -> None:
    torchs, numpys = torch.get_rng_state(), np.random.get_state(legacy=False)
    criterion = TargetedMisclassification(LABEL) if name == "GenAttack" else WRONG
    foolbox_attack(name, {"steps": 2})(curved, images(4), criterion, ball, DRAWS)
    assert torch.equal(torch.get_rng_state(), torchs)
    after = np.random.get_state(legacy=False)
    assert (after["state"]["key"] == numpys["state"]["key"]).all()
    assert after["state"]["pos"] == numpys["state"]["pos"]


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("L2CarliniWagnerAttak", {}, 'no attack "L2CarliniWagnerAttak"; did you mean "L2CarliniW'),
        ("Attack", {}, 'foolbox has no attack "Attack"'),
        ("MinimizationAttack", {}, "foolbox has no attack"),
        ("base", {}, "foolbox has no attack"),
        ("__doc__", {}, "foolbox has no attack"),
        (
            "LinfPGD",
            {"stps": 3},
            r'no parameter "stps", only .*, random_start; did you mean "steps"\?',
        ),
        ("LinfPGD", {"zzz": 3}, 'no parameter "zzz", only rel_stepsize, abs_stepsize, steps, ran'),
        ("LinfPGD", {"steps": "20"}, "steps = '20'; must be int"),
        ("LinfPGD", {"steps": True}, "steps = True; must be int"),
        ("LinfPGD", {"random_start": 1}, "random_start = 1; must be bool"),
        ("LinfPGD", {"abs_stepsize": "x"}, "abs_stepsize = 'x'; must be float or None"),
        ("LinfPGD", {"steps": 0}, "steps = 0; must be above 0"),
        ("LinfPGD", {"rel_stepsize": -0.1}, "rel_stepsize = -0.1; must be above 0"),
        ("LinfPGD", {"rel_stepsize": float("nan")}, "rel_stepsize = nan; must be float"),
        (
            "L2DeepFoolAttack",
            {"loss": "hinge"},
            "loss = 'hinge'; must be 'logits' or 'crossentropy'",
        ),
        ("L2DeepFoolAttack", {"candidates": "x"}, "candidates = 'x'; must be int or None"),
        (
            "GenAttack",
            {"reduced_dims": [8]},
            "reduced_dims = .*; must be list of int and int or None",
        ),
        ("L2FMNAttack", {"init_attack": "z"}, "init_attack is an object of foolbox, which a su"),
        ("VirtualAdversarialAttack", {}, 'needs the parameter "steps"'),
        ("L1PGD", {}, 'measures L1 distance; there are balls of norm "linf" and "l2": name anot'),
        ("L2AdditiveUniformNoiseAttack", {"steps": 1}, 'no parameter "steps", and takes none'),
        ("SpatialAttack", {}, "measures no distance"),
        ("InversionAttack", {}, r'measures no distance; .* write distance = "linf" or "l2"'),
        ("InversionAttack", {"distance": "l1"}, 'distance = "l1" is unknown'),
    ],
)
def test_what_is_refused(name: str, parameters: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        foolbox_attack(name, parameters)


def test_the_wrong_norm_is_refused() -> None:
    with pytest.raises(UserError, match=r'"foolbox\.L2PGD" does not support the norm "linf"; wr'):
        check_norm(foolbox_attack("L2PGD", {}), "linf")


def test_a_criterion_that_it_cannot_pursue(curved: Watched, images: Images) -> None:
    attack = foolbox_attack("GenAttack", {"steps": 2})
    with pytest.raises(
        NotApplicableError, match=r"cannot attack watched here; foolbox says: unsup"
    ):
        attack(curved, images(4), WRONG, LinfBall(0.1), DRAWS)


def test_what_foolbox_throws_in_a_run_is_a_sentence(curved: Watched, images: Images) -> None:
    attack = foolbox_attack("BoundaryAttack", {"update_stats_every_k": 0, "steps": 2})
    said = "foolbox.BoundaryAttack cannot attack watched here; foolbox says: integer modulo"
    with pytest.raises(NotApplicableError, match=said):
        attack(curved, images(4), WRONG, L2Ball(9), DRAWS)


def test_an_image_out_of_reach_does_not_keep_the_others(
    foolbox: ModuleType, watched: Callable[..., Watched]
) -> None:
    """The boundary attack begins at noise that is named wrongly; one without keeps all others."""

    def function(pixels: torch.Tensor) -> torch.Tensor:
        dark = 10 * (0.3 - pixels.mean(dim=(1, 2, 3)))
        return torch.stack([dark, torch.zeros_like(dark)], dim=1)

    x = torch.tensor([0.0, 0.5, 0.1])[:, None, None, None].repeat(1, 3, 8, 8)
    label = torch.tensor([0, 1, 0])  # noise is of class 1
    attack = foolbox_attack("BoundaryAttack", {"steps": 20})
    model = foolbox.PyTorchModel(Module(function).eval(), bounds=(0, 1), device="cpu")
    with (
        pytest.warns(UserWarning, match="failed to draw sufficient"),
        pytest.raises(ValueError, match="init_attack failed for 1"),
    ):
        attack.theirs(model, x, foolbox.criteria.Misclassification(label), epsilons=9)
    aim = Misclassification(label, label[:, None])
    found = attack(watched(function), x, aim, L2Ball(9), Draws(0, ("a", "b", "c")))
    assert found.ever.tolist() == [True, False, True]
    assert torch.equal(found.pixels[1], x[1])


def test_a_network_without_gradient_is_refused(
    watched: Callable[..., Watched], images: Images
) -> None:
    victim = watched(lambda pixels: pixels.detach().mean(dim=(2, 3)))
    with pytest.raises(InvalidError, match="watched has no gradient with respect to its"):
        foolbox_attack("LinfPGD", {})(victim, images(4), WRONG, LinfBall(0.1), DRAWS)


def test_a_network_stays_as_it_was(curved: Watched, images: Images) -> None:
    """A module as a victim is not trained, and gradients are had where they are off, too."""
    before = [weight.clone() for weight in curved.layers.parameters()]
    with torch.no_grad():
        found = foolbox_attack("L2PGD", {"steps": 2})(curved, images(4), WRONG, L2Ball(1), DRAWS)
    assert found.steps.tolist() == [2] * 4
    assert not found.pixels.requires_grad
    assert not curved.layers.training
    assert all(map(torch.equal, before, curved.layers.parameters()))
