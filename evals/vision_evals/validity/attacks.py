"""Validity checks that run an attack at epsilon 0, without a target, and a second time."""

from __future__ import annotations

from dataclasses import replace

import torch

from vision_evals.attacks.criteria import TargetedMisclassification
from vision_evals.attacks.pgd import ProjectedGradientDescent
from vision_evals.measures.epsilons import value
from vision_evals.measures.targeted import target_of
from vision_evals.validity.batch import (
    attack_of,
    ball_of,
    build_validity_batch,
    informative_epsilon,
    run_attack,
)
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    attacking,
    failed,
    passed,
    rate,
    reading,
    targeting,
    undecided,
)
from vision_evals.validity.rows import budgets

IMAGES_AT_EPSILON_0, IMAGES_TO_REPEAT, IMAGES_AFRESH = 2, 4, 4
"""Images of a check that is the same for every image, and of one that runs a whole attack."""


def zero_changes_nothing(evidence: Evidence) -> CheckResult:
    """S1: equal pixels, bit for bit; and equal answers in the rows, where a sweep contains 0."""
    validity_batch = build_validity_batch(evidence).first(IMAGES_AT_EPSILON_0)
    victim, pixels = validity_batch.victim, validity_batch.pixels
    outcome = run_attack(validity_batch, attack_of(evidence), ball_of(evidence, 0.0))
    moved = outcome.attacked.pixels
    changed = int((moved != pixels).flatten(1).any(dim=1).sum())
    with torch.no_grad():
        before, after = (victim.logits(images).argmax(dim=1) for images in (pixels, moved))
    other = int((before != after).sum())
    text = f"of {len(moved)} images in a ball of 0, {changed} change and {other} get another answer"
    if changed or other:
        return failed(text)
    rows = evidence.rows
    swept = {"epsilon", "correct", "correct_clean"} <= set(rows)
    at = rows[rows["epsilon"].map(value) == 0] if swept else rows.head(0)
    if at.empty:
        return passed(text)
    differ = int((at["correct"].astype(bool) != at["correct_clean"].astype(bool)).sum())
    result = rate(differ, len(at), 0.005, "rows at epsilon 0 differ in being right from clean ones")
    return result._replace(evidence=f"{text}; {result.evidence}")


def larger_ball_breaks(evidence: Evidence) -> CheckResult:
    """S10: attack images afresh in the largest ball that the same attack broke in a smaller one.

    The rows cannot show this: in them, a larger ball begins with the points of a smaller one.
    """
    rows, sizes = evidence.rows, budgets(evidence.rows, "epsilon")
    smaller = rows[(rows["epsilon"] != sizes[-1]) & (rows["broken_by"] == 0)]
    validity_batch = build_validity_batch(evidence)
    broken = torch.tensor([i in {*smaller["image"]} for i in validity_batch.draws.ids])
    known = torch.nonzero(broken)[:IMAGES_AFRESH, 0].to(validity_batch.pixels.device)
    if not len(known):
        return undecided("the first attack breaks no image in a smaller ball")
    ball = ball_of(evidence, value(sizes[-1]))
    stand = int((~run_attack(validity_batch.of(known), attack_of(evidence), ball).broken).sum())
    text = "images stand when they are attacked afresh, and break in a smaller ball"
    return rate(stand, len(known), 0.01, text).adding(f"within {ball.epsilon:.3g}")


def targeted_no_stronger(evidence: Evidence) -> CheckResult:
    """S20: an image that reaches the target has left its label, which is the easier goal."""
    validity_batch = build_validity_batch(evidence)
    attack, ball = attack_of(evidence), ball_of(evidence, informative_epsilon(evidence)[0])
    index = target_of(evidence.classifier.classes, evidence.parameters.target)  # type: ignore[attr-defined]
    target = torch.full_like(validity_batch.criterion.label, index)
    targeted = run_attack(validity_batch, attack, ball, TargetedMisclassification(target)).broken
    if isinstance(attack, ProjectedGradientDescent):
        # any point on the path that leaves the label counts
        attack = replace(attack, early_stop=True)
    untargeted = run_attack(validity_batch, attack, ball).broken
    if not targeted.any():
        return undecided(f"no image leaves its label towards the target within {ball.epsilon:.3g}")
    missed = int((targeted & ~untargeted).sum())
    result = rate(missed, len(untargeted), 0.01, "images leave their label only with the target")
    return result.adding(
        f"{int(targeted.sum())} leave it towards the target and "
        f"{int(untargeted.sum())} without one, within {ball.epsilon:.3g}"
    )


def same_again(evidence: Evidence) -> CheckResult:
    """S26: predicts the images that the attack returns, in one batch and one by one."""
    validity_batch = build_validity_batch(evidence).first(IMAGES_TO_REPEAT)
    ball = ball_of(evidence, informative_epsilon(evidence)[0])
    outcome = run_attack(validity_batch, attack_of(evidence), ball)
    moved = ball.project(outcome.attacked.pixels, validity_batch.pixels)
    with torch.no_grad():
        together = validity_batch.victim.logits(moved).argmax(dim=1)
        alone = [validity_batch.victim.logits(image[None]).argmax(dim=1) for image in moved]
    sentence = _undone(evidence)
    if len(moved) < 2:
        return undecided(f"one image is already a batch of one; {sentence}")
    differ = int((together != torch.cat(alone)).sum())
    return rate(differ, len(moved), 0.005, "answers differ in a batch of one").adding(sentence)


def _undone(evidence: Evidence) -> str:
    rows = evidence.rows
    if {"correct_clean", "correct", "correct_8bit"} <= set(rows):
        won = rows[rows["correct_clean"].astype(bool) & ~rows["correct"].astype(bool)]
        undone = int(won["correct_8bit"].astype(bool).sum())
    elif {"success", "success_8bit"} <= set(rows):
        won = rows[rows["success"].astype(bool)]
        undone = int((~won["success_8bit"].astype(bool)).sum())
    else:
        return "the rows do not record what rounding undoes"
    return f"rounding to 8 bits undoes {undone} of {len(won)} adversarials in the rows"


CHECKS = (
    ValidityCheck(
        id="S1", name="epsilon 0 changes nothing",
        meaning="At epsilon 0 an attack changes nothing: a change comes from the evaluation.",
        source="the image itself is the only point; scripts that resize or round twice fail here",
        guards=attacking, run=zero_changes_nothing,
    ),
    ValidityCheck(
        id="S10", name="a larger ball breaks them afresh",
        meaning="A larger ball contains every point of a smaller one: an attack that fails there "
        "is too weak, or its gradient is masked.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        guards=reading("broken_at"), run=larger_ball_breaks,
    ),
    ValidityCheck(
        id="S20", name="targeted is no stronger than untargeted",
        meaning="An image that reaches a target has left its label: an attack without a target "
        "must succeed too.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        cost="thorough", severity="warn", guards=targeting, run=targeted_no_stronger,
    ),
    ValidityCheck(
        id="S26", name="the same when predicted again",
        meaning="An adversarial that another batch size undoes depends on rounding.",
        source="rounding of sums depends on the batch; scripts that score once never see it",
        cost="thorough", severity="warn", guards=attacking, run=same_again,
    ),
)  # fmt: skip
