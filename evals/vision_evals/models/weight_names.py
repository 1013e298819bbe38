"""Names of weights: what wrappers add to them, and the prefix that a file has and a network not."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

_MAX_NESTED = 6
"""Parts of a prefix such as ``model.net.module.``."""

_MAX_PREFIXES = 16
"""How many prefixes of one file are tried."""

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in torchvision's densenets of before dots were forbidden."""


def by_plain_name(names: Collection[str]) -> dict[str, str]:
    """Return names by their plain names; by themselves where two would be one."""
    plain = dict(zip(plain_names(names), names, strict=True))
    return plain if len(plain) == len(names) else {name: name for name in names}


def plain_names(names: Iterable[str]) -> list[str]:
    """Return names without what DistributedDataParallel, AveragedModel and torch.compile add.

    Old names in torchvision's densenets are turned into today's.
    """
    plain = [_OLD_DENSENET.sub(r"\1\2", name.replace("_orig_mod.", "")) for name in names]
    wrapped = (_times("module.", name) for name in plain if name != "n_averaged")
    taken = min(wrapped, default=0) * len("module.")
    return [name if name == "n_averaged" else name[taken:] for name in plain]


def _times(part: str, name: str) -> int:
    """Return how often a name begins with a part."""
    times = 0
    while name.startswith(part, times * len(part)):
        times += 1
    return times


def endings(names: Iterable[str]) -> dict[str, list[str]]:
    """Return each ending of a name, behind a dot, with what stands before it."""
    found: dict[str, list[str]] = {}
    for name in names:
        at = -1
        for _ in range(_MAX_NESTED):
            at = name.find(".", at + 1)
            if at < 0:
                break
            found.setdefault(name[at + 1 :], []).append(name[: at + 1])
    return found


def prefixes(names: Collection[str], by_ending: Mapping[str, list[str]]) -> list[str]:
    """Return the prefixes with which a file has a quarter of these names, the likeliest first."""
    counts: Counter[str] = Counter()
    for name in names:
        counts.update(by_ending.get(name, ()))
    likely = counts.most_common(_MAX_PREFIXES)
    return [prefix for prefix, count in likely if 4 * count >= len(names)]
