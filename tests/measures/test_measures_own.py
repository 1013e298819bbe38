"""A measure of a user's own is shown, gated and guarded as a shipped one: its file says how."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.inner import last_run, warm
from vision_evals import log
from vision_evals.core.cache.describe import describe
from vision_evals.core.errors import UserError
from vision_evals.log import Verdict
from vision_evals.measures import lookup

pytest_plugins = ("pytester",)

MINE = """
import torch

from vision_evals import (
    BY_DECISION, Drawing, FastGradientSign, Headline, Measure, MetricSpec, Table, WorstFirst, each,
    fraction,
)


class Parameters(Table):
    sizes: tuple[str, ...] = ("0", "0.01")


def observe(probe, parameters):
    columns, noise = [], torch.ones_like(probe.pixels)
    right = lambda logits: (logits.argmax(1)[:, None] == probe.answers.accepted).any(1)
    for size in map(float, parameters.sizes):
        moved = (probe.pixels + size * probe.gradient.sign()).clamp(0, 1)
        columns.append({
            "correct_clean": right(probe.logits), "correct": right(probe.see(moved)),
            "correct_noise": right(probe.see((probe.pixels + size * noise).clamp(0, 1))),
            "outside": ((moved - probe.pixels).abs().flatten(1).amax(1) - size).clamp(min=0),
        })
    return {name: torch.stack([point[name] for point in columns], dim=1) for name in columns[0]}


def summarise(rows, parameters, subject):
    at = {size: rows[rows["epsilon"] == size] for size in parameters.sizes}
    return tuple(fraction("standing", at[size]["correct"], subject, at=size) for size in at)


MEASURE = Measure(
    name="push", about="Accuracy after one step.", parameters=Parameters, labels=True,
    gradient=True, axis=("epsilon", "sizes"), columns=("correct_clean", "correct", "correct_noise"),
    metrics=(MetricSpec(
        "standing", "Share that stands a push.", axis="sizes", interval="wilson", source="Me 2026",
        per_image=each("correct"), numeric_error=BY_DECISION, counts="image",
        headline=Headline(label="standing a push"),
    ),),
    worst_first=WorstFirst(word="weakest", meaning="The weakest are those that a push fells."),
    observe=observe, summarise=summarise, attack=lambda parameters: FastGradientSign(),
    badness=lambda rows: (~rows.set_index("image")["correct"]).groupby(level=0).sum(),
    explain=lambda probe, rows, parameters: tuple(
        Drawing(image, pixels, "pushed")
        for image, pixels in zip(probe.ids, probe.pixels, strict=True)
    ),
)
"""

NETS = """
import torch
from torch import nn

class Leaning(nn.Module):
    def __init__(self):
        super().__init__()
        self.lean = nn.Parameter(torch.zeros(3))
    def forward(self, pixels):
        return pixels.mean(dim=(2, 3)) * 255 + self.lean
"""

PROJECT = """
[tool.evals]
run_dir = "runs"
[tool.evals.models.net]
network = "leaning:Leaning"
classes = "classes.txt"
input = { resize = 8, crop = 8, mean = [0, 0, 0], std = [1, 1, 1] }
"""

SUITE = """
evals = 1
title = "Push"
[images]
photographs = "pictures"
[[check]]
name = "push"
measure = "mine:MEASURE"
images = "photographs"
expect = [{ metric = "standing", at = 0.01, at_least = { of = "baseline", minus = 0.05 } }]
[[check]]
name = "step"
measure = "fgsm"
images = "photographs"
epsilons = [0, 0.01]
expect = []
"""

STRENGTHS = 30
"""Pictures a color: that of strength s leads its own channel by s levels of 255."""


def furnish(folder: Path) -> None:
    files = {
        "pyproject.toml": PROJECT, "leaning.py": NETS, "mine.py": MINE, "push.toml": SUITE,
        "classes.txt": "red\ngreen\nblue\n",
    }  # fmt: skip
    for name, text in files.items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    for channel, name in enumerate(("red", "green", "blue")):
        (folder / "pictures" / name).mkdir(parents=True)
        for strength in range(1, STRENGTHS + 1):
            color = [100, 100, 100]
            color[channel] += strength
            picture = Image.new("RGB", (8, 8), tuple(color))
            picture.save(folder / "pictures" / name / f"{strength}.png")
    for name, lean in (("even", 0.0), ("near", 0.01), ("ten", 10.5)):
        save_file({"lean": torch.tensor([0.0, 0.0, lean])}, folder / f"{name}.safetensors")


@pytest.fixture(scope="module", autouse=True)
def _imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("warm")
    warm(folder, furnish, "push.toml", "--evals-model=net@even.safetensors")


def items(run: log.Run) -> tuple[log.Item, log.Item]:
    """Return the entries of the user's measure and of the shipped one."""
    mine, shipped = run.items
    assert (mine.measure, shipped.measure) == ("push", "fgsm")
    return mine, shipped


def test_it_has_a_card_a_gallery_guards_and_a_gate(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pytester.path)
    furnish(pytester.path)
    definition = MINE[MINE.index("class Parameters") :].split("\n")
    assert sum(map(bool, definition)) <= 40, "without imports and blank lines"
    imports = [line for line in MINE.split("\n") if "import" in line]
    assert imports == ["import torch", "from vision_evals import ("]
    pytester.runpytest("push.toml", "--evals-model=net@even.safetensors")
    before, shipped = items(last_run(pytester))
    assert before.verdict is Verdict.INCONCLUSIVE, "the gate wants a baseline"
    # a step moves the own channel down and the others up: 5.1 levels of 255 less of a lead
    stands = {metric.at: metric.value for metric in before.metrics}
    assert stands == {"0": 1.0, "0.01": pytest.approx((STRENGTHS - 5) / STRENGTHS)}
    robust = {m.at: m.value for m in shipped.metrics if m.name == "robust_accuracy"}
    assert stands == robust, "the shipped measure takes the same step"

    # guarded as the shipped one, but for what only its own columns can say
    checks = [{(v.id, v.name): v.outcome for v in item.validity} for item in (before, shipped)]
    assert checks[0].keys() == checks[1].keys()
    assert {"S1", "S2", "S6", "S13", "S24", "S25", "S28"} <= {number for number, _ in checks[0]}
    assert {n: o for (n, _), o in checks[0].items() if n in ("S2", "S25")} == {
        "S2": "passed",
        "S25": "passed",
    }

    name = last_run(pytester).id
    pytester.runpytest(
        "push.toml",
        "--evals-model=net@ten.safetensors",
        f"--evals-baseline=runs/{name}",
        "--evals-report=page.html",
    )
    run = last_run(pytester)
    after, _ = items(run)
    assert after.verdict is Verdict.FAILED
    assert after.judgements[0].gate is not None
    paired = after.judgements[0].gate.paired
    assert (paired.worse, paired.better) == (20, 5), "a lean of 10.5 levels to blue"
    assert after.comparison is not None
    assert after.comparison.flips is not None

    page = pytester.path.joinpath("page.html").read_text(encoding="utf-8")
    shown = (
        *("standing a push", "one-step robust accuracy", "Share that stands a push.", "Me 2026"),
        *("The weakest are those that a push fells.", "weakest for net"),
    )
    assert [text for text in shown if text not in page] == []
    assert {picture.sample for picture in after.pictures} == {"worst", "fair"}


def on_half_precision(folder: Path, changed: int) -> None:
    """Change a run's log as if its forwards were in bf16, on which some of 1,000 decisions changed.

    Args:
        folder: of the run.
        changed: number of those decisions.
    """
    file = folder / "run.json"
    run = json.loads(file.read_text(encoding="utf-8"))
    run["settings"]["precision"] = "bf16"
    for path in (path for images in run["passes"] for path in images["fast_paths"]):
        path |= {"precision": "bf16", "calibrated": 256, "answers": 100_000, "rechecked": 1000}
        path |= {"logit_error": 0.02, "changed": changed}
    file.write_text(json.dumps(run), encoding="utf-8")


@pytest.mark.parametrize(
    ("changed", "bound", "verdict", "reason"),
    [
        (0, "BY_DECISION", Verdict.PASSED, "(0 of 1,000 decisions changed, logits by up to 0.02)"),
        (49, "BY_DECISION", Verdict.PASSED, "(49 of 1,000 decisions changed, "),
        (50, "BY_DECISION", Verdict.INVALID, "move standing by 0.05, and the gate allows 0.05"),
        (0, "None", Verdict.INVALID, "no error bound of standing is known"),
    ],
)
def test_its_gate_compares_paths_within_its_numeric_error(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    changed: int,
    bound: str,
    verdict: Verdict,
    reason: str,
) -> None:
    monkeypatch.chdir(pytester.path)
    furnish(pytester.path)
    mine = MINE.replace("numeric_error=BY_DECISION", f"numeric_error={bound}")
    pytester.path.joinpath("mine.py").write_text(mine, encoding="utf-8")
    pytester.runpytest("push.toml", "--evals-model=net@even.safetensors")
    first = last_run(pytester)
    on_half_precision(pytester.path / "runs" / first.id, changed)
    pytester.runpytest(
        "push.toml", "--evals-model=net@near.safetensors", f"--evals-baseline=runs/{first.id}"
    )
    item, _ = items(last_run(pytester))
    (judgement,) = item.judgements
    assert judgement.verdict is verdict
    device = first.settings.device.partition(":")[0]
    path = f"bf16 on {device} (contiguous)"
    assert f"on different paths, forwards: {path}" in judgement.sentence
    assert reason in judgement.sentence
    assert (judgement.gate is None) == (verdict is Verdict.INVALID)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the file of a module of its own name, which is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "misspelt.py"
    sys.modules.pop("misspelt", None)


def test_what_it_declares_can_be_told_from_outside(module: Path) -> None:
    module.write_text(MINE, encoding="utf-8")
    assert "standing a push" in describe(lookup("misspelt:MEASURE", module.parent)), "so it is kept"


def test_a_column_that_no_check_knows_is_refused(module: Path) -> None:
    module.write_text(MINE.replace('"correct_noise"),', '"corect_noise"),'), encoding="utf-8")
    with pytest.raises(UserError, match='"corect_noise", which no validity check reads; did you'):
        lookup("misspelt:MEASURE", module.parent)
