"""Pictures of images as the network saw them, alone or next to their adversarial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vision_evals.log import Panel
from vision_evals.measures.measure import Drawing

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from vision_evals.measures.probe import Probe


def triptych(probe: Probe, index: int, moved: torch.Tensor, title: str) -> Drawing:
    """Return image, perturbation and adversarial side by side.

    Args:
        probe: whose classifier predicts the class of each panel.
        index: of the image in the batch.
        moved: (3, H, W) in [0, 1], the adversarial.
        title: of the third panel.
    """
    import torch

    image = probe.pixels[index]
    change = moved - image
    largest = float(change.abs().max())
    # grey is no change; the factor stretches the largest change to black or white
    factor = 0.5 / largest if largest > 0 else 1.0
    panels = torch.stack([image, 0.5 + change * factor, moved]).clamp(0, 1)
    with torch.inference_mode():
        probabilities = probe.classifier.logits(panels).softmax(dim=1)
    titles = ("image", f"perturbation x {factor:.0f}", title)
    answers = answered(titles, probe.classifier.classes.names, probabilities)
    return Drawing(
        probe.ids[index],
        torch.cat(list(panels), dim=2),
        f"seen as {answers[0].subtitle}, and as {answers[2].subtitle} after a change of at most "
        f"{largest * 255:.2g} of 255",
        answers,
        moved,
    )


def answered(
    titles: Sequence[str], names: Sequence[str], probabilities: torch.Tensor
) -> tuple[Panel, ...]:
    """Return panels with the likeliest class of each, from probabilities (panels, classes).

    The panel called ``image`` is the unchanged one.
    """
    confidence, top = probabilities.max(dim=1)
    return tuple(
        Panel(
            title=title,
            answer=names[index],
            confidence=value if math.isfinite(value) else None,
            original=title == "image",
        )
        for title, index, value in zip(titles, top.tolist(), confidence.tolist(), strict=True)
    )


def as_seen(probe: Probe, rows: pd.DataFrame, starts: Iterable[str]) -> tuple[Drawing, ...]:
    """Return each image with its likeliest class, from ``top5`` and ``confidence`` of its row.

    Args:
        probe: of the images.
        rows: one for each image.
        starts: of each caption.
    """
    names = probe.classifier.classes.names
    images = zip(probe.ids, probe.pixels, starts, rows["top5"], rows["confidence"], strict=True)
    return tuple(
        Drawing(image, pixels, f"{start}seen as {names[top5[0]]} {confidence:.2f}")
        for image, pixels, start, top5, confidence in images
    )
