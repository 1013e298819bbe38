"""A machine's noise on disk: one JSON file in the cache folder, for each machine."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from vision_evals.core.errors import UserError
from vision_evals.core.paths import whole_file
from vision_evals.verdict.noise_floor import Noise


def machine() -> str:
    """Return what identifies a machine's numerics: processor, GPU if any, version of torch."""
    import torch

    from vision_evals.models.device import name_of, resolve

    devices = dict.fromkeys((torch.device("cpu"), resolve("auto")))
    return f"{' + '.join(name_of(device) for device in devices)}, torch {torch.__version__}"


def noise_path(cache: Path, machine: str) -> Path:
    """Return the file of a machine below the cache folder."""
    readable = re.sub("[^a-z0-9]+", "-", machine.lower()).strip("-")[:80]
    digest = hashlib.sha256(machine.encode()).hexdigest()[:8]
    return cache / "noise" / f"{readable}-{digest}.json"


def read(file: Path, machine: str, warn: Callable[[str], None]) -> Noise:
    """Return the noise that was measured on a machine; empty without a file.

    Args:
        file: see `noise_path`.
        machine: see `machine`; the file of another machine is ignored.
        warn: called with the reason where a file is ignored.
    """
    empty = Noise(machine=machine)
    try:
        noise = Noise.model_validate_json(file.read_bytes(), strict=True)
    except FileNotFoundError:
        return empty
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if noise.machine == machine:
            return noise
        reason = f"measured on {noise.machine}"
    warn(f"{file}: noise floors ignored ({reason}); `evals noise` measures them again")
    return empty


def require_writable(file: Path) -> None:
    """Refuse a folder that cannot be written, before anything is measured.

    Raises:
        UserError: the folder cannot be made or written.
    """
    probe = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"{file}: noise floors cannot be kept: {error.strerror}") from None


def write(file: Path, noise: Noise) -> None:
    """Write so that a reader gets the old file or the new one, also with two writers at once.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        with whole_file(file) as partial:
            partial.write_text(noise.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: noise floors cannot be kept: {error.strerror}") from None
