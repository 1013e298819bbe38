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
    """Return what makes two machines compute alike: processor, GPU if any, version of torch."""
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
    """Return what was measured on a machine: nothing, where there is no file.

    Args:
        file: see `noise_path`.
        machine: see `machine`; another one's file is no use here.
        warn: told why a file was ignored.
    """
    nothing = Noise(machine=machine)
    try:
        found = Noise.model_validate_json(file.read_bytes(), strict=True)
    except FileNotFoundError:
        return nothing
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{where}: {first['msg']}" if where else first["msg"]
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        if found.machine == machine:
            return found
        reason = f"measured on {found.machine}"
    warn(f"{file}: noise floors ignored ({reason}); `evals noise` measures them again")
    return nothing


def require_writable(file: Path) -> None:
    """Refuse a place where nothing can be kept, before anything is measured.

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
    """Write so that a reader sees the old file or the new one, also of two writers at once.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        with whole_file(file) as partial:
            partial.write_text(noise.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: noise floors cannot be kept: {error.strerror}") from None
