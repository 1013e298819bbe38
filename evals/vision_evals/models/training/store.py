"""Finished trainings on disk: one safetensors file a recipe and seed, its record in the header."""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vision_evals import log
from vision_evals.core.cache.code import code_digest
from vision_evals.core.errors import UserError
from vision_evals.core.paths import whole_file
from vision_evals.models.card import Card


def entry(
    cache: Path,
    card: Card,
    seed: int,
    *,
    start: str | None,
    untrained: str,
    answers: str,
    data: str,
    device: torch.device,
) -> Path:
    """Return the file of a training; another one for whatever changes its numbers.

    Args:
        cache: folder of all that is kept.
        card: its network and recipe count, but for the recipe's other seeds.
        seed: of this training.
        start: fingerprint of the classifier that it starts from.
        untrained: fingerprint of the network before its first step.
        answers: what that network says of fixed noise, see `answers`.
        data: fingerprint of the data.
        device: its kind counts.
    """
    assert card.recipe is not None
    key = {
        "recipe": card.recipe.model_dump(mode="json", exclude={"seeds"}),
        "network": card.network,
        "start": [card.start, start],
        "untrained": [untrained, answers],
        "data": data,
        "device": device.type,
        "versions": [torch.__version__, version("torchvision"), version("pillow")],
        "code": code_digest(),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache / "recipes" / f"{name}-{seed}.safetensors"


def answers(network: nn.Module, size: tuple[int, int], device: torch.device) -> str:
    """Return a sha256 of what a network says of fixed noise, and of the files of its classes.

    Weights and the source of a class do not show what a network of one's own was built with: a
    factor, a switch, a function that it calls.

    Args:
        network: left in eval mode.
        size: height and width of the pictures it takes.
        device: where it computes.
    """
    # of middling brightness: a network may not stand what nobody would show it
    noise = 0.25 + torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) / 2
    whole = hashlib.sha256()
    with torch.inference_mode():
        said = network.eval()(noise.to(device))
    whole.update(repr(said.cpu().tolist() if isinstance(said, Tensor) else type(said)).encode())
    kinds = {kind for module in network.modules() for kind in type(module).__mro__}
    files = {getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in kinds}
    own = [Path(file) for file in files if file and "site-packages" not in file]
    for file in sorted(file for file in own if file.is_file()):
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def write(file: Path, network: nn.Module, training: log.Training) -> None:
    """Keep a training so that a reader sees all of it or nothing, also of two at once.

    Raises:
        UserError: the folder cannot be written.
    """
    # clones: safetensors refuses weights that share memory
    state = {k: v.detach().cpu().clone().contiguous() for k, v in network.state_dict().items()}
    about = {"training": training.model_dump_json(), "sha256": _sha256(state)}
    try:
        with whole_file(file) as partial:
            save_file(state, partial, about)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: a training cannot be kept: {error}") from None


def read(file: Path, network: nn.Module) -> log.Training | None:
    """Load a kept training into a network, or return None: there is none, or a damaged one.

    A damaged one is warned about.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as kept:
            about = kept.metadata() or {}
            state = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        training = log.Training.model_validate_json(about["training"])
        _same(about["sha256"], _sha256(state))
        _fits(network, state)
        network.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(
            f"{file}: a damaged training in the cache ({reason}); it is trained again",
            stacklevel=2,
        )
        return None
    return training.model_copy(update={"cached": True})


def _fits(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise before the first weight is copied: half a network would be trained on otherwise."""
    own = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if own != {name: tensor.shape for name, tensor in state.items()}:
        raise ValueError("weights of another network")


def _same(written: str, found: str) -> None:
    if written != found:
        raise ValueError("other weights than were written")


def _sha256(state: Mapping[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
