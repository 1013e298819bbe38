"""Where a run happens: versions, platform, the checkout it was started in."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from vision_evals import __version__, log

LIBRARIES = (
    "torch", "torchvision", "pillow", "numpy", "scipy", "pandas", "pyarrow", "pytest", "timm",
    "foolbox",
)  # fmt: skip
"""Libraries that can change a number."""


@functools.cache
def versions() -> Mapping[str, str]:
    """Return the versions of Python, this package, and every library that can change a number.

    As they are at the first call: what is imported by then stays.
    """
    library_versions = {"vision-evals": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            library_versions[library] = importlib.metadata.version(library)
    return MappingProxyType(library_versions)


def environment(folder: Path) -> log.Environment:
    """Return versions, platform, threads, and the git commit of ``folder``."""
    import torch

    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return log.Environment(
        versions=dict(versions()),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        threads=torch.get_num_threads(),
        commit=commit,
        dirty=None if commit is None or changes is None else bool(changes),
    )


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
