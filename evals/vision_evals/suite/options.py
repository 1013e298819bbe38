"""What the command line and ``[tool.evals]`` say, checked."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from vision_evals.core.errors import UserError
from vision_evals.core.partition import Partition
from vision_evals.core.tables import Table, validate
from vision_evals.log import Depth, Precision

Count = Annotated[int, Field(ge=1)]
Part = Annotated[str, AfterValidator(lambda text: str(Partition.parse(text)))]
DEFAULT_ROLE = "photographs"


class OptionsTable(Table):
    """``[tool.evals]``; each key but ``models`` is also an option ``--evals-KEY``."""

    model: tuple[str, ...] = ()
    """``[ALIAS=]NAME[@PATH]``: classifiers to judge; a pattern as PATH means each of its files."""
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
    report_dir: str | None = None
    """Folder for the report with its pictures beside it."""
    templates: str | None = None
    """Folder of templates that go before the report's own of the same names."""
    markdown: str | None = None
    """Path of a summary in Markdown."""
    mlflow: str | None = None
    """Address of an MLflow tracking server or store that runs are logged to."""
    pictures: Annotated[int, Field(ge=0, le=8)] | Literal["none"] = 8
    """Pictures a check and classifier, at most 8."""
    baseline: str | None = None
    """``RUN[:ALIAS]``: the run whose classifiers the gates compare with."""
    same: Literal["fail", "skip"] = "fail"
    """What a gate does whose two sides are the very same network."""
    validity: Depth = "cheap"
    """Which validity checks run: the cheap ones, or thorough ones too."""
    inconclusive: Literal["fail", "skip"] = "fail"
    """What an inconclusive verdict does to the exit code."""
    recipes: bool = False
    """Train and judge recipes also when classifiers are named."""
    cache: str = ".evals_cache"
    """Where finished shards of rows, evidence, pictures and trained recipes are kept."""
    no_cache: bool = False
    """Compute everything anew, and keep nothing."""
    profile: bool = False
    """Say where the time went."""
    trace: str | None = None
    """Folder for torch profiler traces of the first batches of each pass."""
    shard: Part | None = None
    """``2/8``: look at this part of every image set only, for `evals merge`."""
    keep_adversarials: bool = False
    """Keep the smallest adversarial of every image as an 8-bit PNG in the run."""
    models: dict[str, Any] = Field(default_factory=dict)
    """Model cards."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where images come from; equal when they are the same place, however it was written."""

    text: str = field(compare=False)
    """As written."""
    place: str
    """``imagenet_samples``, ``art_samples``, or an absolute path."""
    missing: str | None = None
    """Why nobody can say where: then there is no place."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a run was told."""

    table: OptionsTable
    models: tuple[tuple[str, Path], ...]
    """Each ``--evals-model`` with the folder its path is relative to."""
    images: Mapping[str, tuple[str, Path]]
    """Role to source, with the folder it is relative to."""
    typed: frozenset[str]
    """Roles that the command line names: some check must be about them."""
    cards: Path | None
    baseline: tuple[str, Path] | None
    """``--evals-baseline`` with the folder that its path is relative to."""
    run_dir: Path
    cache: Path
    report: Path | None
    """None: beside the run log."""
    report_dir: Path | None
    """None: no folder is asked for."""
    templates: Path | None
    """None: the report looks as it comes."""
    markdown: Path | None
    """None: no summary is asked for."""
    trace: Path | None
    """None: nothing is traced."""
    root: Path
    """Where the ``pyproject.toml`` with ``[tool.evals]`` is, or the current folder."""

    @property
    def reporting(self) -> bool:
        """Whether a report is written at all."""
        return self.table.report != "none"

    @property
    def partition(self) -> Partition | None:
        """The part that is looked at, where machines share a run."""
        return None if self.table.shard is None else Partition.parse(self.table.shard)

    @property
    def pictures(self) -> int:
        """Pictures a check and classifier."""
        return 0 if self.table.pictures == "none" else self.table.pictures


def read(given: Mapping[str, Any], cwd: Path) -> Options:
    """Join the command line (which goes first) and the nearest ``[tool.evals]``.

    Args:
        given: option name to value, as typed; absent options are left out.
        cwd: folder the command was typed in; ``[tool.evals]`` is looked for here and above.

    Raises:
        UserError: an unknown key or an unusable value, with the place it was written.
    """
    file, written = _tool_table(cwd)
    root = cwd if file is None else file.parent
    mistakes = _mistakes(written, f"{file}, [tool.evals]")
    for key, value in given.items():
        mistakes += _mistakes({key: value}, f"--evals-{key.replace('_', '-')}")
    if mistakes:
        raise UserError("\n".join(mistakes))
    table = OptionsTable.model_validate({**written, **given})
    base = {key: cwd if key in given else root for key in OptionsTable.model_fields}

    def place(key: str) -> Path | None:
        text = getattr(table, key)
        return None if text is None else base[key] / Path(text).expanduser()

    images = [_role(text) for text in table.images]
    twice = {role for role, _ in images if [r for r, _ in images].count(role) > 1}
    if twice:
        raise UserError(f"images: {twice.pop()} is given twice; a role stands for one source")
    return Options(
        table=table,
        models=tuple((text, base["model"]) for text in table.model),
        images={role: (source, base["images"]) for role, source in images},
        typed=frozenset(role for role, _ in images if "images" in given),
        cards=place("cards"),
        baseline=None if table.baseline is None else (table.baseline, base["baseline"]),
        run_dir=base["run_dir"] / Path(table.run_dir).expanduser(),
        cache=base["cache"] / Path(table.cache).expanduser(),
        report=None if table.report == "none" else place("report"),
        report_dir=place("report_dir"),
        templates=place("templates"),
        markdown=place("markdown"),
        trace=place("trace"),
        root=root,
    )


def _mistakes(table: Mapping[str, Any], where: str) -> list[str]:
    try:
        validate(OptionsTable, table, where)
    except UserError as error:
        return [str(error)]
    return []


def _tool_table(cwd: Path) -> tuple[Path | None, dict[str, Any]]:
    for folder in (cwd, *cwd.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{file}: not valid TOML: {error}") from None
        table = data.get("tool", {}).get("evals")
        if table is not None:
            return file, {key.replace("-", "_"): value for key, value in table.items()}
    return None, {}


def _role(text: str) -> tuple[str, str]:
    role, equals, source = text.partition("=")
    if not equals or "/" in role:
        return DEFAULT_ROLE, text
    if not role or not source:
        raise UserError(f"--evals-images {text}: write ROLE=SOURCE, or a source for photographs")
    return role, source
