"""Evidence that a pass did not change a network: modes, buffers, weights, hooks."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from vision_evals.engine.process_state import put_back
from vision_evals.log import Validity


@dataclass
class Changes:
    """Differences between before and after a block; filled when the block ends."""

    by_alias: dict[str, list[str]] = field(default_factory=dict)
    """Alias to what changed."""

    def validity(self, alias: str) -> Validity:
        """Return the validity check of one network."""
        differences = self.by_alias.get(alias, [])
        rest = f" and {len(differences) - 5} more" if len(differences) > 5 else ""
        changed = f"changed: {', '.join(differences[:5])}{rest}"
        return Validity(
            id="S30",
            name="state restored",
            outcome="failed" if differences else "passed",
            evidence=changed if differences else "modes, buffers, weights, hooks are equal",
            meaning="A network that changes while it is measured is not the one that ships.",
        )


@contextlib.contextmanager
def watch(networks: Mapping[str, nn.Module], changes: Changes) -> Iterator[None]:
    """Compare every network before and after the block, and fill ``changes``.

    Global random generators are restored: measures draw from their own.
    """
    before = {alias: state_of(network) for alias, network in networks.items()}
    with put_back():
        try:
            yield
        finally:
            for alias, network in networks.items():
                if changed := changed_since(before[alias], network):
                    changes.by_alias[alias] = changed


def changed_since(then: Mapping[str, object], network: nn.Module) -> list[str]:
    """Return the parts of a network that changed.

    Args:
        then: what `state_of` returned.
        network: now.
    """
    now = state_of(network)
    # a buffer that was empty is a cache, filled by the first forward
    late = {name for name, _ in network.named_buffers()} - then.keys()
    keys = (now.keys() | then.keys()) - late
    return sorted(key for key in keys if now.get(key) != then.get(key))


def state_of(network: nn.Module) -> dict[str, object]:
    """Return everything that a forward could change, by name.

    Weights are described by their version, which in-place writes raise, and by their sum, which
    writes through ``data`` change; buffers by their bytes, since batch norm writes its running
    statistics without raising a version.
    """
    state: dict[str, object] = {}
    for name, module in network.named_modules():
        state[f"{name or 'network'}.training"] = module.training
        hooks = (
            *(module._forward_hooks, module._forward_pre_hooks),
            *(module._backward_hooks, module._backward_pre_hooks),
        )
        state[f"{name or 'network'} hooks"] = [len(hook) for hook in hooks]
    weights = dict(network.named_parameters())
    for (name, weight), total in zip(weights.items(), _sums(weights.values()), strict=True):
        version = _version_of(weight)
        description = weight.data_ptr(), version, weight.requires_grad, weight.grad is None, total
        state[name] = description
    for name, buffer in network.named_buffers():
        dense = buffer.detach().cpu()
        dense = dense.to_dense() if dense.layout is not torch.strided else dense
        raw = dense.contiguous().view(-1).view(torch.uint8)
        state[name] = hashlib.sha256(raw.numpy().tobytes()).hexdigest()
    return state


def _version_of(weight: torch.Tensor) -> int | None:
    """Return how often a weight was written to; None where inference mode made it."""
    try:
        return weight._version
    except RuntimeError:
        return None


def _sums(weights: Iterable[torch.Tensor]) -> list[str]:
    """Return the sum of each, fetched from the device together; equal NaNs compare equal."""
    sums = [weight.detach().sum(dtype=torch.float64) for weight in weights]
    if not sums:
        return []
    # a network may keep some of its weights on another device
    return [str(total) for total in torch.stack([s.to(sums[0].device) for s in sums]).tolist()]
