"""The log of a run directory, written and read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from vision_evals.core.errors import UserError, encodable
from vision_evals.core.paths import whole_file
from vision_evals.log.run import VERSION, Run
from vision_evals.log.upgrade import upgraded


def write(run: Run, directory: Path) -> Path:
    """Write ``run.json`` so that a reader sees the old one or the new one, never half of one.

    Raises:
        UserError: the disk is full, or the directory is gone or read-only; the old one stands.
    """
    path = directory / "run.json"
    with run_file(path) as partial:
        partial.write_text(_json(run) + "\n", encoding="utf-8")
    return path


def _json(run: Run) -> str:
    try:
        return run.model_dump_json(indent=1)
    except PydanticSerializationError:  # a path of bytes that are not UTF-8
        return Run.model_validate(_encodable(run.model_dump())).model_dump_json(indent=1)


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {encodable(key): _encodable(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_encodable, value))
    return encodable(value) if isinstance(value, str) else value


@contextlib.contextmanager
def run_file(path: Path) -> Iterator[Path]:
    """Yield a name to write a file of a run to; see `vision_evals.core.paths.whole_file`.

    Raises:
        UserError: the disk is full, or the directory is gone or read-only; the old file stands.
    """
    try:
        with whole_file(path) as partial:
            yield partial
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); free some space, or name "
            "another place with --evals-run-dir"
        ) from None


def read(path: Path) -> Run:
    """Read a run directory or its ``run.json``.

    Raises:
        UserError: no such run, a damaged one, or one written by a newer version.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"), parse_int=_whole_number)
    except FileNotFoundError:
        runs = sorted(inner.parent.name for inner in path.glob("*/run.json"))
        newest = path / ("latest" if "latest" in runs else runs[-1]) if runs else None
        repair = f", such as {newest}: this is a folder of runs" if newest else ""
        raise UserError(f"{file}: no such run; name a folder that holds run.json{repair}") from None
    except (OSError, ValueError, RecursionError) as error:  # ValueError: also numbers too long
        raise UserError(f"{file}: not a readable run log: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{file}: written in format {version}, this version reads up to {VERSION}; "
            "upgrade vision-evals"
        )
    try:
        return Run.model_validate(upgraded(data))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):  # which is a ValueError
            raise UserError(f"{file}: not a run log of format {version}: {error}") from None
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: not a run log: {where}: {first['msg']}") from None


def _whole_number(digits: str) -> int:
    """Return a number that a table can hold, too."""
    if abs(number := int(digits)) >= 2**63:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return number


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``run.json``, every field with what it means."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Run.model_json_schema()}
