"""The options of the command line and ``[tool.evals]``, checked."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, Field, create_model

from vision_evals.core.errors import UserError
from vision_evals.core.paths import data_folder, user_path
from vision_evals.core.tables import Table, read_toml, validate
from vision_evals.core.worker import Partition
from vision_evals.suite import option_types
from vision_evals.suite.declared_options import PREFIX, OptionsTable, declared

DEFAULT_ROLE = "photographs"


@cache
def _checked(table: type = OptionsTable) -> type[BaseModel]:
    """Return the declared options as a table that checks its values."""
    hints = get_type_hints(table, localns=vars(option_types), include_extras=True)
    defaults = {option.key: option.default for option in declared(table)}
    tables: Any = Field(default_factory=dict)
    fields: dict[str, Any] = {k: (hint, defaults.get(k, tables)) for k, hint in hints.items()}
    return create_model(table.__name__, __base__=Table, **fields)


@dataclass(frozen=True, slots=True)
class Source:
    """Where images come from; equal when the place is the same, however it was written."""

    text: str = field(compare=False)
    """As written."""
    place: str
    """``imagenet_samples``, ``art_samples``, or an absolute path."""
    missing: str | None = None
    """Why the place is unknown, if it is."""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Options:
    """All options of a run."""

    table: OptionsTable
    models: tuple[tuple[str, Path], ...]
    """Each ``--evals-model`` with the folder its path is relative to."""
    images: Mapping[str, tuple[str, Path]]
    """Role to source, with the folder it is relative to."""
    typed: frozenset[str]
    """Roles that the command line names: a check must use each of them."""
    cards: Path | None
    baseline: tuple[str, Path] | None
    """``--evals-baseline`` with the folder that its path is relative to."""
    run_dir: Path
    cache: Path
    report: Path | None
    """None: next to the run log."""
    report_dir: Path | None
    """None: no folder is written."""
    templates: Path | None
    """None: the shipped templates alone."""
    markdown: Path | None
    """None: no summary is written."""
    trace: Path | None
    """None: nothing is traced."""
    root: Path
    """Where the ``pyproject.toml`` with ``[tool.evals]`` is, or the current folder."""
    pyproject: Path | None = None
    """The ``pyproject.toml`` whose ``[tool.evals]`` was read."""

    @property
    def reporting(self) -> bool:
        """Whether a report is written at all."""
        return self.table.report != "none"

    @property
    def partition(self) -> Partition | None:
        """The part that is run, where machines share a run."""
        return None if self.table.shard is None else Partition.parse(self.table.shard)

    @property
    def timeout(self) -> float:
        """Seconds that a check of a classifier may take."""
        return math.inf if self.table.timeout is None else self.table.timeout

    @property
    def pictures(self) -> int:
        """Pictures for each check and classifier."""
        return 0 if self.table.pictures == "none" else self.table.pictures


def read(
    typed: Mapping[str, Any], cwd: Path, suites: Iterable[Path] = (), rootdir: Path | None = None
) -> Options:
    """Join the command line and the nearest ``[tool.evals]``; the command line has priority.

    ``[tool.evals]`` is looked for in and above the suites, then the folder that pytest calls
    ``rootdir``, then the current folder. The first one found is read.

    Args:
        typed: option name to value, as typed; absent options are left out.
        cwd: the current folder.
        suites: files and folders that were named, relative to it.
        rootdir: of pytest.

    Raises:
        UserError: an unknown key or an unusable value, with the place it was written.
    """
    named = (Path(os.path.abspath(cwd / suite)) for suite in suites)  # noqa: PTH100 - links stay
    present = sorted(filter(Path.exists, named), key=lambda path: path.suffix != ".toml")
    file, written = _tool_table([*present, rootdir or cwd, cwd])
    root = cwd if file is None else file.parent
    table = _joined(written, f"{file}, [tool.evals]", typed)
    base = {option.key: cwd if option.key in typed else root for option in declared()}

    def place(key: str) -> Path | None:
        text = getattr(table, key)
        return None if text is None else user_path(text, base[key])

    images = [_role(text) for text in table.images]
    roles = [role for role, _ in images]
    for role in roles:
        if roles.count(role) > 1:
            raise UserError(f"images: {role} is given twice; a role stands for one source")
    return Options(
        table=table,
        models=tuple((text, base["model"]) for text in table.model),
        images={role: (source, base["images"]) for role, source in images},
        typed=frozenset(role for role in roles if "images" in typed),
        cards=place("cards"),
        baseline=None if table.baseline is None else (table.baseline, base["baseline"]),
        run_dir=user_path(table.run_dir, base["run_dir"]),
        cache=user_path(table.cache, base["cache"]),
        report=None if table.report == "none" else place("report"),
        report_dir=place("report_dir"),
        templates=place("templates"),
        markdown=place("markdown"),
        trace=place("trace"),
        root=root,
        pyproject=file,
    )


def _joined(written: Mapping[str, Any], where: str, typed: Mapping[str, Any]) -> OptionsTable:
    """Return the values of both; UserError with every mistake of both."""
    mistakes = _mistakes(written, where)
    for key, value in typed.items():
        mistakes += _mistakes({key: value}, PREFIX + key.replace("_", "-"))
    if mistakes:
        raise UserError(*mistakes)
    return OptionsTable(**dict(_checked().model_validate({**written, **typed})))


def _mistakes(table: Mapping[str, Any], where: str) -> list[str]:
    try:
        validate(_checked(), table, where)
    except UserError as error:
        return list(error.args)
    return []


def require_own_table(options: Options, suite: Path) -> None:
    """Refuse a suite whose own ``[tool.evals]`` is another one than that of the run.

    Raises:
        UserError: its cards and options would not count, so its numbers would be of others.
    """
    own, _ = _tool_table([suite])
    if own is None or (options.pyproject is not None and own.samefile(options.pyproject)):
        return
    raise UserError(
        f"[tool.evals] of this suite is in {own}, but this run reads "
        f"{options.pyproject or 'none'}; name the suites of one project only, such as "
        f"`pytest {own.parent}`"
    )


def _tool_table(places: Iterable[Path]) -> tuple[Path | None, dict[str, Any]]:
    """Return the first ``[tool.evals]`` in or above these places, and its file."""
    shipped = data_folder("suites")  # they belong to no project, also where one holds the package
    for place in places:
        above = () if place.is_relative_to(shipped) else (place, *place.parents)
        for file in (folder / "pyproject.toml" for folder in above):
            table = _table_of(file) if file.is_file() else None
            if table is not None:
                return file, {key.replace("-", "_"): value for key, value in table.items()}
    return None, {}


def _table_of(file: Path) -> dict[str, Any] | None:
    tool = read_toml(file).get("tool", {})
    table = tool.get("evals") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise UserError(f"{file}: evals = {table!r} is not a table; write it as [tool.evals]")
    return table


def _role(text: str) -> tuple[str, str]:
    role, equals, source = text.partition("=")
    if not equals or "/" in role:
        return DEFAULT_ROLE, text
    if not role or not source:
        raise UserError(f"--evals-images {text}: write ROLE=SOURCE, or a source for photographs")
    return role, source
