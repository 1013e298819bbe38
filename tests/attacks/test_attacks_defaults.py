"""A default stands once: an attack of a suite and the same attack of a script are equal."""

from __future__ import annotations

from vision_evals.attacks.apgd import AutoPGD
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.measures.attack_tables import Apgd, Pgd, attack_of
from vision_evals.measures.targeted import Parameters


def test_a_suites_attack_is_the_attack() -> None:
    assert attack_of(Pgd(name="pgd")) == ProjectedGradientDescent()
    assert attack_of(Apgd(name="apgd")) == AutoPGD()


def test_projected_gradient_descent_takes_forty_steps() -> None:
    assert ProjectedGradientDescent().steps == Pgd(name="pgd").steps == 40


def test_a_target_is_sought_in_twenty() -> None:
    assert (Parameters(target="airliner").steps, Parameters(target="airliner").until) == (20, 0.9)
