"""The wheel outside the checkout, and a run that is killed: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.project import CLASSES, card, pictures, write
from vision_evals import log

ROOT = Path(__file__).parent.parent

SUITE = """
evals = 1
title = "Own"
models = ["efficientnet_lite0"]
[[check]]
name = "own"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.8 }]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def process(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("whole_run")
def test_the_wheel_judges_a_users_suite(site: Path, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(SUITE, encoding="utf-8")
    done = process(site, tmp_path, "-m", "pytest", "own.toml", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    run = log.read(tmp_path / "runs" / "latest")
    assert run.items[0].metrics[0].value == 17 / 20
    assert (tmp_path / "runs" / "latest" / "report.html").stat().st_size > 50_000


@pytest.mark.slow
def test_the_wheel_brings_the_shipped_suites(site: Path, tmp_path: Path) -> None:
    code = "from vision_evals.cli import main; main(['suites'])"
    printed = Path(process(site, tmp_path, "-c", code).stdout.strip())
    assert printed.is_relative_to(site)
    assert (printed / "accuracy.toml").read_bytes() == (ROOT / "suites/accuracy.toml").read_bytes()


@pytest.mark.slow
def test_the_wheel_writes_a_first_suite(site: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "pictures", 2, (8, 8))
    words = "['init', '--network=torchvision:resnet18', '--images=pictures', '--classes=folders']"
    done = process(site, tmp_path, "-c", f"from vision_evals.cli import main; main({words})")
    assert (tmp_path / "suites" / "gate.toml").is_file(), done.stderr


NETS = """
import time
from torch import nn
class Slow(nn.Module):
    def forward(self, pixels):
        time.sleep(0.05)
        return pixels.mean(dim=(2, 3)) * 10
"""

CARD = "[tool.evals]\nbatch_size = 16\n" + card("slow", "slow_nets:Slow")

SLOW = """
evals = 1
title = "Slow"
models = ["slow"]
[images]
few = "few"
photographs = "many"
"""

ONE = """
[[check]]
name = "{name}"
measure = "accuracy"
images = "{name}"
expect = [{{ metric = "top1_accuracy", at_least = 0.5 }}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("whole_run")
def test_a_killed_run_keeps_what_was_finished(tmp_path: Path, kill: signal.Signals) -> None:
    """The first check is judged; the second one's first shards are on the disk."""
    text = SLOW + ONE.format(name="few") + ONE.format(name="photographs")
    files = {"slow.toml": text, "pyproject.toml": CARD, "slow_nets.py": NETS}
    write(tmp_path, files | {"classes.txt": CLASSES})
    for name, count in (("few", 4), ("many", 2000)):
        (tmp_path / name / "red").mkdir(parents=True)
        for index in range(count):
            Image.new("RGB", (16, 16), "red").save(tmp_path / name / "red" / f"{index}.png")
    command = [sys.executable, "-m", "pytest", "slow.toml", "-p", "no:cacheprovider"]
    quiet = subprocess.DEVNULL
    # whoever starts the tests in the background has told their children to ignore Ctrl-C
    hearing = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=tmp_path, stdout=quiet, preexec_fn=hearing) as running:
        limit = time.monotonic() + 120
        while not list(tmp_path.glob("runs/*/tables/*many*.shards/000000.parquet")):
            assert time.monotonic() < limit
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(kill)
        code = running.wait(60)
    (directory,) = (folder for folder in (tmp_path / "runs").iterdir() if not folder.is_symlink())
    run = log.read(directory)
    assert [(item.check, item.verdict) for item in run.items] == [("few", log.Verdict.PASSED)]
    if kill is signal.SIGINT:
        assert (code, run.status) == (2, "interrupted")
        assert run.passes[-1].n >= 256
        assert (directory / "report.html").is_file()
        assert list(directory.glob("tables/*many*.parquet"))
    else:
        assert (code, run.status) == (-9, "running")
