"""Image, perturbation and adversarial side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vision_evals.log import Panel
from vision_evals.measures.measure import Drawing

if TYPE_CHECKING:
    import torch

    from vision_evals.measures.probe import Probe


def triptych(probe: Probe, index: int, moved: torch.Tensor, title: str) -> Drawing:
    """Return the picture of one image of a probe.

    Args:
        probe: whose classifier names the parts.
        index: which image of the batch.
        moved: (3, H, W) in [0, 1], the adversarial.
        title: of the third panel.
    """
    import torch

    image = probe.pixels[index]
    change = moved - image
    largest = float(change.abs().max())
    # grey is no change; the factor stretches the largest change to black or white
    factor = 0.5 / largest if largest > 0 else 1.0
    panels = torch.stack([image, 0.5 + change * factor, moved])
    with torch.inference_mode():
        probabilities = probe.classifier.logits(panels.clamp(0, 1)).softmax(dim=1)
    confidence, top = probabilities.max(dim=1)
    names = probe.classifier.classes.names
    titles = ("image", f"perturbation x {factor:.0f}", title)
    found = answered(titles, [names[t] for t in top.tolist()], confidence.tolist())
    return Drawing(
        probe.ids[index],
        torch.cat(list(panels.clamp(0, 1)), dim=2),
        f"seen as {found[0].said}, and as {found[2].said} after a change of at most "
        f"{largest * 255:.2g} of 255",
        found,
        moved,
    )


def answered(
    titles: Sequence[str], answers: Sequence[str], confidences: Sequence[float]
) -> tuple[Panel, ...]:
    """Return the parts of a picture with what the network says of each; ``image`` is unchanged."""
    return tuple(
        Panel(
            title=title,
            answer=answer,
            confidence=confidence if math.isfinite(confidence) else None,
            original=title == "image",
        )
        for title, answer, confidence in zip(titles, answers, confidences, strict=True)
    )
