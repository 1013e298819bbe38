"""``evals init``: its steps, and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from vision_evals.cli.init import address, first_run, looking, writing
from vision_evals.cli.init.answers import Answers, complete
from vision_evals.cli.init.checks import FOLDERS
from vision_evals.cli.init.gate import Gate, floor
from vision_evals.cli.init.next_steps import next_steps
from vision_evals.cli.init.questions import ask
from vision_evals.core.errors import UnavailableError, UserError
from vision_evals.report.result import Run


def init(folder: Path, answers: Answers) -> int:
    """Look at images and network, write a gate for them, run it, and say what to do next.

    Args:
        folder: of the repository.
        answers: what flags said.

    Returns:
        0 where the first run passed, else 1.

    Raises:
        UserError: a mistake, and nothing was written; or a file exists or weights are not here, and
            the message says what was written.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        answers = ask(answers, folder)
    answers = complete(answers, folder)
    assert answers.images is not None
    pictures = looking.pictures(answers.images)
    print(f"images: {pictures}")
    gate = Gate(pictures.n, answers.discordance)
    values = {
        **writing.card_values(answers, folder, pictures.side),
        "requirement": address.requirement(answers.source),
        "placeholder": address.installed_from() is None,
        "gate": gate,
    }
    texts = writing.rendered({**values, "floor": None, "accuracy": None})
    if answers.classes == FOLDERS:
        names = sorted(pictures.image_set.labels)  # as ImageFolder numbers them
        texts[writing.CLASSES] = "".join(f"{name}\n" for name in names)
    with writing.written(folder, texts) as new:
        existing = [name for name in texts if name not in new]
        finished = None if existing else _first_run(folder, pictures, values)
    print(f"gate: {gate}")
    for name in texts:
        print(f"{name}: {'was there, left as it is' if name in existing else 'written'}")
    if existing:
        raise UserError(
            f"not overwritten: {', '.join(existing)}; nothing was run: move your files away, with "
            "those just written, and run this again, or copy what you need by hand"
        )
    assert finished is not None
    if isinstance(finished, UnavailableError):
        raise UserError(
            f"{finished}. The files are written, but nothing was run: neither the network nor any "
            f"number of it was verified, and {writing.SUITE} has no floor yet"
        )
    return _result(folder, answers, finished)


def _first_run(
    folder: Path, pictures: looking.Pictures, values: Mapping[str, object]
) -> Run | UnavailableError:
    """Measure the network, write the floor that follows, and run what is then written."""
    try:
        network = looking.network(writing.ALIAS, folder / writing.CARDS, pictures)
    except UnavailableError as error:
        return error
    print(f"network: {network}")
    accuracy = first_run.measured(folder)
    lowest = floor(accuracy, len(network.classifier.classes))
    writing.fill_in(folder, {**values, "floor": lowest, "accuracy": accuracy})
    return first_run.judged(folder)


def _result(folder: Path, answers: Answers, finished: Run) -> int:
    if finished.passed:
        print(first_run.accepted(folder, finished))
    print("", *first_run.lines(finished), "", sep="\n")
    print(*next_steps(folder, answers, has_floor=first_run.has_floor(finished)), sep="\n")
    return finished.exit_code
