"""Folding of batch norms into the convolutions before them: the same function, fewer operations."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WHOLE = (*_CONVOLUTIONS, nn.Linear, _BatchNorm)
"""Traced as one step, also in subclasses, such as convolutions with same-padding."""


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _WHOLE) or super().is_leaf_module(m, module_qualified_name)


def fold_batchnorms(network: nn.Module) -> tuple[nn.Module, int]:
    """Return a copy with its batch norms folded, and their number.

    A batch norm in eval mode is an affine map, and so is a convolution: if nothing else reads the
    convolution's output, one convolution with other weights replaces both.

    Raises:
        Exception: ``torch.fx`` cannot follow the forward.
        RuntimeError: the forward draws random numbers, which a trace would freeze.
    """
    copy = deepcopy(network)
    with torch.random.fork_rng(devices=[]):  # tracing runs what does not depend on the pixels
        before = torch.get_rng_state()
        graph = _Tracer().trace(copy)
        if not torch.equal(before, torch.get_rng_state()):
            raise RuntimeError("its forward draws random numbers, which a trace would freeze")
    count, modules = 0, dict(copy.named_modules())
    for node in list(graph.nodes):
        pair = _pair(node, modules)
        if pair is not None:
            convolution, norm = pair
            replace_module(copy, node.args[0].target, fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
            count += 1
    if not count:
        return copy, 0
    graph.lint()
    return fx.GraphModule(copy, graph).eval().requires_grad_(requires_grad=False), count


def _pair(node: fx.Node, modules: dict[str, nn.Module]) -> tuple[Any, Any] | None:
    """Return convolution and batch norm of a node, if nothing else uses the convolution."""
    norm = modules.get(str(node.target)) if node.op == "call_module" else None
    if not isinstance(norm, _BatchNorm) or norm.running_mean is None or norm.training:
        return None
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
        return None
    convolution = modules[str(before.target)]
    calls = [n for n in node.graph.nodes if n.op == "call_module" and n.target == before.target]
    if not isinstance(convolution, _CONVOLUTIONS) or len(calls) != 1:
        return None
    return convolution, norm


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Replace the module of a name."""
    home, _, last = name.rpartition(".")
    setattr(network.get_submodule(home), last, module)
