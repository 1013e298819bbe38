"""The questions of ``evals init`` on a terminal."""

from __future__ import annotations

import builtins
import os
import pty
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vision_evals
from tests.cli.init.repository import INIT, everything, furnish, init
from tests.forked import forked_python
from vision_evals.cli.init.answers import Answers
from vision_evals.cli.init.questions import ask

Typed = Callable[..., list[str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Make the process a terminal on which these lines are typed; return what it asks."""

    def type_(*lines: str | type[BaseException]) -> list[str]:
        asked: list[str] = []
        answers: Iterator[str | type[BaseException]] = iter(lines)

        def answer(question: str) -> str:
            asked.append(question)
            line = next(answers, EOFError)
            if isinstance(line, str):
                return line
            raise line

        monkeypatch.setattr(builtins, "input", answer)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        return asked

    return type_


ALL = ("nets:build", "best.safetensors", "pictures", "classes.txt", "", "", "")


def test_it_asks_for_what_no_flag_says(
    tmp_path: Path, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    asked = typed(*ALL)
    assert init(tmp_path) == 0
    said = capsys.readouterr().out
    assert "Or by flags: evals init --network=nets:build --checkpoint=best.safetensors" in said
    assert [question.split()[0] for question in asked] == [
        "Network", "Checkpoint,", "Labelled", "Classes", "Pixels", "Mean", "Standard",
    ]  # fmt: skip
    card = tomllib.loads((tmp_path / "evals_cards.toml").read_text("utf-8"))["models"]["my_net"]
    assert card["checkpoint"] == "best.safetensors"
    assert card["input"]["resize"] == [8, 8]
    assert card["input"]["std"] == [0.229, 0.224, 0.225]


def test_flags_are_not_asked_again(tmp_path: Path, typed: Typed) -> None:
    furnish(tmp_path, each=10)
    asked = typed("16")
    assert init(tmp_path, *INIT) == 0
    assert len(asked) == 1
    assert asked[0].startswith("Pixels")


def test_a_published_network_brings_its_own_input(typed: Typed, tmp_path: Path) -> None:
    furnish(tmp_path, each=2)
    asked = typed("torchvision:resnet18", "", str(tmp_path / "pictures"))
    answers = ask(Answers(), tmp_path)
    assert answers == Answers("torchvision:resnet18", images=tmp_path / "pictures")
    assert len(asked) == 3


def test_a_wrong_answer_is_asked_again_with_the_reason(
    tmp_path: Path, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    (tmp_path / "flat").mkdir()
    (tmp_path / "pictures/red/0.png").rename(tmp_path / "flat/0.png")
    asked = typed(
        "resnet", "nets:build", "best.pt", "best.safetensors", "here", "flat", "pictures",
        "no.txt", "classes.txt", "-1", "8", "a,b,c", "", "1", "",
    )  # fmt: skip
    assert init(tmp_path) == 0
    out = capsys.readouterr().out
    assert len(asked) == 15
    assert 'must be "torchvision:NAME"' in out
    assert "--images flat: 1 picture without labels" in out
    for said in ("--checkpoint best.pt", "--images here", "--classes no.txt", "--size -1"):
        assert f"  {said}: " in out


@pytest.mark.parametrize("after", range(7))
@pytest.mark.parametrize(("how", "code"), [(KeyboardInterrupt, 130), (EOFError, 1)])
def test_nothing_is_written_where_the_answers_end(
    tmp_path: Path, typed: Typed, after: int, how: type[BaseException], code: int
) -> None:
    furnish(tmp_path, each=2)
    before = everything(tmp_path)
    typed(*ALL[:after], how)
    assert init(tmp_path) == code
    assert everything(tmp_path) == before
    assert not (tmp_path / "suites").exists()


def test_ctrl_c_on_a_real_terminal(tmp_path: Path) -> None:
    furnish(tmp_path, each=2)
    before = everything(tmp_path)
    ours, theirs = pty.openpty()
    code = "from vision_evals.cli import main; raise SystemExit(main(['init']))"
    source = str(Path(vision_evals.__file__).parents[1])
    process = subprocess.Popen(
        [forked_python(), "-c", code], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"PYTHONPATH": source}, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = ""
    while "Network (" not in seen:
        seen += os.read(ours, 1000).decode()
    os.write(ours, b"nets:build\n")
    while "Checkpoint" not in seen:
        seen += os.read(ours, 1000).decode()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(60)
    os.close(ours)
    assert "Traceback" not in seen
    assert process.returncode != 0
    assert everything(tmp_path) == before
