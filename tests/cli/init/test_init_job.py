"""The CI job that ``evals init`` writes: what it may do, and its steps, run as GitHub runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import vision_evals
from tests.cli.init.repository import INIT, furnish, init, weights, workflow
from tests.forked import forked_python
from vision_evals.cli.init import address
from vision_evals.models import torchvision

PLACEHOLDER = "vision-evals @ git+https://github.com/OWNER/vision-evals"
"""Which somebody has to fill in: nothing is published."""


def jobs(text: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text)["jobs"])


def named(job: dict[str, Any]) -> dict[str, Any]:
    return {step.get("name", step.get("uses")): step for step in job["steps"]}


# What it may do


def test_it_may_only_read_and_its_actions_are_pinned() -> None:
    whole = yaml.safe_load(workflow())
    assert whole["permissions"] == {"contents": "read"}
    assert set(whole[True]) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    gate, comment = whole["jobs"]["gate"], whole["jobs"]["comment"]
    steps = [*gate["steps"], *comment["steps"]]
    assert all(re.fullmatch(r"actions/[a-z/-]+@v\d+", s["uses"]) for s in steps if "uses" in s)
    assert all(s.get("shell") == "bash" for s in steps if "run" in s)
    by_name = named(gate)
    restored, stored = by_name["Last accepted run"], by_name["Store the accepted run"]
    assert restored["with"]["path"] == stored["with"]["path"] == "baseline"
    assert stored["with"]["key"].startswith(restored["with"]["restore-keys"])
    for name in ("Accept", "Store the accepted run"):
        assert by_name[name]["if"] == "env.ACCEPT == 'true'"  # and, unsaid, success()
    assert "refs/heads/main" in gate["env"]["ACCEPT"]
    assert by_name["Report"]["if"] == by_name["Text of the comment"]["if"] == "always()"
    assert by_name["Report"]["with"]["path"].split() == [
        "report.html", "runs/${{", "env.RUN", "}}", "baseline",
    ]  # fmt: skip
    order = ["Judge", "Finished", "Accept", "Store the accepted run", "Report"]
    assert [name for name in by_name if name in order] == order


def test_only_the_comment_may_write_and_it_runs_nothing_of_the_repository() -> None:
    gate, comment = jobs(workflow())["gate"], jobs(workflow())["comment"]
    assert "permissions" not in gate
    assert comment["permissions"] == {"pull-requests": "write"}
    assert comment["needs"] == "gate"
    condition = " ".join(comment["if"].split())
    assert "github.event_name == 'pull_request'" in condition
    assert "github.event.pull_request.head.repo.full_name == github.repository" in condition
    assert [step["uses"].partition("@")[0] for step in comment["steps"]] == [
        "actions/download-artifact",
        "actions/github-script",
    ]
    uploaded = named(gate)["Text of the comment"]["with"]["name"]
    assert comment["steps"][0]["with"] == {"name": uploaded}


def test_nothing_that_somebody_else_can_name_reaches_a_shell_or_script() -> None:
    text = workflow()
    assert sorted(set(re.findall(r"\$\{\{ *(.*?) *\}\}", text))) == [
        "env.RUN",  # numbers of GitHub's
        "github.event_name == 'pull_request'",
        "github.ref",  # in the name of a group, which no shell reads
        "github.ref == 'refs/heads/main' && github.event_name != 'pull_request'",
        "github.run_attempt",
        "github.run_id",
    ]
    for job in jobs(text).values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "") + step.get("with", {}).get("script", "")


def test_the_page_about_gates_shows_this_job() -> None:
    page = (Path(__file__).parents[3] / "docs/gates.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (shown,) = (block for block in blocks if "evals accept" in block)
    assert yaml.safe_load(shown) == yaml.safe_load(workflow())


# Where it installs from


class Installed:
    """What pip recorded of this package."""

    def __init__(self, recorded: object) -> None:
        self.text = recorded if isinstance(recorded, str) else json.dumps(recorded)

    def read_text(self, name: str) -> str:
        assert name == "direct_url.json"
        return self.text


GIT = {"vcs": "git", "commit_id": "0123456789abcdef0123456789abcdef01234567"}
OURS = {"url": "https://example.org/team/vision-evals", "vcs_info": GIT}


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        (OURS, f"git+https://example.org/team/vision-evals@{GIT['commit_id']}"),
        (
            OURS | {"subdirectory": "tools/evals"},
            f"git+https://example.org/team/vision-evals@{GIT['commit_id']}#subdirectory=tools/evals",
        ),
        (OURS | {"url": "file:///home/somebody/vision-evals"}, None),
        (OURS | {"url": "ssh://git@example.org/team/vision-evals"}, None),
        (OURS | {"url": "https://token@example.org/team/vision-evals"}, None),
        (OURS | {"url": 'https://example.org/x"\n      EVIL: 1'}, None),
        (OURS | {"subdirectory": "a b"}, None),
        (OURS | {"vcs_info": {"vcs": "git", "commit_id": "main; rm"}}, None),
        ({"url": "file:///x", "dir_info": {"editable": True}}, None),
        ({"url": "https://example.org/x.whl", "archive_info": {}}, None),
        ([], None),
        ("", None),
        ("{", None),
    ],
)
def test_the_address_is_what_pip_recorded_or_a_placeholder(
    monkeypatch: pytest.MonkeyPatch, recorded: object, expected: str | None
) -> None:
    monkeypatch.setattr(address, "distribution", lambda _: Installed(recorded))
    assert address.installed_from() == expected
    for network, extra in (("nets:build", ""), ("timm:x", "[timm]"), ("packaged:x", "[samples]")):
        text = workflow(network)
        wanted = f"vision-evals{extra} @ {expected or PLACEHOLDER.partition(' @ ')[2]}"
        assert jobs(text)["gate"]["env"]["VISION_EVALS"] == wanted
        assert ("PUT AN ADDRESS HERE" in text) == (expected is None)


# Its steps


def repository(folder: Path) -> None:
    """Write a repository and its gate, without the baseline: nothing was accepted yet."""
    furnish(folder)
    assert init(folder, *INIT, "--discordance=0.02") == 0
    shutil.rmtree(folder / "baseline")
    shutil.rmtree(folder / "runs")


def step(folder: Path, name: str, run: str = "7-1") -> subprocess.CompletedProcess[str]:
    """Run a step of the job as GitHub does, with commands of this interpreter."""
    file = folder / ".github/workflows/evals.yml"
    gate = jobs(file.read_text("utf-8") if file.exists() else workflow())["gate"]
    script = named(gate)[name]["run"]
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
            "RUN": run,
            "VISION_EVALS": gate["env"]["VISION_EVALS"],
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(folder),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_it_installs_torch_for_the_cpu_first_and_what_the_repository_asks_for(
    tmp_path: Path,
) -> None:
    assert step(tmp_path, "Install").returncode == 0
    (tmp_path / "requirements.txt").write_text("", encoding="utf-8")
    assert step(tmp_path, "Install").returncode == 0
    cpu = "install torch torchvision --index-url https://download.pytorch.org/whl/cpu"
    assert (tmp_path / "pip.log").read_text("utf-8").splitlines() == [
        cpu,
        f"install {PLACEHOLDER}",
        cpu,
        "install -r requirements.txt",
        f"install {PLACEHOLDER}",
    ]


@pytest.mark.slow
def test_it_gates_against_the_run_that_it_accepted(tmp_path: Path) -> None:
    repository(tmp_path)
    first = step(tmp_path, "Judge", "1-1")
    assert first.returncode == 0, first.stdout
    assert "::warning title=No accepted run::" in first.stdout
    finished = step(tmp_path, "Finished", "1-1")
    assert (finished.returncode, finished.stderr) == (0, "")
    assert "runs/1-1: finished, 1 " in finished.stdout
    accepted = step(tmp_path, "Accept", "1-1")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    assert (tmp_path / "baseline" / "run.json").is_file()
    assert (tmp_path / "report.html").stat().st_size > 1000

    same = step(tmp_path, "Judge", "2-1")  # a pull request that touches no checkpoint
    assert same.returncode == 0, same.stdout
    assert "No accepted run" not in same.stdout

    weights(tmp_path, 11.0)  # another checkpoint that gives the same answers
    equal = step(tmp_path, "Judge", "3-1")
    assert equal.returncode == 0, equal.stdout
    assert step(tmp_path, "Accept", "3-1").returncode == 0
    assert "judged check passed" in (tmp_path / "comment.md").read_text("utf-8")

    weights(tmp_path, -10.0)
    worse = step(tmp_path, "Judge", "4-1")
    assert worse.returncode == 1
    line = (tmp_path / "suites/gate.toml").read_text("utf-8").splitlines().index("[[check]]") + 1
    head = f"::error file=suites/gate.toml,line={line},title=accuracy[my_net]%3A failed::"
    assert f"\n{head}" in worse.stdout
    for file in ("summary.md", "comment.md"):
        text = (tmp_path / file).read_text("utf-8")
        assert text.count("300 right before and wrong now") == 1
    assert step(tmp_path, "Finished", "4-1").returncode == 0  # it is, though red
    assert step(tmp_path, "Accept", "4-1").returncode == 1


@pytest.mark.slow
def test_a_network_that_ends_the_process_is_not_finished(tmp_path: Path) -> None:
    """With exit code 0, after another run that is finished."""
    repository(tmp_path)
    assert step(tmp_path, "Judge", "1-1").returncode == 0
    nets = tmp_path / "nets.py"
    nets.write_text("import os\nos._exit(0)\n", encoding="utf-8")
    assert step(tmp_path, "Judge", "2-1").returncode == 0
    finished = step(tmp_path, "Finished", "2-1")
    assert finished.returncode == 1
    assert "runs/2-1: running; it still runs, or was killed" in finished.stderr
    assert step(tmp_path, "Accept", "2-1").returncode == 1


def test_the_job_fetches_the_weights_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clean machine has none: before, nothing was judged there, and the exit code was 5."""
    from tests.inner import run

    arguments = re.search(r"arguments=\((.*?)\)", workflow("torchvision:resnet18"), re.DOTALL)
    assert arguments is not None
    words = arguments[1].replace('"$RUN"', "7-1").split()
    furnish(tmp_path, each=2)
    for name, synset in (("red", "n01440764"), ("green", "n01443537"), ("blue", "n01484850")):
        (tmp_path / "pictures" / name).rename(tmp_path / "pictures" / synset)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    asked: list[bool] = []

    def fetch(url: str, *, download: bool) -> Path:
        asked.append(download)
        file = tmp_path / "weights.pth"
        torch.save(torchvision.without_weights("resnet18", 1000, {}).state_dict(), file)
        return file

    monkeypatch.setattr(torchvision, "fetch", fetch)
    assert init(tmp_path, "--network=torchvision:resnet18", "--images=pictures") == 0
    assert "torchvision" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "runs")
    asked.clear()
    baseline = ["--evals-baseline=baseline", "--evals-same=skip"]
    done = run(tmp_path, *words, *baseline)
    assert done.code == 0, done.out
    assert asked == [True]
    assert (tmp_path / "runs/7-1/run.json").is_file()


# The comment


COMMENT = """
const [script, comments] = JSON.parse(require('fs').readFileSync(0, 'utf8'))
const calls = []
const issues = {
  listComments: 'list',
  updateComment: async call => { calls.push(['update', call]) },
  createComment: async call => { calls.push(['create', call]) },
}
const github = { rest: { issues }, paginate: async (list, call) => {
  if (list !== 'list' || call.issue_number !== 7) throw new Error('other comments')
  return comments
} }
const context = {
  repo: { owner: 'team', repo: 'nets' }, issue: { number: 7 }, runId: 42,
  serverUrl: 'https://github.example',
}
const AsyncFunction = (async () => {}).constructor
new AsyncFunction('github', 'context', 'require', script)(github, context, require)
  .then(() => console.log(JSON.stringify(calls)))
"""


def comment(folder: Path, comments: list[dict[str, Any]]) -> list[Any]:
    """Run the script of the job with GitHub's side made up; return what it asked GitHub to do."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node here, which runs the script of the job")
    script = jobs(workflow())["comment"]["steps"][1]["with"]["script"]
    done = subprocess.run(
        [node, "-e", COMMENT],
        input=json.dumps([script, comments]),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_the_first_comment_is_made_and_later_ones_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "comment.md").write_text("## Passed\n\n| `${x}` |\n", encoding="utf-8")
    ((how, made),) = comment(tmp_path, [])
    assert how == "create"
    assert (made["owner"], made["repo"], made["issue_number"]) == ("team", "nets", 7)
    marker, _, rest = made["body"].partition("\n")
    assert marker == "<!-- vision-evals: gate -->"
    assert rest.startswith("## Passed\n\n| `${x}` |\n")
    assert "(https://github.example/team/nets/actions/runs/42)" in rest

    ours = {"id": 5, "body": made["body"], "user": {"login": "github-actions[bot]"}}
    theirs = {"id": 4, "body": made["body"], "user": {"login": "somebody"}}
    other = {"id": 3, "body": "Thanks", "user": {"login": "github-actions[bot]"}}
    ghost = {"id": 2, "body": None, "user": None}
    ((how, changed),) = comment(tmp_path, [ghost, other, theirs, ours])
    assert (how, changed["comment_id"]) == ("update", 5)
    assert changed["body"] == made["body"]
    ((how, _),) = comment(tmp_path, [other, theirs])
    assert how == "create"


def test_a_gate_without_a_result_says_so_instead_of_an_old_verdict(tmp_path: Path) -> None:
    ((_, made),) = comment(tmp_path, [])
    assert "The gate has no result" in made["body"]


def test_a_comment_is_no_longer_than_github_takes(tmp_path: Path) -> None:
    (tmp_path / "comment.md").write_text("x" * 200_000, encoding="utf-8")
    ((_, made),) = comment(tmp_path, [])
    assert len(made["body"]) < 65_536
    assert "actions/runs/42" in made["body"]
