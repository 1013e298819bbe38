"""What the checks of a classifier say of the networks that come with packages."""

from __future__ import annotations

import pytest
import torch

from vision_evals.engine import state_guard
from vision_evals.validity import (
    gradients,
    hidden,
    known,
    labels,
    numbering,
    preprocessing,
    structure,
)
from vision_evals.validity.check import Evidence
from vision_evals.validity.examine import Examiner

CHECKS = (
    *structure.CHECKS,
    *preprocessing.CHECKS,
    *labels.CHECKS,
    *numbering.CHECKS,
    *(check for check in gradients.CHECKS if check.run is not hidden.nothing_hidden),
    *known.CHECKS,
)
UNCLEAR = {"input as published", "clean accuracy as published", "no better order of labels"}
"""Their cards say nothing, no accuracy is published with them, and the photographs were chosen."""


@pytest.mark.slow
def test_all_that_can_be_told_holds_and_nothing_is_left_behind(packaged: Evidence) -> None:
    forwards: list[int] = []
    network, changes = packaged.classifier.network, state_guard.Changes()
    dice = torch.get_rng_state()
    hook = network.register_forward_pre_hook(lambda _, given: forwards.append(len(given[0])))
    with state_guard.watch({"it": network}, changes):
        cheap = Examiner(CHECKS).examine(packaged, "cheap")
        assert torch.equal(torch.get_rng_state(), dice)
    hook.remove()
    assert changes.by_alias == {}
    assert sum(forwards) <= 200
    everything = (
        *cheap,
        *Examiner((gradients.CHECKS[-1], *known.CHECKS)).examine(packaged, "thorough"),
    )
    wrong = {v.name: v.evidence for v in everything if v.outcome == "failed"}
    assert wrong == {}
    assert {v.name for v in everything if v.outcome == "undecided"} == UNCLEAR
    assert {v.name for v in everything} == {check.name for check in CHECKS}


def test_names_are_unique() -> None:
    """An answer is kept by the name of its check."""
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))
