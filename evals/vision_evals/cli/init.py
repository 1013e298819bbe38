"""``evals init``: write a first suite, a card and a CI job; existing files are kept."""

from __future__ import annotations

import json
import os
import re
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
"""Each file that is written, and its template."""

JUDGE = "pytest suites/gate.toml --evals-cards evals_cards.toml"


@dataclass(frozen=True, slots=True)
class NewSuite:
    """What the user says of the network."""

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
        """Whether the network is the user's, so that only they know its preprocessing."""
        return self.network.partition(":")[0] not in {"torchvision", "timm"}

    def images_in(self, folder: Path) -> Path:
        """Return where the images of a repository are."""
        return self.images or folder / "data" / "val"


def init(folder: Path, new: NewSuite) -> int:
    """Write the files that do not exist yet, and print what to do next.

    Args:
        folder: of the repository.
        new: the network of the suite.

    Returns:
        0.

    Raises:
        UserError: an option is missing, a file exists already, or a folder cannot be written.
    """
    values = _values(folder, new)
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
    existing = []
    for name, template in FILES.items():
        text = environment.get_template(template).render(values)
        if not _write_new(folder / name, text):
            existing.append(name)
    for name in FILES:
        print(f"{name}: {'was there, left as it is' if name in existing else 'written'}")
    print("", *_next_steps(folder, new), sep="\n")
    if existing:
        raise UserError(
            f"not overwritten: {', '.join(existing)}; move your files away and run this again, or "
            "copy what you need by hand"
        )
    return 0


def _values(folder: Path, new: NewSuite) -> Mapping[str, object]:
    if not re.fullmatch(r"[^\s:]+:[^\s:]+", new.network):
        raise UserError(
            f'--network {new.network}: must be "torchvision:NAME", "timm:NAME" or '
            '"module:function", such as my_pkg.nets:build'
        )
    if new.own and new.classes is None:
        raise UserError(
            "--classes is missing: only you know what the outputs of your network mean; give a "
            "file with one class name a line, in the order of the outputs, or imagenet"
        )
    classes = new.classes or "imagenet"
    return {
        "alias": ALIAS,
        "own": new.own,
        "network": _toml(new.network),
        "checkpoint": None if new.checkpoint is None else _toml(_path_text(new.checkpoint, folder)),
        "classes": _toml(classes if classes == "imagenet" else _path_text(Path(classes), folder)),
        "images": _toml(_path_text(new.images_in(folder), folder / "suites", folder)),
        "floor": "0.5",
    }


def _path_text(path: Path, base: Path, repository: Path | None = None) -> str:
    """Return a path relative to ``base``; absolute where it is outside the repository."""
    file, home = (os.path.normpath(p.absolute()) for p in (path, repository or base))
    if not Path(file).is_relative_to(home):
        return Path(file).as_posix()
    return Path(os.path.relpath(file, os.path.normpath(base.absolute()))).as_posix()


def _toml(text: str) -> str:
    """Return a TOML string: JSON's, with the one escape that JSON does not need."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _write_new(path: Path, text: str) -> bool:
    """Write a file if it does not exist; return whether it was written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return True


def _next_steps(folder: Path, new: NewSuite) -> Iterator[str]:
    change = "" if folder.resolve() == Path.cwd() else f"cd {folder}; "
    yield "Next:"
    if new.own:
        yield "- evals_cards.toml: check `input`; it must be what the network was trained with"
    images = new.images_in(folder)
    if not images.exists():
        yield f"- {images}: put your labelled pictures there, a folder for each class"
    yield "- suites/gate.toml: set the floor"
    yield "- .github/workflows/evals.yml: put the address of vision-evals into VISION_EVALS"
    yield f"- {change}{JUDGE} --evals-inconclusive skip"
    yield "- evals accept runs/latest    # when you are content: later runs are compared with it"
    yield f"- {change}{JUDGE} --evals-baseline baseline"
    yield "To leave out --evals-cards, put this into pyproject.toml:"
    yield '  [tool.evals]\n  cards = "evals_cards.toml"'
