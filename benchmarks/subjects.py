"""Who is measured: a classifier, its lane, the pixels it is fed, and what others hold of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from vision_evals.log import Precision
    from vision_evals.measures.probe import Probe
    from vision_evals.models.classifier import Classifier
    from vision_evals.models.fast_path.fast_path import FastPath

USUAL = {
    "resize": 256,
    "crop": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
INCEPTION = {**USUAL, "resize": 342, "crop": 299}
PACKAGED = ("squeezenet1_1_caffe", "efficientnet_lite0")


def classifier_of(name: str, device: str) -> Classifier:
    """Return a packaged classifier, or torchvision's network with seeded random weights."""
    from vision_evals.models.build import build
    from vision_evals.models.card import Card
    from vision_evals.models.registry import Registry

    if name in PACKAGED:
        return build(name, *Registry.read({}, None, Path()).card(name), download=False).to(device)
    given = INCEPTION if name == "inception_v3" else USUAL
    card = Card.model_validate(
        {"network": f"torchvision.models:{name}", "input": given, "classes": "imagenet"}
    )
    return build(name, card, Path(), download=False).to(device)


def fast_path_of(
    classifier: Classifier, forwards: int, precision: Precision, kernels: Path
) -> FastPath:
    """Return the path that so many forwards repay."""
    from vision_evals.models.fast_path.build import kernels_cached
    from vision_evals.models.fast_path.fast_path import FastPath
    from vision_evals.models.fast_path.policy import plan_of

    cached = kernels_cached(kernels, classifier, precision)
    plan = plan_of(classifier.network, forwards, classifier.device, precision, warm=cached)
    return FastPath(classifier, plan, kernels=kernels)


def fed(
    classifier: Classifier, folder: Path, n: int, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pixels (n, 3, H, W) of the first pictures, and what the network says of them."""
    import torch

    from vision_evals.images import sources
    from vision_evals.images.decode import read
    from vision_evals.images.geometry import pixels

    image_set = sources.load(str(folder), Path())
    images = image_set.images[:n]
    cut = torch.stack([pixels(read(i.path).picture, classifier.geometry) for i in images])
    x = cut.to(device).float().div(255)
    with torch.inference_mode():
        label = torch.cat([classifier.logits(part).argmax(1) for part in x.split(64)])
    return x, label.clone()


def theirs(classifier: Classifier) -> torch.nn.Module:
    """Return what a user of other tools holds: pixels in [0, 1] in, logits out."""
    import torch

    from vision_evals.models.classifier import Normalise

    return torch.nn.Sequential(Normalise(classifier.input), classifier.network)


def probe_of(
    classifier: Classifier, x: torch.Tensor, label: torch.Tensor, fast_path: FastPath
) -> Probe:
    """Return a fresh probe: nothing is known of the batch yet."""
    from vision_evals.measures.probe import Answers, Probe

    ids = tuple(map(str, range(len(x))))
    known = Answers(label, label[:, None], label.unique())
    return Probe(
        classifier, ids, x, known, differentiate=True, fast_path=fast_path, room=max(len(x), 32)
    )
