"""The files of ``evals init``: their texts, and how they are written without taking any's place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vision_evals.cli.init.answers import Answers
from vision_evals.cli.init.checks import FOLDERS
from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder, whole_file

ALIAS = "my_net"
"""Name of the card that is written."""

SUITE, CARDS, CLASSES = "suites/gate.toml", "evals_cards.toml", "evals_classes.txt"

FILES = {
    SUITE: "gate.toml.jinja",
    CARDS: "evals_cards.toml.jinja",
    ".github/workflows/evals.yml": "evals.yml.jinja",
}
"""Each file that is written, and its template."""


def rendered(values: Mapping[str, object]) -> dict[str, str]:
    """Return the text of each file, by its name."""
    environment = Environment(  # noqa: S701 - TOML and YAML: every value is quoted for TOML
        loader=FileSystemLoader(data_folder("starter")),
        undefined=StrictUndefined,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return {name: environment.get_template(file).render(values) for name, file in FILES.items()}


def card_values(answers: Answers, folder: Path, side: int | None) -> dict[str, object]:
    """Return what the templates need of card and images.

    Args:
        answers: complete.
        folder: of the repository.
        side: of the square that all images are; None where they differ.
    """
    assert answers.network is not None
    assert answers.images is not None
    assert answers.classes is not None
    classes = {"imagenet": "imagenet", FOLDERS: CLASSES}.get(answers.classes)
    size = answers.size or side
    return {
        "alias": ALIAS,
        "own": answers.own,
        "network": toml(answers.network),
        "checkpoint": answers.checkpoint and toml(path_text(answers.checkpoint, folder)),
        "classes": toml(classes or path_text(Path(answers.classes), folder)),
        "images": toml(path_text(answers.images, folder / "suites", folder)),
        "resize": f"[{size}, {size}]" if size else "256",
        "crop": '"none"' if size else "224",
        "mean": answers.mean,
        "std": answers.std,
    }


def path_text(path: Path, base: Path, repository: Path | None = None) -> str:
    """Return a path relative to ``base``; absolute where it is outside the repository."""
    file, home = (os.path.normpath(p.absolute()) for p in (path, repository or base))
    if not Path(file).is_relative_to(home):
        return Path(file).as_posix()
    return Path(os.path.relpath(file, os.path.normpath(base.absolute()))).as_posix()


def toml(text: str) -> str:
    """Return a TOML string: JSON's, with the one escape that JSON does not need."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def written(folder: Path, texts: Mapping[str, str]) -> Iterator[list[str]]:
    """Write the files that do not exist yet, and yield their names.

    Whatever ends the block with an exception, Ctrl-C too, removes them again with the folders that
    were made for them.

    Raises:
        UserError: a folder or file cannot be written.
    """
    new: list[Path] = []
    try:
        for name, text in texts.items():
            path = folder / name
            try:
                new += [p for p in reversed(path.parents) if not p.exists()]
                path.parent.mkdir(parents=True, exist_ok=True)
                if not os.path.lexists(path):
                    new.append(path)
                    with path.open("x", encoding="utf-8") as file:
                        file.write(text)
            except OSError as error:
                raise UserError(f"{path}: cannot be written: {error.strerror}") from None
        yield [name for name in texts if folder / name in new]
    except BaseException:
        for path in reversed(new):
            with suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
        raise


def fill_in(folder: Path, values: Mapping[str, object]) -> None:
    """Write the suite again, which is ours, with what was measured."""
    with whole_file(folder / SUITE) as partial:
        partial.write_text(rendered(values)[SUITE], encoding="utf-8")
