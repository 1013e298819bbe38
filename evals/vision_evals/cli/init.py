"""A first suite, a card and a CI job, written into a user's repository; nothing is overwritten."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder

ALIAS = "my_net"
"""Name of the card that is written."""

FILES = {
    "suites/gate.toml": "gate.toml.jinja",
    "evals_cards.toml": "evals_cards.toml.jinja",
    ".github/workflows/evals.yml": "evals.yml.jinja",
}
"""What is written, and from what."""

JUDGE = "pytest suites/gate.toml --evals-cards evals_cards.toml"


@dataclass(frozen=True, slots=True)
class Wish:
    """What only the user knows."""

    network: str
    """``torchvision:NAME``, ``timm:NAME`` or ``module:function``."""
    checkpoint: Path | None = None
    """File of weights; None: published ones."""
    images: Path | None = None
    """Class folders or a manifest; None: ``data/val`` in the repository."""
    classes: str | None = None
    """``imagenet``, or a file with one class name a line; None: imagenet, of published networks."""

    @property
    def own(self) -> bool:
        """Whether nobody but the user knows how the network is fed."""
        return self.network.partition(":")[0] not in {"torchvision", "timm"}


def init(folder: Path, wish: Wish) -> int:
    """Write what is not there yet and say what to do next.

    Args:
        folder: of the repository.
        wish: what to write about.

    Returns:
        0; 1 when some file was there before and was left as it is.

    Raises:
        UserError: something that must be known was not said, or a place cannot be written.
    """
    values = _values(folder, wish)
    environment = Environment(  # noqa: S701 - TOML and YAML: every value is quoted for TOML
        loader=FileSystemLoader(data_folder("starter")),
        undefined=StrictUndefined,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    kept = []
    for name, template in FILES.items():
        text = environment.get_template(template).render(values)
        if not _written(folder / name, text):
            kept.append(name)
    _say(f"{n}: {'was there, left as it is' if n in kept else 'written'}" for n in FILES)
    _say(["", *_next_steps(folder, wish)])
    if kept:
        raise UserError(
            f"not overwritten: {', '.join(kept)}; move what you had away and run this again, or "
            "carry over by hand what you need"
        )
    return 0


def _values(folder: Path, wish: Wish) -> Mapping[str, object]:
    if not re.fullmatch(r"[^\s:]+:[^\s:]+", wish.network):
        raise UserError(
            f'--network {wish.network}: must be "torchvision:NAME", "timm:NAME" or '
            '"module:function", such as my_pkg.nets:build'
        )
    if wish.own and wish.classes is None:
        raise UserError(
            "--classes is missing: only you know what the outputs of your network mean; give a "
            "file with one class name a line, in the order of the outputs, or imagenet"
        )
    classes = wish.classes or "imagenet"
    images = wish.images or folder / "data" / "val"
    return {
        "alias": ALIAS,
        "own": wish.own,
        "network": _toml(wish.network),
        "checkpoint": None if wish.checkpoint is None else _toml(_seen(wish.checkpoint, folder)),
        "classes": _toml(classes if classes == "imagenet" else _seen(Path(classes), folder)),
        "images": _toml(_seen(images, folder / "suites", folder)),
        "floor": "0.5",
    }


def _seen(path: Path, base: Path, repository: Path | None = None) -> str:
    """Return a path as a file in ``base`` names it; absolute outside the repository."""
    there, home = (os.path.normpath(p.absolute()) for p in (path, repository or base))
    if not Path(there).is_relative_to(home):
        return Path(there).as_posix()
    return Path(os.path.relpath(there, os.path.normpath(base.absolute()))).as_posix()


def _toml(text: str) -> str:
    """Return a string of TOML: JSON's, which has one escape less."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _written(path: Path, text: str) -> bool:
    """Write a file that is not there; return whether it was not."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return True


def _next_steps(folder: Path, wish: Wish) -> Iterator[str]:
    where = "" if folder.resolve() == Path.cwd() else f"cd {folder}; "
    yield "Next:"
    if wish.own:
        yield "- evals_cards.toml: check `input`; it must be what the network was trained with"
    images = wish.images or folder / "data" / "val"
    if not images.exists():
        yield f"- {images}: put your labelled pictures there, a folder for each class"
    yield "- suites/gate.toml: set the floor"
    yield "- .github/workflows/evals.yml: put the address of vision-evals into VISION_EVALS"
    yield f"- {where}{JUDGE} --evals-inconclusive skip"
    yield "- evals accept runs/latest    # when you are content: later runs are held against it"
    yield f"- {where}{JUDGE} --evals-baseline baseline"
    yield "To leave out --evals-cards, put this into pyproject.toml:"
    yield '  [tool.evals]\n  cards = "evals_cards.toml"'


def _say(lines: Iterator[str] | list[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
