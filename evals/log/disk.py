"""A run directory: the log in it, written and read."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evals.errors import UserError
from evals.log.run import VERSION, Run


def write(run: Run, directory: Path) -> Path:
    """Write ``run.json`` so that a reader sees the old one or the new one, never half of one.

    Raises:
        UserError: the disk is full, or the directory is gone or read-only; the old one stands.
    """
    path = directory / "run.json"
    partial = path.with_suffix(".json.part")
    try:
        partial.write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise UserError(
            f"{path}: the log cannot be written ({error.strerror}); free some space, or name "
            "another place with --evals-run-dir"
        ) from None


def read(path: Path) -> Run:
    """Read a run directory or its ``run.json``.

    Raises:
        UserError: no such run, a damaged one, or one written by a newer version.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such run; name a folder that holds run.json") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{file}: not a readable run log: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{file}: written in format {version}, this version reads up to {VERSION}; "
            "upgrade vision-evals"
        )
    try:
        return Run.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{file}: not a run log: {where}: {first['msg']}") from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of ``run.json``, every field with what it means."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Run.model_json_schema()}
