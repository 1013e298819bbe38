"""``evals init``: what it writes is valid, runs, and never takes anything's place."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

import vision_evals
from tests.forked import forked_python
from vision_evals.cli import main
from vision_evals.cli.init import FILES, _path_text, _toml

NETS = """
from torch import nn

def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
"""

INIT = ("--network=nets:build", "--checkpoint=best.safetensors", "--images=pictures",
        "--classes=classes.txt")  # fmt: skip


ADDRESS = "git+https://github.com/OWNER/vision-evals"
"""Which somebody has to fill in: nothing is published."""


def init(folder: Path, *arguments: str) -> int:
    with contextlib.chdir(folder):
        return main(["init", *arguments])


def everything(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def job(folder: Path) -> dict[str, Any]:
    workflow = yaml.safe_load((folder / ".github/workflows/evals.yml").read_text("utf-8"))
    (found,) = workflow["jobs"].values()
    return dict(found)


# What is written


def test_it_writes_a_suite_a_card_and_a_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert init(tmp_path, *INIT) == 0
    assert set(everything(tmp_path)) == set(FILES)
    suite = tomllib.loads((tmp_path / "suites/gate.toml").read_text("utf-8"))
    assert suite["images"] == {"photographs": "../pictures"}
    assert [check["name"] for check in suite["check"]] == ["floor", "no-worse", "exact"]
    assert suite["check"][1]["expect"] == [
        {"metric": "top1_accuracy", "at_least": {"of": "baseline", "minus": 0.01}}
    ]
    card = tomllib.loads((tmp_path / "evals_cards.toml").read_text("utf-8"))["models"]["my_net"]
    assert card["network"] == "nets:build"
    assert card["checkpoint"] == "best.safetensors"
    assert card["classes"] == "classes.txt"
    said = capsys.readouterr().out
    assert "suites/gate.toml: written\n" in said
    assert "check `input`" in said
    assert "evals.yml: put the address of vision-evals into VISION_EVALS" in said
    assert 'cards = "evals_cards.toml"' in said


def test_a_published_network_brings_its_own_input(tmp_path: Path) -> None:
    assert init(tmp_path, "--network=torchvision:resnet50") == 0
    card = tomllib.loads((tmp_path / "evals_cards.toml").read_text("utf-8"))["models"]["my_net"]
    assert card == {"network": "torchvision:resnet50", "classes": "imagenet"}
    suite = tomllib.loads((tmp_path / "suites/gate.toml").read_text("utf-8"))
    assert suite["images"] == {"photographs": "../data/val"}


def test_it_writes_into_another_folder_and_keeps_paths_that_lie_outside(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    assert init(tmp_path, "repository", *INIT) == 0
    suite = tomllib.loads((tmp_path / "repository/suites/gate.toml").read_text("utf-8"))
    assert suite["images"] == {"photographs": (tmp_path / "pictures").as_posix()}


@pytest.mark.parametrize("there", list(FILES))
def test_nothing_is_ever_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    assert init(tmp_path, *INIT) == 1
    captured = capsys.readouterr()
    assert f"{there}: was there, left as it is" in captured.out
    assert f"not overwritten: {there};" in captured.err
    assert (tmp_path / there).read_text("utf-8") == "mine"
    assert (tmp_path / "pyproject.toml").read_text("utf-8") == "[project]\n"
    assert set(everything(tmp_path)) == {*FILES, "pyproject.toml"}
    before = everything(tmp_path)
    assert init(tmp_path, *INIT) == 1
    assert everything(tmp_path) == before


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "evals_cards.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert init(tmp_path, *INIT) == 1
    assert not (tmp_path / "elsewhere.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--network=resnet50"], 'must be "torchvision:NAME"'),
        (["--network=my pkg:build"], 'must be "torchvision:NAME"'),
        (["--network=nets:build"], "--classes is missing"),
        (["file", "--network=torchvision:resnet50"], "cannot be written"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert init(tmp_path, *arguments) == 1
    assert said in capsys.readouterr().err
    assert set(everything(tmp_path)) == {"file"}


@given(st.text(st.characters(codec="utf-8")))
def test_any_name_survives_toml(text: str) -> None:
    assert tomllib.loads(f"x = {_toml(text)}") == {"x": text}


def test_paths_are_path_text_from_the_file_that_names_them(tmp_path: Path) -> None:
    inside = tmp_path / "a" / ".." / "data" / "val"
    assert _path_text(inside, tmp_path / "suites", tmp_path) == "../data/val"
    assert _path_text(tmp_path.parent / "x", tmp_path) == (tmp_path.parent / "x").as_posix()


# The job


def test_the_job_may_only_read_and_its_actions_are_pinned(tmp_path: Path) -> None:
    assert init(tmp_path, *INIT) == 0
    workflow = yaml.safe_load((tmp_path / ".github/workflows/evals.yml").read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    assert set(workflow[True]) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    steps = job(tmp_path)["steps"]
    assert all(re.fullmatch(r"actions/[a-z/-]+@v\d+", s["uses"]) for s in steps if "uses" in s)
    assert all(s.get("shell") == "bash" for s in steps if "run" in s)
    # nothing that somebody else can name reaches a shell
    assert not any("${{" in s["run"] for s in steps if "run" in s)
    by_name = {s.get("name"): s for s in steps}
    restored, stored = by_name["Last accepted run"], by_name["Store the accepted run"]
    assert restored["with"]["path"] == stored["with"]["path"] == "baseline"
    assert stored["with"]["key"].startswith(restored["with"]["restore-keys"])
    for name in ("Accept", "Store the accepted run"):
        assert by_name[name]["if"] == "env.ACCEPT == 'true'"  # and, unsaid, success()
    assert "refs/heads/main" in job(tmp_path)["env"]["ACCEPT"]
    assert by_name["Report"]["if"] == "always()"
    names = [s.get("name") for s in steps]
    assert names.index("Judge") < names.index("Accept") < names.index("Store the accepted run")


def test_the_page_about_gates_shows_this_job(tmp_path: Path) -> None:
    assert init(tmp_path, *INIT) == 0
    page = (Path(__file__).parents[2] / "docs/gates.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (shown,) = (block for block in blocks if "evals accept" in block)
    written = (tmp_path / ".github/workflows/evals.yml").read_text("utf-8")
    assert yaml.safe_load(shown) == yaml.safe_load(written)


def furnish(folder: Path) -> None:
    """Write a network, its checkpoint, three hundred pictures, and what ``evals init`` writes.

    With so many an equal checkpoint is within one point: 2.7 / (n + 2.7) is below 0.01.
    """
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    weights(folder, 10.0)
    for index, name in enumerate(("red", "green", "blue")):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(100):
            color = [40 + number, 60 + number, 80 + number]  # no two channels tie
            color[index] = 220
            Image.new("RGB", (8, 8), tuple(color)).save(folder / f"pictures/{name}/{number}.png")
    assert init(folder, *INIT) == 0
    card = folder / "evals_cards.toml"
    text = card.read_text("utf-8").replace("= 256", "= 8").replace("= 224", "= 8")
    card.write_text(text, encoding="utf-8")


def weights(folder: Path, scale: float) -> None:
    """Write a checkpoint that sees the brightest channel; the darkest with a negative scale.

    Every channel has a say in every lead, or shaking it would look like a hidden path.
    """
    mixed = torch.tensor([[1.0, 0.1, 0.3], [0.3, 1.0, 0.1], [0.1, 0.3, 1.0]])
    save_file({"2.weight": mixed * scale}, folder / "best.safetensors")


def step(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run a step of the job as GitHub does, with commands of this interpreter."""
    (script,) = [s["run"] for s in job(folder)["steps"] if s.get("name") == name]
    tools = folder / ".tools"
    tools.mkdir(exist_ok=True)
    commands = {
        "pytest": f'exec "{forked_python()}" -m pytest "$@"',
        "evals": f'exec "{forked_python()}" -c '
        '"from vision_evals.cli import main; raise SystemExit(main())" "$@"',
        "pip": 'echo "$@" >> pip.log',
    }
    for command, line in commands.items():
        (tools / command).write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
        (tools / command).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "PYTEST_"))}
    source = str(Path(vision_evals.__file__).parents[1])
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env=kept
        | {
            "PATH": os.pathsep.join([str(tools), kept["PATH"]]),
            "PYTHONPATH": os.pathsep.join([source, kept.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
            "VISION_EVALS": job(folder)["env"]["VISION_EVALS"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(folder),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_job_installs_what_the_repository_asks_for(tmp_path: Path) -> None:
    assert init(tmp_path, *INIT) == 0
    assert job(tmp_path)["env"]["VISION_EVALS"] == ADDRESS
    assert step(tmp_path, "Install").returncode == 0
    (tmp_path / "requirements.txt").write_text("", encoding="utf-8")
    assert step(tmp_path, "Install").returncode == 0
    assert (tmp_path / "pip.log").read_text("utf-8").splitlines() == [
        f"install vision-evals @ {ADDRESS}",
        "install -r requirements.txt",
        f"install vision-evals @ {ADDRESS}",
    ]


@pytest.mark.slow
def test_the_job_judges_what_needs_no_baseline(tmp_path: Path) -> None:
    furnish(tmp_path)
    suite = tmp_path / "suites/gate.toml"
    text = suite.read_text("utf-8")
    start, end = text.index("# The gate:"), text.index("# An exact invariant")
    suite.write_text(text[:start] + text[end:], encoding="utf-8")
    done = step(tmp_path, "Judge")
    assert done.returncode == 0, done.stdout
    assert "::warning title=No accepted run::" in done.stdout
    assert "2 passed" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 1000
    assert "Both judged checks passed" in (tmp_path / "summary.md").read_text("utf-8")
    weights(tmp_path, -10.0)
    done = step(tmp_path, "Judge")
    assert done.returncode == 1
    line = suite.read_text("utf-8").splitlines().index("[[check]]") + 1
    head = f"::error file=suites/gate.toml,line={line},title=floor[my_net]%3A "
    assert f"\n{head}failed::" in done.stdout


@pytest.mark.slow
def test_the_job_gates_against_the_run_that_it_accepted(tmp_path: Path) -> None:
    furnish(tmp_path)
    first = step(tmp_path, "Judge")
    assert first.returncode == 0, first.stdout
    assert "::warning title=No accepted run::" in first.stdout
    accepted = step(tmp_path, "Accept")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert (tmp_path / "baseline" / "run.json").is_file()

    same = step(tmp_path, "Judge")  # a pull request that touches no checkpoint
    assert same.returncode == 0, same.stdout
    assert "No accepted run" not in same.stdout

    weights(tmp_path, 11.0)  # another checkpoint that gives the same answers
    equal = step(tmp_path, "Judge")
    assert equal.returncode == 0, equal.stdout
    assert step(tmp_path, "Accept").returncode == 0

    weights(tmp_path, -10.0)
    worse = step(tmp_path, "Judge")
    assert worse.returncode == 1
    assert "title=no-worse[my_net]%3A failed::" in worse.stdout
    assert "300 right before and wrong now" in (tmp_path / "summary.md").read_text("utf-8")
