"""What the command line and ``[tool.evals]`` say, checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from evals.errors import UserError
from evals.log import Precision
from evals.schema import Table, validate

Count = Annotated[int, Field(ge=1)]
DEFAULT_ROLE = "photographs"


class OptionsTable(Table):
    """``[tool.evals]``; each key but ``models`` is also an option ``--evals-KEY``."""

    model: tuple[str, ...] = ()
    """``[ALIAS=]NAME[@PATH]``: classifiers to judge."""
    cards: str | None = None
    """TOML file with model cards."""
    images: tuple[str, ...] = ()
    """``[ROLE=]SOURCE``: what a role stands for; photographs without a role."""
    limit: Count | None = None
    """Only N images, by hash of id."""
    device: str = "auto"
    """``auto``, ``cpu``, ``cuda:1``, ``mps``, ..."""
    precision: Precision = "fp32"
    """Of convolutions and matrix products."""
    batch_size: Count | Literal["auto"] = "auto"
    """Images in one forward."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Every generator derives from it."""
    run_dir: str = "runs"
    """Where runs are kept."""
    report: str | None = None
    """Path of the HTML report, or ``none``; by default beside the run log."""
    pictures: Annotated[int, Field(ge=0, le=8)] | Literal["none"] = 8
    """Pictures a check and classifier, at most 8."""
    inconclusive: Literal["fail", "skip"] = "fail"
    """What an inconclusive verdict does to the exit code."""
    models: dict[str, Any] = Field(default_factory=dict)
    """Model cards."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where images come from."""

    text: str
    """As written: ``imagenet_samples``, or a path relative to ``base``."""
    base: Path

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a run was told."""

    table: OptionsTable
    models: tuple[tuple[str, Path], ...]
    """Each ``--evals-model`` with the folder its path is relative to."""
    images: Mapping[str, Source]
    """Role to source."""
    cards: Path | None
    run_dir: Path
    report: Path | None
    """None: beside the run log."""
    root: Path
    """Where ``pyproject.toml`` is."""

    @property
    def reporting(self) -> bool:
        """Whether a report is written at all."""
        return self.table.report != "none"

    @property
    def pictures(self) -> int:
        """Pictures a check and classifier."""
        return 0 if self.table.pictures == "none" else self.table.pictures


def read(given: Mapping[str, Any], root: Path, cwd: Path) -> Options:
    """Join the command line (which goes first) and ``[tool.evals]`` of ``pyproject.toml``.

    Args:
        given: option name to value, as typed; absent options are left out.
        root: folder of ``pyproject.toml``.
        cwd: folder the command was typed in.

    Raises:
        UserError: an unknown key or an unusable value, with the place it was written.
    """
    file = root / "pyproject.toml"
    written = _tool_table(file)
    validate(OptionsTable, written, f"{file.name}, [tool.evals]")
    for key, value in given.items():
        validate(OptionsTable, {key: value}, f"--evals-{key.replace('_', '-')}")
    table = validate(OptionsTable, {**written, **given}, "options")
    base = {key: cwd if key in given else root for key in OptionsTable.model_fields}
    return Options(
        table=table,
        models=tuple((text, base["model"]) for text in table.model),
        images=dict(_role(text, base["images"]) for text in table.images),
        cards=None if table.cards is None else base["cards"] / Path(table.cards).expanduser(),
        run_dir=base["run_dir"] / Path(table.run_dir).expanduser(),
        report=(
            None
            if table.report in {None, "none"}
            else base["report"] / Path(str(table.report)).expanduser()
        ),
        root=root,
    )


def _tool_table(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not valid TOML: {error}") from None
    table = data.get("tool", {}).get("evals", {})
    return {key.replace("-", "_"): value for key, value in table.items()}


def _role(text: str, base: Path) -> tuple[str, Source]:
    role, equals, source = text.partition("=")
    if not equals or "/" in role:
        return DEFAULT_ROLE, Source(text, base)
    if not role or not source:
        raise UserError(f"--evals-images {text}: write ROLE=SOURCE, or a source for photographs")
    return role, Source(source, base)
