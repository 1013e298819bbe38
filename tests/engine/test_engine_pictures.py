"""Pictures on disk and what the log says of them."""

from __future__ import annotations

from pathlib import Path

import torch

from vision_evals.engine import pictures
from vision_evals.log import Line, Plot
from vision_evals.measures.measure import Drawing


def test_a_picture_keeps_its_plot(tmp_path: Path) -> None:
    plot = Plot(
        title="logits", x_label="epsilon", y_label="logit",
        lines=(Line(name="airliner", x=(0.0, 1.0), y=(2.0, None)),),
    )  # fmt: skip
    drawings = [
        Drawing("a.png", torch.zeros(3, 8, 8), "with", plot=plot),
        Drawing("b.png", torch.zeros(3, 8, 8), "without"),
    ]
    samples: dict[str, pictures.Sample] = {"a.png": "worst", "b.png": "fair"}
    first, second = pictures.save(reversed(drawings), samples, tmp_path, "check")
    assert (first.image, second.image) == ("a.png", "b.png"), "in the order of the samples"
    assert first.plot == plot
    assert second.plot is None
    assert (tmp_path / first.file).is_file()
