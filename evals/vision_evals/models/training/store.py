"""Finished trainings on disk: a safetensors file for each recipe and seed, with its record."""

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
from vision_evals.core.errors import contained
from vision_evals.core.paths import whole_file
from vision_evals.models.card import Card, Input
from vision_evals.models.classifier import Classifier
from vision_evals.models.fingerprint import fingerprint
from vision_evals.models.training.data import Data


def training_file(
    cache: Path,
    card: Card,
    seed: int,
    start: Classifier | None,
    network: nn.Module,
    preprocessing: Input,
    data: Data,
    *,
    device: torch.device,
) -> Path:
    """Return the file of a training; another one for whatever changes its numbers.

    Args:
        cache: folder of the cache.
        card: its network and recipe count, except the recipe's other seeds.
        seed: of this training.
        start: the classifier that it starts from, if any.
        network: before its first step, on the device.
        preprocessing: what the network is trained with.
        data: what it is trained on.
        device: its kind counts.
    """
    assert card.recipe is not None
    untrained = fingerprint(network, preprocessing, data.classes.fingerprint, card)
    outputs = output_digest(network, data.geometry.size, device)
    key = {
        "recipe": card.recipe.model_dump(mode="json", exclude={"seeds"}),
        "network": card.network,
        "start": [card.start, None if start is None else start.fingerprint],
        "untrained": [untrained, outputs],
        "data": data.fingerprint,
        "device": device.type,
        "versions": [torch.__version__, version("torchvision"), version("pillow")],
        "code": code_digest(),
    }
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache / "recipes" / f"{name}-{seed}.safetensors"


def output_digest(network: nn.Module, size: tuple[int, int], device: torch.device) -> str:
    """Return a sha256 of a network's output for fixed noise, and of the files of its classes.

    Weights and the source of a class do not show every argument that a user's network was built
    with: a factor, a switch, a function that it calls.

    Args:
        network: left in eval mode.
        size: height and width of the pictures it takes.
        device: where it computes.
    """
    # of medium brightness: some networks fail on pixels that no picture has
    noise = 0.25 + torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) / 2
    whole = hashlib.sha256()
    with torch.inference_mode(), contained():
        network.eval()
        output = network(noise.to(device))
    values = output.cpu().tolist() if isinstance(output, Tensor) else type(output)
    whole.update(repr(values).encode())
    kinds = {kind for module in network.modules() for kind in type(module).__mro__}
    files = {getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in kinds}
    own = [Path(file) for file in files if file and "site-packages" not in file]
    for file in sorted(file for file in own if file.is_file()):
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


def write(file: Path, weights: Mapping[str, Tensor], training: log.Training) -> None:
    """Write a training so that a reader sees all of it or nothing, also when two runs write it.

    A folder that cannot be written causes a warning: the training itself is worth more than its
    copy.
    """
    # clones: safetensors refuses weights that share memory
    state = {k: v.detach().cpu().clone().contiguous() for k, v in weights.items()}
    about = {"training": training.model_dump_json(), "sha256": _sha256(state)}
    try:
        with whole_file(file) as partial:
            save_file(state, partial, about)
    except (OSError, SafetensorError) as error:
        warnings.warn(
            f"{file}: a training cannot be written to the cache: {error}; it is judged, and "
            "trained again next time",
            stacklevel=3,
        )


def read(file: Path, network: nn.Module) -> log.Training | None:
    """Load a finished training into a network, or return None if there is none.

    A damaged file causes a warning and counts as none.
    """
    if not file.is_file():
        return None
    try:
        with safe_open(file, "pt") as tensors:
            about = tensors.metadata() or {}
            state = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
        training = log.Training.model_validate_json(about["training"])
        _refuse_wrong(network, state, about["sha256"])
        network.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        warnings.warn(
            f"{file}: a damaged training in the cache ({reason}); it is trained again",
            stacklevel=2,
        )
        return None
    return training.model_copy(update={"cached": True})


def _refuse_wrong(network: nn.Module, state: Mapping[str, Tensor], sha256: str) -> None:
    """Raise a ValueError before the first weight is copied: a half-loaded network is useless."""
    if sha256 != _sha256(state):
        raise ValueError("other weights than were written")
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if shapes != {name: tensor.shape for name, tensor in state.items()}:
        raise ValueError("weights of another network")


def _sha256(state: Mapping[str, Tensor]) -> str:
    whole = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()
