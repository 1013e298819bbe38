"""``evals init``: its steps, and what it prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from vision_evals.cli.init import address, first_run, looking
from vision_evals.cli.init.answers import FOLDERS, Answers, complete
from vision_evals.cli.init.gate import Gate, floor
from vision_evals.cli.init.questions import ask
from vision_evals.cli.init.writing import (
    ALIAS,
    CARDS,
    CLASSES,
    FILES,
    SUITE,
    card_values,
    rendered,
    replace,
    written,
)
from vision_evals.core.errors import UnavailableError, UserError, printable

JUDGE = f"pytest {SUITE} --evals-cards {CARDS} --evals-baseline baseline --evals-same skip"


def init(folder: Path, answers: Answers) -> int:
    """Look at images and network, write a gate for them, run it, and say what to do next.

    Args:
        folder: of the repository.
        answers: what flags said.

    Returns:
        0 where the first run passed, else 1.

    Raises:
        UserError: a mistake, and nothing was written; or a file exists, or weights are not here,
            and the message says what was.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        answers = ask(answers)
    answers = complete(answers)
    assert answers.images is not None
    pictures = looking.pictures(answers.images)
    print(f"images: {pictures}")
    gate = Gate(pictures.n, answers.discordance)
    source = address.installed_from()
    values = {
        **card_values(answers, folder, pictures.side),
        "gate": gate,
        "floor": None,
        "accuracy": None,
        "requirement": address.requirement(answers.source, source),
        "placeholder": source is None,
    }
    texts = rendered(values)
    if answers.classes == FOLDERS:
        names = sorted(pictures.image_set.labels)  # as ImageFolder numbers them
        texts[CLASSES] = "".join(f"{name}\n" for name in names)
    unverified = None
    with written(folder, texts) as new:
        existing = [name for name in texts if name not in new]
        try:
            if not existing:
                network = looking.network(ALIAS, folder / CARDS, pictures)
                print(f"network: {network}")
                accuracy = first_run.measured(folder)
                chosen = floor(accuracy, len(network.classifier.classes))
                values |= {"floor": chosen, "accuracy": accuracy}
                replace(folder / SUITE, rendered(values)[SUITE])
        except UnavailableError as error:
            unverified = printable(str(error))
    print(f"gate: {gate}")
    for name in texts:
        print(f"{name}: {'was there, left as it is' if name in existing else 'written'}")
    if existing:
        raise UserError(
            f"not overwritten: {', '.join(existing)}; nothing was run: move your files away and "
            "run this again, or copy what you need by hand"
        )
    if unverified is not None:
        raise UserError(
            f"{unverified}. The files are written, but nothing was run: neither the network nor a "
            f"number of it was verified, and {SUITE} has no floor yet"
        )
    return _first_result(folder, answers, values["floor"] is None)


def _first_result(folder: Path, answers: Answers, guessing: bool) -> int:
    finished = first_run.judged(folder)
    if finished.passed:
        print(first_run.accepted(folder, finished))
    print("", *first_run.lines(finished), sep="\n")
    print("", *_next_steps(folder, answers, guessing), sep="\n")
    return finished.exit_code


def _next_steps(folder: Path, answers: Answers, guessing: bool) -> Iterator[str]:
    change = "" if folder.resolve() == Path.cwd() else f"cd {folder}; "
    yield "Next:"
    if guessing:
        yield (
            "- the network is not shown to be better than guessing, so there is no floor: check "
            "the order of the classes" + (" and `input` in the card" if answers.own else "")
        )
    if answers.own and (answers.mean is None or answers.std is None):
        yield f"- {CARDS}: check `input`; it must be what the network was trained with"
    if address.installed_from() is None:
        yield "- .github/workflows/evals.yml: put the address of vision-evals into VISION_EVALS"
    yield from _not_in_git(folder, answers)
    yield f"- commit what was written, baseline/ too; then {change}{JUDGE}"
    yield "To leave out --evals-cards, put this into pyproject.toml:"
    yield f'  [tool.evals]\n  cards = "{CARDS}"'


def _not_in_git(folder: Path, answers: Answers) -> Iterator[str]:
    """Yield which files a job would not find in a checkout."""
    for path in filter(None, (answers.checkpoint, answers.images)):
        if not path.resolve().is_relative_to(folder.resolve()):
            yield f"- {path}: is outside of the repository, so the job does not find it"
        elif _ignored(path):
            yield f"- {path}: git ignores it, so the job does not find it; fetch it in a step"


def _ignored(path: Path) -> bool:
    command = ["git", "check-ignore", "--quiet", "--", str(path.resolve())]
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0
