"""CUDA graphs: a forward is recorded once, and replayed without the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

Forward = Callable[[torch.Tensor], torch.Tensor]

WARM_UP_FORWARDS = 3
"""Forwards before the recording: libraries choose and allocate in the first ones."""

_HOST_WAITS = frozenset(
    {"_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "unique_dim"}
    | {"_unique", "_unique2", "unique_consecutive", "bincount", "histc", "repeat_interleave"}
)
"""Operations whose result, or its size, the host needs."""


class Graphed:
    """Replays a forward for batches of one shape; others run as they are."""

    def __init__(self, forward: Forward, sample: torch.Tensor) -> None:
        """Record the forward at the shape of ``sample`` (n, 3, H, W) on a CUDA device.

        The current stream of that device is restored, also if recording fails.
        """
        self._forward = forward
        self._pixels = sample.clone()
        current = torch.cuda.current_stream(sample.device)
        side = torch.cuda.Stream(sample.device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        try:
            with torch.cuda.stream(side), torch.inference_mode():
                for _ in range(WARM_UP_FORWARDS):
                    forward(self._pixels)
            current.wait_stream(side)
            self._graph = torch.cuda.CUDAGraph()
            recording = torch.cuda.graph(
                self._graph, stream=side, capture_error_mode="thread_local"
            )
            with recording, torch.inference_mode():
                self._output = forward(self._pixels)
        finally:
            torch.cuda.set_stream(current)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits, in memory of their own: the next replay writes over the graph's."""
        if pixels.shape != self._pixels.shape:
            return self._forward(pixels)
        self._pixels.copy_(pixels)
        self._graph.replay()
        return self._output.clone()


def refuse_waiting(forward: Forward, sample: torch.Tensor) -> None:
    """Refuse a forward during which the host waits for the device.

    Recording such a forward fails halfway, and leaves streams and allocator in an unclear state.

    Raises:
        RuntimeError: naming the operation.
    """
    # inference mode hides the parts of an operation
    with torch.no_grad(), _RefuseWaiting():  # type: ignore[no-untyped-call]
        forward(sample)


class _RefuseWaiting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Works for this thread alone, unlike torch's own mode that reports synchronisation."""

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = func.overloadpacket.__name__
        devices = [a.device for a in args if isinstance(a, torch.Tensor)]
        output = func(*args, **(kwargs or {}))
        moved = isinstance(output, torch.Tensor) and devices and output.device != devices[0]
        if name in _HOST_WAITS or moved or (name.startswith("index") and _masks(args)):
            raise RuntimeError(f"its forward waits for the device in {name}")
        return output


def _masks(args: Sequence[Any]) -> bool:
    """Return whether an indexing uses a mask: then the size of its result is unknown."""
    indices = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    chosen = (index.dtype for index in indices if isinstance(index, torch.Tensor))
    return any(dtype in {torch.bool, torch.uint8} for dtype in chosen)
