"""A series of checkpoints, as a person judges it: real pytest runs on a network of one weight."""

from __future__ import annotations

import importlib

import pytest
import torch
from torchvision import models

from tests.inner import last_run
from tests.project import CLASSES, card, pictures, suite, write
from vision_evals import log
from vision_evals.cli import main
from vision_evals.log import Verdict

pytest_plugins = ("pytester",)

NETS = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
    def forward(self, pixels):
        return 10 * pixels.mean(dim=(2, 3)) * self.scale
"""
PYPROJECT = '[tool.evals]\nrun_dir = "runs"\n' + card("net", "series_nets:Net", side=8)
SUITE = suite("Colours", "EXPECT", '"net"')
RIGHT = {"metric": "top1_accuracy", "at_least": 0.9}
SCALES = {"epoch_1": (-1, -1, -1), "epoch_2": (1, -1, -1), "epoch_10": (1, 1, 1)}


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """Import what inner runs need: those forget every module that they import themselves."""
    for name in (
        "vision_evals.engine.session",
        "vision_evals.report",
        "vision_evals.models.matching",
        "torch._dynamo",
    ):
        importlib.import_module(name)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's repository with the checkpoints of three epochs, of which the last is right."""
    files = {"pyproject.toml": PYPROJECT, "series_nets.py": NETS, "classes.txt": CLASSES}
    write(pytester.path, files)
    (pytester.path / "ckpt").mkdir()
    for name, scale in SCALES.items():
        torch.save({"scale": torch.tensor(scale).float()}, pytester.path / f"ckpt/{name}.pth")
    pictures(pytester.path / "pictures", 2, (8, 8))
    return pytester


def run(project: pytest.Pytester, *arguments: str, expect: str = "") -> pytest.RunResult:
    told = expect or '{ metric = "top1_accuracy", at_least = 0.9 }'
    (project.path / "colors.toml").write_text(SUITE.replace("EXPECT", told))
    return project.runpytest("colors.toml", *arguments)


def verdicts(project: pytest.Pytester) -> dict[str, Verdict]:
    return {item.classifier: item.verdict for item in last_run(project).items}


@pytest.mark.usefixtures("whole_run")
def test_each_checkpoint_is_judged_in_order(project: pytest.Pytester) -> None:
    result = run(project, "--evals-model=net@ckpt/epoch_*.pth")
    result.assert_outcomes(passed=1, failed=2)
    done = last_run(project)
    assert [item.id for item in done.items] == [
        f"colors.toml::colors[epoch_{n}]" for n in (1, 2, 10)
    ]
    assert [(c.alias, c.series, c.place) for c in done.classifiers] == [
        (f"epoch_{n}", "net", float(n)) for n in (1, 2, 10)
    ]
    top1 = [next(m for m in item.metrics if m.name == "top1_accuracy") for item in done.items]
    assert [metric.value for metric in top1] == pytest.approx([0, 1 / 3, 1])
    html = (project.path / "runs" / "latest" / "report.html").read_text()
    assert "Over the series" in html


def test_the_only_network_of_a_baseline_is_the_one_meant(
    project: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = '{ metric = "top1_accuracy", at_least = { of = "baseline", minus = 0.5 } }'
    run(project, "--evals-model=net@ckpt/epoch_2.pth", "--evals-run-dir=first", expect=gate)
    series = "--evals-model=net@ckpt/epoch_*.pth"
    run(project, series, "--evals-baseline=first/latest", "--evals-same=skip", expect=gate)
    items = {item.classifier: item for item in last_run(project).items}
    assert all(item.comparison and item.comparison.alias == "net" for item in items.values())
    before, now = (rate(items["epoch_2"]), rate(items["epoch_10"]))
    assert (before, now) == pytest.approx((1 / 3, 1))
    assert items["epoch_10"].comparison is not None
    (change, *_) = items["epoch_10"].comparison.changes
    assert (change.before, change.now) == pytest.approx((before, now))
    assert {alias: item.verdict for alias, item in items.items()} == {
        "epoch_1": Verdict.INCONCLUSIVE,
        "epoch_2": Verdict.NOT_APPLICABLE,  # the very same network
        "epoch_10": Verdict.PASSED,
    }
    capsys.readouterr()
    assert main(["compare", "first/latest", "runs/latest:epoch_10"]) == 0
    shown = capsys.readouterr().out
    assert "0 of 6 images turned wrong" in shown
    assert "epoch_1," not in shown
    run(
        project, "--evals-model=a=net@ckpt/epoch_2.pth", "--evals-baseline=runs/latest", expect=gate
    )
    (item,) = last_run(project).items
    assert 'judged no "a"' in item.sentence  # three of them: which one, nobody knows


def rate(item: log.Item) -> float | None:
    """Return the accuracy of an entry."""
    return next(metric.value for metric in item.metrics if metric.name == "top1_accuracy")


def test_from_the_pyproject(project: pytest.Pytester) -> None:
    told = PYPROJECT.replace("[tool.evals]", '[tool.evals]\nmodel = ["mine=net@ckpt/epoch_*.pth"]')
    (project.path / "pyproject.toml").write_text(told)
    run(project)
    assert list(verdicts(project)) == ["mine-epoch_1", "mine-epoch_2", "mine-epoch_10"]


def test_expectations_name_a_member_or_the_series(project: pytest.Pytester) -> None:
    """``for`` with the series' name is for all of it; ``of`` names one of its checkpoints."""
    run(
        project,
        "--evals-model=net@ckpt/epoch_*.pth",
        expect='{ metric = "top1_accuracy", at_least = { of = "epoch_2" }, for = ["net"] },'
        '{ metric = "top1_accuracy", at_least = 0.9, for = ["epoch_1"] }',
    )
    items = {item.classifier: item for item in last_run(project).items}
    assert {alias: len(item.judgements) for alias, item in items.items()} == {
        "epoch_1": 2,
        "epoch_2": 0,
        "epoch_10": 1,
    }
    assert [item.verdict for item in items.values()] == ["failed", "recorded", "passed"]


@pytest.mark.parametrize(
    ("arguments", "expect", "says"),
    [
        (["mine=net@ckpt/epoch_*.pth"], '{ metric = "top1_accuracy", at_least = { of = "mine" } }',
         "*it is a series: name one of its checkpoints, such as mine-epoch_10*"),
        (["net@ckpt/step_*.pth"], "", "*the folder *ckpt holds no file step_*.pth*"),
        (["net@ckpt/epoch_*.pth", "a=net@ckpt/*.pth", "a=net@ckpt/*1*.pth"], "",
         "*two series of checkpoints are called \"a\"*"),
        (["net@ckpt/*", "net@ckpt/epoch_2.pth", "epoch_2=net"], "",
         "*two classifiers are called \"epoch_2\"*"),
    ],
)  # fmt: skip
def test_mistakes(project: pytest.Pytester, arguments: list[str], expect: str, says: str) -> None:
    result = run(project, *(f"--evals-model={text}" for text in arguments), expect=expect)
    assert result.ret != 0
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    (result.stderr if "ERROR" in result.stderr.str() else result.stdout).fnmatch_lines([says])


def test_a_checkpoint_of_another_network(project: pytest.Pytester) -> None:
    torch.save(models.squeezenet1_1().state_dict(), project.path / "ckpt" / "epoch_3.pth")
    result = run(project, "--evals-model=net@ckpt/epoch_*.pth")
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "epoch_3: file epoch_3.pth for series_nets:Net: weights of another network: *; "
            f"of {project.path / 'ckpt' / 'epoch_3.pth'}: it fits squeezenet1_1 *; "
            'the series "net" is judged as series_nets:Net, another network'
        ]
    )
    card = next(c for c in last_run(project).classifiers if c.alias == "epoch_3")
    assert (card.series, card.place) == ("net", 3.0)
    assert "squeezenet1_1" in str(card.unavailable)
