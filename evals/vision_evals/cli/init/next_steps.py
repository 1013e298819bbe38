"""What is left to do after ``evals init``, and what a CI job would not find."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from vision_evals.cli.init import address
from vision_evals.cli.init.answers import Answers
from vision_evals.cli.init.writing import CARDS, SUITE
from vision_evals.core.errors import printable

JUDGE = f"pytest {SUITE} --evals-cards {CARDS} --evals-baseline baseline --evals-same skip"


def next_steps(folder: Path, answers: Answers, *, has_floor: bool) -> Iterator[str]:
    """Yield what to do next, a line each."""
    change = "" if folder.resolve() == Path.cwd() else f"cd {folder}; "
    yield "Next:"
    if not has_floor:
        yield (
            "- the network is not shown to be better than guessing, so there is no floor: check "
            "the order of the classes" + (" and `input` in the card" if answers.own else "")
        )
    if answers.own and (answers.mean is None or answers.std is None):
        yield f"- {CARDS}: check `input`; it must be what the network was trained with"
    if address.installed_from() is None:
        yield "- .github/workflows/evals.yml: put the address of vision-evals into VISION_EVALS"
    for path in filter(None, (answers.checkpoint, answers.images)):
        if not path.resolve().is_relative_to(folder.resolve()):
            yield printable(f"- {path}: is outside of the repository; the job does not find it")
        elif _ignored(path):
            yield printable(f"- {path}: git ignores it; let the job fetch it in a step of its own")
    yield "- commit what was written, baseline/ too; leave out runs/ and .evals_cache/"
    yield f"- {change}{JUDGE}"
    yield "To leave out --evals-cards, put this into pyproject.toml:"
    yield f'  [tool.evals]\n  cards = "{CARDS}"'


def _ignored(path: Path) -> bool:
    command = ["git", "check-ignore", "--quiet", "--", str(path.resolve())]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return False  # without git nothing is known
    return done.returncode == 0
