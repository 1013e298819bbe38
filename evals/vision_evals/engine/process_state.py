"""What the code of one classifier may change for all others: compared, put back, and named."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.modules import module as modules

_backends: Any = torch.backends


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that belongs to the whole process."""

    name: str
    get: Callable[[], Any]
    """Returns None where the value cannot be told; it is left alone then."""
    put: Callable[[Any], object]
    numeric: bool = True
    """Whether it changes the numbers of a network."""
    named: bool = True
    """Whether a change is said; random numbers have a validity check of their own."""


class Touched(NamedTuple):
    """A setting that was changed, and is what it was again."""

    text: str
    """Which one, and the values where they are short."""
    numeric: bool


def settings() -> dict[Setting, Any]:
    """Return the settings of this process as they are now."""
    return {setting: setting.get() for setting in SETTINGS}


def restore(before: Mapping[Setting, Any]) -> list[Touched]:
    """Put every setting back to what it was, and return those that were changed.

    A new environment variable stays: a library that was imported may need it.

    Args:
        before: what `settings` returned.
    """
    touched = []
    for setting, value in before.items():
        now = setting.get()
        if value is None or _equal(now, value):
            continue
        setting.put(value)
        if setting.named:
            values = f" from {value} to {now}" if len(f"{value}{now}") < 200 else ""
            touched.append(Touched(f"{setting.name}{values}", setting.numeric))
    return touched


@contextlib.contextmanager
def put_back() -> Iterator[list[Touched]]:
    """Restore the settings after a block; yield a list that gets those that were changed."""
    before, touched = settings(), list[Touched]()
    try:
        yield touched
    finally:
        touched += restore(before)


def _equal(now: Any, before: Any) -> bool:
    if isinstance(before, Environment):
        return all(now.get(name) == value for name, value in before.items())
    if isinstance(before, torch.Tensor):
        return torch.equal(now, before)
    if isinstance(before, list):  # of one tensor for each device
        return all(map(torch.equal, now, before))
    return bool(now == before)


_GLOBAL_HOOKS = tuple(
    name for name in vars(modules) if name.startswith("_global_") and "hooks" in name
)


class Environment(dict[str, str]):
    """The variables of the process."""


def _attribute(owner: Any, name: str, title: str) -> Setting:
    return Setting(f"{title}.{name}", partial(getattr, owner, name), partial(setattr, owner, name))


def _matmul_precision() -> str | None:
    with contextlib.suppress(RuntimeError):  # newer settings that no older one describes
        return torch.get_float32_matmul_precision()
    return None


def _folder() -> Path | None:
    with contextlib.suppress(OSError):  # it may have been removed
        return Path.cwd()
    return None


def _flushing() -> bool:
    return not bool(torch.full((1,), 1e-310, dtype=torch.float64, device="cpu").mul(1.0).item())


def _default_device() -> torch.device:
    return torch.get_default_device()


def _put_default_device(device: torch.device) -> None:
    # on a CPU without one: a default device intercepts every call of torch
    torch.set_default_device(None if device.type == "cpu" else device)


def _global_hooks() -> dict[str, dict[Any, Any]]:
    return {name: dict(getattr(modules, name)) for name in _GLOBAL_HOOKS}


def _put_global_hooks(before: Mapping[str, Mapping[Any, Any]]) -> None:
    for name, hooks in before.items():
        present = getattr(modules, name)
        present.clear()
        present.update(hooks)


def _devices_drawn() -> list[torch.Tensor] | None:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]


def _numpy_generator() -> tuple[Any, ...]:
    state: Any = np.random.get_state()  # noqa: NPY002 - the global one, on purpose
    name, key, *rest = state
    return name, key.tobytes(), *rest


def _put_numpy_generator(state: tuple[Any, ...]) -> None:
    name, key, *rest = state
    np.random.set_state((name, np.frombuffer(key, np.uint32), *rest))  # noqa: NPY002 - as above


def _settings() -> Iterator[Setting]:
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("torch's default device", _default_device, _put_default_device)
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting("torch's flushing of denormal numbers", _flushing, torch.set_flush_denormal)
    yield Setting(
        "torch's deterministic mode",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    )
    for device in ("cpu", "cuda"):
        yield Setting(
            f"autocast on {device}",
            partial(torch.is_autocast_enabled, device),
            partial(torch.set_autocast_enabled, device),
        )
    yield Setting(
        "torch's float32 matmul precision", _matmul_precision, torch.set_float32_matmul_precision
    )
    for title, owner in (
        ("cudnn", _backends.cudnn), ("cudnn.conv", _backends.cudnn.conv),
        ("cudnn.rnn", _backends.cudnn.rnn), ("cuda.matmul", _backends.cuda.matmul),
        ("mkldnn", _backends.mkldnn), ("mkldnn.conv", _backends.mkldnn.conv),
        ("mkldnn.rnn", _backends.mkldnn.rnn), ("mkldnn.matmul", _backends.mkldnn.matmul),
    ):  # fmt: skip
        yield _attribute(owner, "fp32_precision", f"torch.backends.{title}")
    for title, names in (
        ("cudnn", ("enabled", "benchmark", "deterministic")), ("mkldnn", ("enabled",)),
        ("quantized", ("engine",)),
    ):  # fmt: skip
        for name in names:
            yield _attribute(getattr(_backends, title), name, f"torch.backends.{title}")
    yield Setting("hooks on every module", _global_hooks, _put_global_hooks)
    yield Setting("the current folder", _folder, os.chdir, numeric=False)
    yield Setting(
        "environment variables", lambda: Environment(os.environ), os.environ.update, numeric=False
    )
    for get, put in (
        (torch.get_rng_state, torch.set_rng_state), (random.getstate, random.setstate),
        (_numpy_generator, _put_numpy_generator), (_devices_drawn, torch.cuda.set_rng_state_all),
    ):  # fmt: skip
        yield Setting("a generator", get, put, named=False)


SETTINGS = tuple(_settings())
"""In the order in which they are put back."""
