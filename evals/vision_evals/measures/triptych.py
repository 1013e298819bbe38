"""Image, perturbation and adversarial side by side."""

from __future__ import annotations

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
    said = [f"{names[t]} {c:.2f}" for t, c in zip(top.tolist(), confidence.tolist(), strict=True)]
    titles = ("image", f"perturbation x {factor:.0f}", title)
    return Drawing(
        probe.ids[index],
        torch.cat(list(panels.clamp(0, 1)), dim=2),
        f"seen as {said[0]}, and as {said[2]} after a change of at most {largest * 255:.2g} of 255",
        tuple(Panel(title=t, said=s) for t, s in zip(titles, said, strict=True)),
        moved,
    )
