"""Sweep and PGD beside foolbox's, taking turns on the same pixels."""

# ruff: noqa: T201 - of a script, and a table is what it is for
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from subjects import classifier_of, fast_path_of, fed, probe_of, theirs

if TYPE_CHECKING:
    import torch

    from vision_evals.models.classifier import Classifier
    from vision_evals.models.fast_path.fast_path import FastPath

STEPS, SHARE = 20, 0.1
"""Of PGD: steps, and the length of one as a share of epsilon."""


@dataclass(frozen=True, slots=True)
class Attacked:
    """A network under attack."""

    name: str
    classifier: Classifier
    network: torch.nn.Module
    """As foolbox gets it."""
    fast_path: FastPath
    x: torch.Tensor
    label: torch.Tensor
    epsilons: list[float]


def attacks(name: str, folder: Path, asked: argparse.Namespace) -> None:
    """Print sweep and PGD beside foolbox's."""
    import torch
    from peers import as_loaded, flipping_epsilons

    from vision_evals.models.device import numerics

    classifier = classifier_of(name, asked.device)
    x, label = fed(classifier, folder, asked.batch, asked.device)
    with numerics(torch.device(asked.device), asked.precision):
        candidates = [2.0**-k for k in range(20, 1, -1)]
        epsilons = flipping_epsilons(classifier.logits, x, label, candidates)
        fast_path = fast_path_of(classifier, asked.planned, asked.precision, asked.kernels)
        one = Attacked(
            name, classifier, as_loaded(theirs(classifier)), fast_path, x, label, epsilons
        )
        while fast_path.fast and fast_path.calibrating:
            sweep(one)
            fast_path.count_images(len(x))
        print(_swept(one, asked.repeats), flush=True)
        print(_climbed(one, max(1, asked.repeats // 2)), flush=True)


def sweep(one: Attacked) -> torch.Tensor:
    """Return (e, n) who is still right: one gradient, and a forward for each epsilon."""
    from vision_evals.attacks.signs import signed_step

    probe = probe_of(one.classifier, one.x, one.label, one.fast_path)
    assert probe.answers is not None
    right, signs = probe.answers.accepted, probe.gradient.sign().contiguous()

    def stepped(epsilon: float, rows: Any) -> torch.Tensor:
        return signed_step(one.x[rows], signs[rows], epsilon)

    logits = probe.looks([partial(stepped, epsilon) for epsilon in one.epsilons], right)
    return (logits.argmax(dim=2, keepdim=True) == right).any(dim=2)


def _swept(one: Attacked, repeats: int) -> str:
    """Return the row of the sweep, the whole measure beside it."""
    from peers import foolbox_sweep

    from vision_evals.measures import fgsm

    written = fgsm.Parameters(epsilons=tuple(one.epsilons))
    turns, found = in_turns(
        [
            lambda: foolbox_sweep(one.network, one.x, one.label, one.epsilons),
            lambda: sweep(one),
            lambda: fgsm.observe(
                probe_of(one.classifier, one.x, one.label, one.fast_path), written
            ),
        ],
        repeats,
    )
    told, stood = one.fast_path.record(), found[0].float().mean(dim=1)
    changed = float((found[0].cpu() != found[1].cpu()).float().mean())
    seconds = statistics.median(turn[1] for turn in turns)
    return (
        f"| FGSM sweep, 8 epsilons | {one.name} | {len(one.x) / seconds:.1f} images/s | foolbox: "
        f"{ratio(turns, 1)} times; with rounding and noise beside it {ratio(turns, 2)} | "
        f"{changed:.2%} of {found[0].numel():,} verdicts ({1 - stood.max():.0%} to "
        f"{1 - stood.min():.0%} flipped) | {told.precision}, folded {told.folded}, compiled "
        f"{told.compiled}, repeated {told.repeated} of {told.answers}, bound {told.bound}, "
        f"refused: {told.refused} |"
    )


def _climbed(one: Attacked, repeats: int) -> str:
    """Return the row of PGD."""
    from peers import foolbox_pgd

    from vision_evals.attacks.attack import Draws
    from vision_evals.attacks.balls import LinfBall
    from vision_evals.attacks.criteria import Misclassification
    from vision_evals.attacks.pgd import ProjectedGradientDescent

    x, label, middle = one.x, one.label, one.epsilons[len(one.epsilons) // 2]
    criterion, draws = Misclassification(label, label[:, None]), Draws(0, ("",) * len(x))
    pgd = ProjectedGradientDescent(STEPS, SHARE, random_start=False)
    turns, found = in_turns(
        [
            lambda: foolbox_pgd(one.network, x, label, middle, steps=STEPS, rel_stepsize=SHARE),
            lambda: ~pgd(one.classifier, x, criterion, LinfBall(middle), draws).ever,
        ],
        repeats,
    )
    theirs_broken, ours_broken = (int((~stood).sum()) for stood in found)
    seconds = statistics.median(turn[1] for turn in turns)
    return (
        f"| PGD, {STEPS} steps | {one.name} | {len(x) / seconds:.1f} images/s | foolbox: "
        f"{ratio(turns, 1)} times | broken {theirs_broken} by foolbox, {ours_broken} by us, of "
        f"{len(x)} | early stop |"
    )


def in_turns(
    works: Sequence[Callable[[], Any]], repeats: int
) -> tuple[list[list[float]], list[Any]]:
    """Run works in turns, each once to warm up; return seconds by turn, and the last results."""
    import torch

    def timed(work: Callable[[], Any]) -> tuple[float, Any]:
        started = time.perf_counter()
        found = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - started, found

    found = [work() for work in works]
    turns = []
    for _ in range(repeats):
        pairs = [timed(work) for work in works]
        turns.append([pair[0] for pair in pairs])
        found = [pair[1] for pair in pairs]
    return turns, found


def ratio(turns: Sequence[Sequence[float]], mine: int) -> str:
    """Return the median and the range of the peer's seconds by ours."""
    ratios = [turn[0] / turn[mine] for turn in turns]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
