"""Masked networks: whatever their robust accuracy is, the verdict is INVALID and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.inner import warm
from tests.project import CLASSES, card, shades, write
from vision_evals import log
from vision_evals.log import Item, Verdict

pytest_plugins = ("pytester",)

NETS = """
import torch
from torch import nn

def field():
    drawn = torch.randn(3, 3 * 16 * 16, generator=torch.Generator().manual_seed(0))
    colours = torch.eye(3).repeat_interleave(256, dim=1) * 0.05
    return colours + 0.002 * drawn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(field())
    def forward(self, pixels):
        return self.logits(pixels)
    def logits(self, pixels):
        return pixels.flatten(1) @ self.weight.T

class Rounded(Plain):
    def forward(self, pixels):
        return self.logits((pixels * 8).round() / 8)

class Saturated(Plain):
    def forward(self, pixels):
        return (self.logits(pixels) * 1e4).softmax(dim=1)

class Detached(Plain):
    def forward(self, pixels):
        return self.logits(pixels.detach())

class Dice(Plain):
    def forward(self, pixels):
        return self.logits(pixels) + 3 * torch.randn(len(pixels), 3, device=pixels.device)
"""

SUITE = """
evals = 1
title = "Masked"
[images]
photographs = "pictures"
[[check]]
name = "one-step"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/255", "8/255", "32/255", "64/255"]
expect = [{ metric = "robust_accuracy", at = "1/255", at_least = 0.5 }]
[[check]]
name = "worst"
measure = "adversarial"
images = "photographs"
epsilons = [0, "1/255", "8/255", "32/255", "64/255"]
attacks = [{ name = "pgd", steps = 20 }]
expect = [{ metric = "robust_accuracy", at = "1/255", at_least = 0.5 }]
"""


def furnish(root: Path) -> None:
    """Write five networks and 24 pictures that all of them get right."""
    networks = ("Plain", "Rounded", "Saturated", "Detached", "Dice")
    cards = "".join(card(name.lower(), f"masked_nets:{name}") for name in networks)
    files = {"pyproject.toml": cards, "classes.txt": CLASSES, "masked_nets.py": NETS}
    write(root, files | {"masked.toml": SUITE})
    shades(root / "pictures", range(50, 58), 16)


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    arguments = ("masked.toml", "--evals-model=plain", "--evals-validity=thorough")
    assert warm(folder, furnish, *arguments) == 0


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    furnish(pytester.path)
    return pytester


def judged(project: pytest.Pytester, network: str) -> tuple[Item, ...]:
    project.runpytest("masked.toml", f"--evals-model={network}", "--evals-pictures=none")
    return log.read(Path(project.path) / "runs" / "latest").items


def test_an_honest_network_is_judged(project: pytest.Pytester) -> None:
    step, worst = judged(project, "plain")
    for item in (step, worst):
        assert item.verdict is Verdict.PASSED, item.sentence
        fallen = [v.name for v in item.validity if v.invalidates]
        assert fallen == []
        ids = {v.id for v in item.validity}
        assert {"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S13", "S25", "S28"} <= ids
    assert {"S9", "S10", "S17"} <= {v.id for v in worst.validity}


@pytest.mark.parametrize(
    ("network", "fallen"),
    [
        ("rounded", {"S6", "S7", "S28"}),
        ("saturated", {"S5"}),
        ("dice", {"S4", "S28"}),
    ],
)
def test_a_masked_network_is_invalid_and_the_sentence_names_what_fell(
    project: pytest.Pytester, network: str, fallen: set[str]
) -> None:
    for item in judged(project, network):
        assert item.verdict is Verdict.INVALID
        broken = [v for v in item.validity if v.invalidates]
        assert fallen <= {v.id for v in broken}
        assert item.sentence.startswith("INVALID: ")
        assert all(f"{v.name}: {v.evidence}" in item.sentence for v in broken)
        assert not item.judgements, "such a number neither passes nor fails a gate"


def test_a_network_that_cuts_the_graph_is_invalid(project: pytest.Pytester) -> None:
    for item in judged(project, "detached"):
        assert item.verdict is Verdict.INVALID
        assert "detached has no gradient with respect to its pixels" in item.sentence


def test_thorough_checks_run_when_somebody_asks(project: pytest.Pytester) -> None:
    project.runpytest(
        "masked.toml", "--evals-model=plain", "--evals-pictures=none", "--evals-validity=thorough"
    )
    item = log.read(Path(project.path) / "runs" / "latest").items[1]
    found = {v.id: v for v in item.validity if v.cost == "thorough"}
    assert {"S11", "S12", "S15", "S16", "S18", "S21"} <= set(found)
    assert not [v for v in found.values() if v.invalidates]


def test_a_check_may_ask_for_thorough_ones_itself(project: pytest.Pytester) -> None:
    suite = project.path / "masked.toml"
    suite.write_text(SUITE.replace('name = "worst"', 'name = "worst"\nvalidity = "thorough"'))
    step, worst = judged(project, "plain")
    assert not [v for v in step.validity if v.cost == "thorough"]
    assert [v for v in worst.validity if v.cost == "thorough"]
