"""A machine with a GPU and one without give the same verdicts, and go on from each other's files.

Where there is no GPU, a stand-in for CUDA takes its place, if it is beside the repository.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.forked import forked_python
from vision_evals import log
from vision_evals.cli import main
from vision_evals.log import Verdict

STANDIN = Path(__file__).parents[2] / "shared" / "gpu" / "standin" / "run"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not torch.cuda.is_available() and not STANDIN.is_file(),
        reason=f"no CUDA device here, and no stand-in for one at {STANDIN}",
    ),
]

NETS = '''
import torch
from torch import nn

class Rule(nn.Module):
    """No parameter and no buffer."""
    def forward(self, x): return 10 * x.mean(dim=(2, 3))

class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mix", 10 * torch.eye(3))
    def forward(self, x): return x.mean(dim=(2, 3)) @ self.mix

class Integers(Buffers):
    """Its first parameter holds integers."""
    def __init__(self):
        super().__init__()
        self.order = nn.Parameter(torch.tensor([0, 1, 2]), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(3))
    def forward(self, x): return super().forward(x)[:, self.order] * self.scale

class Elsewhere(Buffers):
    """Its first parameter stays on the CPU."""
    def __init__(self):
        super().__init__()
        self.kept = nn.Parameter(torch.ones(3))
        self.scale = nn.Parameter(torch.ones(3))
    def _apply(self, move, recurse=True):
        kept = self._parameters.pop("kept")
        super()._apply(move, recurse)
        self._parameters = {"kept": kept, **self._parameters}
        return self
    def forward(self, x): return super().forward(x) * self.scale

class Late(nn.Module):
    """Makes its parameter when it first sees pixels, where they are."""
    def forward(self, x):
        if not self._parameters:
            self.mix = nn.Parameter(10 * torch.eye(3, device=x.device), requires_grad=False)
        return x.mean(dim=(2, 3)) @ self.mix

class Made(nn.Module):
    """Is put on the GPU by its own author, where there is one."""
    def __init__(self):
        super().__init__()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.body = nn.Conv2d(3, 3, 1, bias=False)
        self.to(self.device)
        with torch.no_grad():
            self.body.weight.copy_(10 * torch.eye(3)[:, :, None, None])
    def forward(self, x): return self.body(x).flatten(2).mean(dim=2)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 3, 1)
    def forward(self, x):
        return self.head(self.body(x)).mean(dim=(2, 3)) + 10 * x.mean(dim=(2, 3))
'''

WITHOUT_CHECKPOINT = ("Rule", "Buffers", "Integers", "Elsewhere", "Late", "Made")
NETWORKS = (*WITHOUT_CHECKPOINT, "Net")

N = 132

CARD = """
[tool.evals.models.{name}]
network = "machine_nets:{name}"
classes = "classes.txt"
input = {{ resize = 16, crop = 16, mean = [0.1, 0.1, 0.1], std = [0.5, 0.5, 0.5] }}
"""

SUITE = f"""
evals = 1
title = "Machines"
models = {json.dumps(NETWORKS)}
[images]
photographs = "pictures"
[[check]]
name = "colours"
measure = "accuracy"
images = "photographs"
expect = [
  {{ metric = "top1_accuracy", at_least = 0.5 }},
  {{ metric = "nll", at_most = 0.01, for = ["Net"] }},
]
[[check]]
name = "attack"
measure = "fgsm"
images = "photographs"
epsilons = [0, "1/255", "16/255"]
expect = [{{ metric = "robust_accuracy", at = "16/255", at_most = 0.9 }}]
[[check]]
name = "gate"
measure = "accuracy"
images = "photographs"
expect = [
  {{ metric = "top1_accuracy", at_least = {{ of = "baseline", minus = 0.3 }}, for = ["Net"] }},
]
"""

PROCESS = """
import json, sys
import pytest
for arguments in json.loads(sys.argv[1]):
    pytest.main(["-q", "-p", "no:cacheprovider", "machines.toml", *arguments])
"""

SAVE = """
import torch
from machine_nets import Net
net = Net().cuda()
for file, lean in (("net.pt", 0.0), ("other.pt", 0.01)):
    net.head.bias.data += lean
    torch.save(net.state_dict(), file)
"""

CPU, CUDA = "cpu", "cuda"


def python(device: str, folder: Path, code: str, *arguments: str) -> None:
    """Run Python on a machine without a GPU, or on one with."""
    command = [sys.executable, "-c", code, *arguments]
    environment = dict(os.environ)
    if device == CPU:
        command[0] = forked_python()
        environment["CUDA_VISIBLE_DEVICES"] = ""
        environment.pop("LD_PRELOAD", None)
    elif not torch.cuda.is_available():
        command = ["bash", str(STANDIN), *command]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def judge(device: str, folder: Path, runs: Mapping[str, Sequence[str]], code: str = "") -> None:
    """Run the suite once a folder in one process, on the device that it chooses by itself."""
    told = [[*options, f"--evals-run-dir={name}"] for name, options in runs.items()]
    python(device, folder, code + PROCESS, json.dumps(told))


def furnish(folder: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\n",
        "pyproject.toml": "[tool.evals]\nbatch_size = 44\n"
        + "".join(CARD.format(name=name) for name in NETWORKS),
        "machine_nets.py": NETS,
        "classes.txt": "red\ngreen\nblue\n",
        "machines.toml": SUITE,
    }
    for name, text in files.items():
        folder.joinpath(name).write_text(text, encoding="utf-8")
    random = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green", "blue")):
        (folder / "pictures" / name).mkdir(parents=True)
        for index in range(N // 3):
            pixels = random.integers(40, 160, (16, 16, 3), dtype=np.uint8)
            pixels[..., channel] += np.uint8(10 + index)
            file = folder / "pictures" / name / f"{index}.jpg"
            Image.fromarray(pixels).save(file, quality=95)


WHOLE = ("--evals-model=Net@net.pt", *(f"--evals-model={n}" for n in WITHOUT_CHECKPOINT))


def against(device: str, baseline: str) -> dict[str, Sequence[str]]:
    options = "--evals-model=Net@other.pt", f"--evals-baseline={baseline}/latest"
    return {f"{device}-against-{baseline}": options}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project judged on both machines with one cache: whole, in two parts, and again."""
    folder = tmp_path_factory.mktemp("machines")
    furnish(folder)
    for device in (CUDA, CPU):  # the checkpoints are those of the machine with a GPU
        parts = {f"{device}{k}": (*WHOLE, f"--evals-shard={k}/2") for k in (1, 2)}
        runs = {device: WHOLE, **parts, **against(device, CUDA)}
        judge(device, folder, runs, SAVE if device == CUDA else "")
    for device in (CUDA, CPU):
        judge(device, folder, {f"{device}-again": WHOLE, **against(device, CPU)})
    return folder


def read(folder: Path) -> log.Run:
    return log.read(folder / "latest")


def verdicts(run: log.Run) -> dict[str, object]:
    return {item.id: (item.verdict, [one.verdict for one in item.judgements]) for item in run.items}


def rows(folder: Path) -> dict[str, pd.DataFrame]:
    return {
        item.id: pd.read_parquet(folder / "latest" / item.table)
        for item in read(folder).items
        if item.table is not None
    }


def test_verdicts_and_answers_are_equal(project: Path) -> None:
    cpu, cuda = read(project / CPU), read(project / CUDA)
    assert (cpu.settings.device, cuda.settings.device) == ("cpu", "cuda:0")
    assert verdicts(cpu) == verdicts(cuda)
    # a suite of networks that all pass, or of which none was judged, would show nothing
    found = {item.id.partition("::")[2]: item.verdict for item in cpu.items}
    assert {found[f"colours[{name}]"] for name in NETWORKS} == {
        *(Verdict.PASSED, Verdict.FAILED, Verdict.INVALID)
    }
    assert found["colours[Net]"] is Verdict.FAILED
    assert found["attack[Net]"] is Verdict.PASSED
    assert [name for name in NETWORKS if found[f"colours[{name}]"] is Verdict.INVALID] == ["Late"]
    one, other = rows(project / CPU), rows(project / CUDA)
    # "Late" has its parameter since it was loaded: it has rows, and no verdict but INVALID
    assert one.keys() == other.keys() == {item.id for item in cpu.items}
    for key, table in one.items():
        numbers = table.select_dtypes("number").columns
        assert np.allclose(table[numbers], other[key][numbers], atol=1e-4, equal_nan=True), key
        assert len(table) == len(other[key])


def test_a_network_that_makes_its_parameters_late_is_told_on_both(project: Path) -> None:
    for device in (CPU, CUDA):
        (item,) = (i for i in read(project / device).items if "colours[Late]" in i.id)
        assert item.sentence.endswith("state restored: changed: mix")


def test_each_machine_finds_its_own_rows_in_one_cache(project: Path) -> None:
    for device in (CPU, CUDA):
        first, again = read(project / device), read(project / f"{device}-again")
        assert verdicts(again) == verdicts(first)
        assert {i.cached for i in first.items} == {0}
        assert {i.cached for i in again.items if i.classifier != "Late"} == {N}
        assert [i.metrics for i in again.items] == [i.metrics for i in first.items]


def test_a_baseline_of_the_other_machine_gates_the_same(project: Path) -> None:
    found = {
        (device, baseline): verdicts(read(project / f"{device}-against-{baseline}"))
        for device in (CPU, CUDA)
        for baseline in (CPU, CUDA)
    }
    assert all(one == found[CPU, CPU] for one in found.values()), found
    items = read(project / f"{CPU}-against-{CPU}").items
    (item,) = (item for item in items if item.id == "machines.toml::gate[Net]")
    assert item.verdict is Verdict.PASSED


@pytest.mark.parametrize("devices", [(CPU, CUDA), (CUDA, CPU)])
def test_parts_of_both_machines_are_one_run(
    project: Path, devices: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    parts = [f"{device}{k}/latest" for k, device in enumerate(devices, 1)]
    main(["merge", *parts, "--evals-run-dir=merged"])
    merged = read(project / "merged")
    assert verdicts(merged) == verdicts(read(project / CPU))
    assert set(merged.settings.device.split(", ")) == {"cpu", "cuda:0"}
