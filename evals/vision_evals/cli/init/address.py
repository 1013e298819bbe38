"""Where pip installed this package from, as a requirement that another machine can install."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, distribution

NAME = "vision-evals"
PLACEHOLDER = "git+https://github.com/OWNER/vision-evals"
"""For a person to fill in."""

_EXTRAS = {"timm": "[timm]", "packaged": "[samples]"}
"""What a source of networks needs beyond the package."""


def installed_from() -> str | None:
    """Return the https address and commit that pip recorded (PEP 610); None for any other.

    A folder, an address with a password or one that needs a key is of no use to another machine.
    """
    try:
        recorded = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
        address, commit = recorded["url"], recorded["vcs_info"]["commit_id"]
    except (PackageNotFoundError, KeyError, TypeError, ValueError):
        return None
    safe = re.fullmatch(r"https://[A-Za-z0-9._~/:+-]+", address)
    if safe is None or not re.fullmatch("[0-9a-f]{40,64}", commit):
        return None
    folder = recorded.get("subdirectory", "")
    if not re.fullmatch(r"[A-Za-z0-9._/-]*", folder):
        return None
    return f"git+{address}@{commit}" + (f"#subdirectory={folder}" if folder else "")


def requirement(source: str) -> str:
    """Return what the job installs, with what the source of its network needs.

    Args:
        source: what stands before the colon of the network.
    """
    return f"{NAME}{_EXTRAS.get(source, '')} @ {installed_from() or PLACEHOLDER}"
