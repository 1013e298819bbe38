"""Which known network weights belong to, by the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from vision_evals.models.card import Card
from vision_evals.models.fit import kind, plain_names
from vision_evals.models.meta_device import Network, networks

MIN_SHARE_NEAR = 0.5
"""Share of tensors that must agree for a network to be called near."""

MIN_SHARE_SURE = 0.8
"""Share beyond which no other network is looked for: another head leaves more of alexnet."""

_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")

Shapes = dict[str, str]
"""Name of a tensor to its shape, as ``fit`` compares them."""


@dataclass(frozen=True, slots=True)
class Match:
    """How near a file is to a network."""

    name: str
    """As ``--evals-model`` takes it."""
    share: float
    """Tensors that agree in name and shape, of those that either has; 1 where all do."""
    parameters: int
    """Of the network."""
    head: str | None
    """Its last layer."""
    differs: tuple[str, ...]
    """What differs, in words."""


def matches(
    state: Mapping[str, Tensor], cards: Mapping[str, tuple[Card, Path]] | None = None
) -> tuple[Match, ...]:
    """Return the networks that weights fit exactly, else the nearest one, else nothing.

    At first only networks are built whose published number of parameters is the file's, whatever
    the number of classes; all are where none of those fits.

    Args:
        state: tensors by name, as ``load_state_dict`` returns them.
        cards: networks of the user's own; their functions are called.
    """
    own = shapes(state)
    counts = _counts(state)
    known = networks(cards or {})
    likely = [n for n in known if n.published is None or n.published in counts]
    found = [match for network in likely for match in _match(own, network)]
    if not any(match.share >= MIN_SHARE_SURE for match in found):
        rest = (network for network in known if network not in likely)
        found += [match for network in rest for match in _match(own, network)]
    exact = {match.name: match for match in found if match.share == 1}
    if exact:
        return tuple(exact.values())
    best = max(found, key=lambda match: match.share, default=None)
    return (best,) if best is not None and best.share >= MIN_SHARE_NEAR else ()


def shapes(state: Mapping[str, Tensor]) -> Shapes:
    """Return what decides whether weights fit; counters of batches never do."""
    names = (_OLD_DENSENET.sub(r"\1\2", name) for name in plain_names(state))
    every = zip(names, state.values(), strict=True)
    return {n: kind(t) for n, t in every if not n.endswith("num_batches_tracked")}


def parameters(state: Mapping[str, Tensor]) -> int:
    """Return how many numbers are weights: all but the statistics of normalisation layers."""
    return sum(t.numel() for name, t in state.items() if not name.endswith(_STATISTICS))


def sentence(found: Iterable[Match]) -> str:
    """Return which networks a file fits, or nearly fits, in words."""
    listed = list(found)
    if not listed:
        return "it is near no network that is known here"
    if listed[0].share == 1:
        return f"it fits {' and '.join(match.name for match in listed)}"
    return f"nearest is {listed[0].name}, but for {'; '.join(listed[0].differs)}"


def _counts(state: Mapping[str, Tensor]) -> set[int]:
    """Return how many parameters there are, and would be if any one layer had 1,000 outputs."""
    total, classes = parameters(state), 1000
    found = {total}
    for tensor in state.values():
        if tensor.dim() == 2 or (tensor.dim() == 4 and tensor.shape[2:] == (1, 1)):
            outputs, inputs = tensor.shape[:2]
            found.add(total + (classes - outputs) * (inputs + 1))
    return found


def _match(own: Shapes, network: Network) -> Iterator[Match]:
    try:
        built = network.on_meta_device()
        other = shapes(built.state_dict())
    except Exception:  # noqa: BLE001 - a network that cannot be built here is no match
        return
    same = sum(own.get(name) == shape for name, shape in other.items())
    head = next((n.rpartition(".")[0] for n in reversed(other) if n.endswith(".weight")), None)
    share = same / max(len(own.keys() | other.keys()), 1)
    count = sum(parameter.numel() for parameter in built.parameters())
    yield Match(network.name, share, count, head, tuple(_differences(own, other, head)))


def _differences(own: Shapes, other: Shapes, head: str | None) -> Iterator[str]:
    changed = [name for name in other if name in own and own[name] != other[name]]
    last = f"{head}.weight"
    if changed and last in changed and all(n.rpartition(".")[0] == head for n in changed):
        mine, theirs = (re.sub(r"\D.*", "", s[last].partition("(")[2]) for s in (own, other))
        yield f"{head} ({mine} classes instead of {theirs})"
    elif changed:
        name = changed[0]
        yield f"{len(changed)} shapes ({name} is {own[name]} instead of {other[name]})"
    for words, names in (
        ("that the file lacks", [name for name in other if name not in own]),
        ("that only the file has", [name for name in own if name not in other]),
    ):
        if names:
            more = ", ..." if len(names) > 2 else ""
            yield f"{len(names)} tensors {words} ({', '.join(names[:2])}{more})"
