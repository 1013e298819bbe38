"""The usual tools, used as their users do, and the single parts that bound any tool's speed.

foolbox for attacks, ImageFolder and a DataLoader for pictures; the forward and the decoding alone.
Whatever runs on a GPU is waited for before the clock is read.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_jpeg

from vision_evals.images.decode import read
from vision_evals.images.geometry import Geometry, Interpolation, pixels

FEW, MANY, WANTED = 0.1, 0.9, 8
"""Shares of images between which an epsilon tells networks apart, and how many epsilons."""


def as_loaded(network: nn.Module) -> nn.Module:
    """Return a copy as loading gives it: parameters asking for gradients, contiguous, eval mode."""
    network = deepcopy(network).requires_grad_().eval()
    with torch.no_grad():
        for values in (*network.parameters(), *network.buffers()):
            # not contiguous(): it takes a 1x1 kernel in channels_last for contiguous and leaves
            # strides that make convolutions run in channels_last after all
            plain = torch.empty_like(values, memory_format=torch.contiguous_format)
            values.data = plain.copy_(values)
    return network


def foolbox_sweep(
    network: nn.Module, x: Tensor, labels: Tensor, epsilons: Sequence[float]
) -> Tensor:
    """Attack by foolbox's one-step FGSM in linf at every epsilon, in one call.

    Args:
        network: pixels from 0 to 1 in, logits out, normalisation inside; used as it is, so hand
            over what a user has (see `as_loaded`).
        x: pixels from 0 to 1, (n, channels, height, width).
        labels: int64 of shape (n,).
        epsilons: of the range 0 to 1.

    Returns:
        bool of shape (epsilons, n) on the CPU: whether the image is still classified as its label.
    """
    attack = _foolbox().attacks.LinfFastGradientAttack()
    return _attacked(attack, network, x, labels, list(epsilons))


def foolbox_pgd(
    network: nn.Module,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    *,
    steps: int = 20,
    rel_stepsize: float = 0.1,
) -> Tensor:
    """Attack by foolbox's PGD in linf, from the image itself.

    Args:
        network: as `foolbox_sweep` takes it.
        x: pixels from 0 to 1, (n, channels, height, width).
        labels: int64 of shape (n,).
        epsilon: of the range 0 to 1.
        steps: how many.
        rel_stepsize: length of a step as a share of epsilon.

    Returns:
        bool of shape (n,) on the CPU: whether the image is still classified as its label.
    """
    attack = _foolbox().attacks.LinfPGD(rel_stepsize=rel_stepsize, steps=steps, random_start=False)
    return _attacked(attack, network, x, labels, [epsilon])[0]


def _foolbox() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("foolbox")


def _attacked(
    attack: Any, network: nn.Module, x: Tensor, labels: Tensor, epsilons: list[float]
) -> Tensor:
    foolbox = _foolbox()
    model = foolbox.PyTorchModel(network.eval(), bounds=(0, 1), device=x.device)
    criterion = foolbox.criteria.Misclassification(labels)
    broken: Tensor = attack(model, x, criterion, epsilons=epsilons)[2]
    return ~broken.cpu()  # which waits for the GPU


@dataclass(frozen=True, slots=True)
class Loop:
    """What one pass over a folder gave."""

    images: int
    seconds: float
    """From before the workers start to the last prediction."""
    start_seconds: float
    """The part of it until the first batch was there."""
    predictions: Tensor
    """Class of every picture in the folder's order, int64 of shape (images,), on the CPU."""


def usual_transform(
    resize: int,
    crop: int,
    mean: Sequence[float],
    std: Sequence[float],
    interpolation: Interpolation = "bilinear",
) -> Callable[[Any], Tensor]:
    """Return what every tutorial does to a PIL picture.

    Args:
        resize: new length of the shorter side in pixels.
        crop: side of the square in the middle in pixels.
        mean: of each channel, of the range 0 to 1.
        std: of each channel, of the range 0 to 1.
        interpolation: how the resize blends.
    """
    composed: Callable[[Any], Tensor] = transforms.Compose(
        [
            transforms.Resize(resize, transforms.InterpolationMode(interpolation)),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return composed


def loader_loop(
    folder: Path,
    network: nn.Module,
    transform: Callable[[Any], Tensor],
    device: str | torch.device,
    *,
    workers: int,
    batch_size: int,
    limit: int | None = None,
) -> Loop:
    """Classify a folder of class folders by the loop everyone writes.

    Listing the folder is not timed.

    Args:
        folder: class folders of pictures.
        network: what the transform returns in, logits out; on the device already.
        transform: a PIL picture to float32 of shape (channels, height, width).
        device: where the network is.
        workers: processes that decode; 0 for none.
        batch_size: pictures at once.
        limit: the first so many pictures only, in ImageFolder's order: class by class.
    """
    device = torch.device(device)
    on_gpu = device.type == "cuda"
    data: Any = ImageFolder(str(folder), transform)
    if limit is not None:
        data = torch.utils.data.Subset(data, range(min(limit, len(data))))
    loader = torch.utils.data.DataLoader(
        data, batch_size=batch_size, num_workers=workers, pin_memory=on_gpu
    )
    network.eval()
    found: list[Tensor] = []
    first = None
    _wait(device)
    began = time.perf_counter()
    with torch.no_grad():
        for batch, _ in loader:
            if first is None:
                first = time.perf_counter()
            found.append(network(batch.to(device, non_blocking=True)).argmax(1))
    predictions = torch.cat(found).cpu()
    seconds = time.perf_counter() - began
    return Loop(len(predictions), seconds, (first or began) - began, predictions)


def forward_alone(network_fn: Callable[[Tensor], Tensor], x: Tensor, repeats: int) -> float:
    """Return images/s of the best of some forwards, after two to warm up.

    Args:
        network_fn: logits of a batch.
        x: one batch, (n, channels, height, width), on the device already.
        repeats: how many are timed, each by itself.
    """
    best = float("inf")
    with torch.inference_mode():
        for turn in range(repeats + 2):
            _wait(x.device)
            began = time.perf_counter()
            network_fn(x)
            _wait(x.device)
            if turn >= 2:
                best = min(best, time.perf_counter() - began)
    return len(x) / best


def decode_alone(
    paths: Sequence[Path],
    threads: int,
    resize: int,
    crop: int,
    interpolation: Interpolation = "bilinear",
) -> float:
    """Return images/s of reading, decoding, resizing and cropping by PIL in threads.

    Args:
        paths: picture files.
        threads: how many decode at once.
        resize: new length of the shorter side in pixels.
        crop: side of the square in the middle in pixels.
        interpolation: how the resize blends.
    """
    geometry = Geometry(resize, crop, interpolation)

    def decode(path: Path) -> None:
        pixels(read(path).picture, geometry)

    decode(paths[0])  # imports torchvision
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for _ in pool.map(decode, paths):
            pass
        return len(paths) / (time.perf_counter() - began)


def decode_device_alone(paths: Sequence[Path], device: str | torch.device, batch: int) -> float:
    """Return images/s of torchvision's decoding onto a device, the bytes in memory already.

    Args:
        paths: JPEG files.
        device: cuda for nvJPEG; cpu decodes one after the other.
        batch: files at once.
    """
    device = torch.device(device)
    files = [torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8) for path in paths]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torchvision would rather have TorchCodec
        decode_jpeg(files[:batch], ImageReadMode.RGB, device)
        _wait(device)
        began = time.perf_counter()
        for start in range(0, len(files), batch):
            decode_jpeg(files[start : start + batch], ImageReadMode.RGB, device)
        _wait(device)
        return len(paths) / (time.perf_counter() - began)


def flipping_epsilons(
    logits_fn: Callable[[Tensor], Tensor],
    x: Tensor,
    labels: Tensor,
    candidates: Sequence[float],
) -> list[float]:
    """Choose eight epsilons at which one-step FGSM flips 10 to 90 % of the images.

    For networks with random weights whose labels are their own predictions, where nobody knows
    beforehand which epsilon does anything. Where fewer than eight candidates flip such a share,
    the ends of the range that does are sought by bisection, and eight taken evenly inside it.

    Args:
        logits_fn: logits of pixels from 0 to 1, differentiable.
        x: pixels from 0 to 1, (n, channels, height, width).
        labels: int64 of shape (n,).
        candidates: of the range 0 to 1, above 0.

    Returns:
        Eight different epsilons, ascending.

    Raises:
        ValueError: none between the smallest and the largest candidate flips such a share.
    """
    leaf = x.detach().clone().requires_grad_()
    loss = nn.functional.cross_entropy(logits_fn(leaf), labels, reduction="sum")
    sign = torch.autograd.grad(loss, leaf)[0].sign()

    def share(epsilon: float) -> float:
        with torch.no_grad():
            moved = logits_fn((x + epsilon * sign).clamp(0, 1))
        return float((moved.argmax(1) != labels).double().mean())

    shares = {epsilon: share(epsilon) for epsilon in sorted(candidates)}
    inside = [epsilon for epsilon, found in shares.items() if FEW <= found <= MANY]
    if len(inside) < WANTED:
        inside = _widened(share, shares, inside)
    if len(inside) < WANTED:
        told = ", ".join(f"{epsilon:.3g}: {found:.0%}" for epsilon, found in shares.items())
        raise ValueError(f"no epsilons flip {FEW:.0%} to {MANY:.0%} of the images ({told})")
    return [inside[round(i)] for i in np.linspace(0, len(inside) - 1, WANTED)]


def _widened(
    share: Callable[[float], float], shares: dict[float, float], inside: list[float]
) -> list[float]:
    """Return epsilons that flip the wanted share from as wide a range as there is, or fewer."""
    weak = max((e for e, found in shares.items() if found < FEW), default=min(shares))
    strong = min(
        (e for e, found in shares.items() if found > MANY and e > weak), default=max(shares)
    )
    low, high = _edge(share, weak, strong, FEW), _edge(share, weak, strong, MANY)
    # more than are wanted: shares do not rise quite steadily, so some may fall outside
    tried = [float(e) for e in np.geomspace(low, high, 4 * WANTED)] if low < high else []
    return sorted({*inside, *(e for e in tried if FEW <= share(e) <= MANY)})


def _edge(share: Callable[[float], float], low: float, high: float, level: float) -> float:
    """Return where the share passes a level, on the side of the wanted ones, by bisection."""
    if level == FEW and share(low) >= FEW:
        return low
    if level == MANY and share(high) <= MANY:
        return high
    for _ in range(16):
        middle = float(np.sqrt(low * high))
        found = share(middle)
        below = found < FEW if level == FEW else found <= MANY
        low, high = (middle, high) if below else (low, middle)
    return high if level == FEW else low


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
