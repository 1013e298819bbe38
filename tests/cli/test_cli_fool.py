"""``evals fool``: what is written is what was promised, and is seen as it says."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vision_evals.cli import main
from vision_evals.images.decode import read
from vision_evals.images.geometry import pixels
from vision_evals.models.build import build
from vision_evals.models.registry import Registry

MODEL = "squeezenet1_1_caffe"


def run(folder: Path, *arguments: str) -> int:
    with contextlib.chdir(folder):
        return main(["fool", *arguments, f"--model={MODEL}"])


def test_a_photograph_becomes_an_airliner(
    photographs: tuple[Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, str(photographs[0]), "--target", "airliner", "--out", "out") == 0
    printed = capsys.readouterr().out
    assert "image: bull mastiff" in printed
    png = tmp_path / "out" / f"{photographs[0].stem}-{MODEL}.png"
    card, base = Registry.read({}, None, Path()).card(MODEL)
    classifier = build(MODEL, card, base, download=False)
    with Image.open(png) as picture:
        saved = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    clean = pixels(read(photographs[0]).picture, classifier.geometry)
    assert int((saved.int() - clean.int()).abs().max()) <= 4
    probabilities = classifier.logits(saved[None].float() / 255).softmax(1)[0]
    assert classifier.classes.names[int(probabilities.argmax())] == "airliner"
    assert f"{float(probabilities.max()):.1%}" in printed
    with Image.open(png.with_name(f"{png.stem}-triptych.png")) as triptych:
        assert triptych.size == (3 * 227, 227)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "airplane"], 'it has "airliner" (404) and "warplane" (895)'),
        (["--target", "airlinr"], "airliner"),
        (["--target", "bull mastiff"], 'sees "bull mastiff" already'),
        (["--target", "airliner", "--budget", "4"], 'write "4/255"'),
        (["--target", "airliner", "--budget=-1/255"], "is negative"),
        (["--target", "airliner", "--steps", "0"], "steps = 0"),
        (["--target", "airliner", "--out", "file"], "--out file"),
    ],
)
def test_mistakes(
    photographs: tuple[Path, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert run(tmp_path, str(photographs[0]), *arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("evals: ") == 1
    assert "Traceback" not in error
