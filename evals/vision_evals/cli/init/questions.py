"""The questions of ``evals init`` on a terminal; a wrong answer is asked again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vision_evals.cli.init.answers import IMAGES, Answers
from vision_evals.cli.init.checks import CHECKS, FOLDERS
from vision_evals.core.errors import UserError


def ask(answers: Answers, folder: Path) -> Answers:
    """Return the answers with those that the user types; what flags said is not asked.

    Nothing is written meanwhile: Ctrl-C leaves no trace.

    Raises:
        UserError: the input ended.
    """
    flags = []
    for name, text, default in _questions(folder):
        needed = answers.own or name in {"network", "checkpoint", "images"}
        if name == "classes" and answers.checkpoint is not None:
            needed = True
        if needed and getattr(answers, name) is None and (typed := _answer(name, text, default)):
            checked: Any = CHECKS[name](typed)
            answers = replace(answers, **{name: checked})
            flags.append(f"--{name}={typed}")
    if flags:
        print(f"Or by flags: {shlex.join(['evals', 'init', *flags])}")
    return answers


def _questions(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each answer, the question, and what Enter stands for."""
    yield "network", "Network (torchvision:NAME, timm:NAME, or module:function of yours)", ""
    yield "checkpoint", "Checkpoint, a file of weights (Enter: none)", "none"
    yield "images", "Labelled images, class folders or a manifest", str(folder / IMAGES)
    text = f"Classes in the order of the outputs (a file, imagenet, or {FOLDERS})"
    yield "classes", text, FOLDERS
    yield "size", "Pixels of a side that the network is fed (Enter: from the images)", "images"
    yield "mean", "Mean that is subtracted, for pixels from 0 to 1", "0.485,0.456,0.406"
    yield "std", "Standard deviation that divides", "0.229,0.224,0.225"


def _answer(name: str, text: str, default: str) -> str | None:
    """Return what was typed, once it can be used; None where nothing is to be said."""
    shown = f"{text} [{default}]: " if default else f"{text}: "
    while True:
        try:
            typed = input(shown).strip() or default
        except EOFError:
            raise UserError(f"no answer: the input ended at --{name}") from None
        if typed in {"none", "images"} and typed == default:
            return None
        try:
            CHECKS[name](typed)
        except UserError as error:
            print(f"  {error}")
        else:
            return typed
