"""A repository for ``evals init``: a network that sees the brightest channel, and its pictures."""

from __future__ import annotations

import contextlib
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from tests.inner import forgotten
from vision_evals.cli import main
from vision_evals.cli.init import address
from vision_evals.cli.init.answers import Answers
from vision_evals.cli.init.gate import Gate
from vision_evals.cli.init.writing import card_values, rendered

NETS = """
from torch import nn

def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3, bias=False))
"""

COLORS = ("red", "green", "blue")

INIT = ("--network=nets:build", "--checkpoint=best.safetensors", "--images=pictures",
        "--classes=classes.txt", "--mean=0.485,0.456,0.406", "--std=0.229,0.224,0.225")  # fmt: skip


def furnish(folder: Path, each: int = 100) -> None:
    """Write a network, its checkpoint and pictures.

    With three hundred an equal checkpoint is within one point: 2.7 / (n + 2.7) is below 0.01.

    Args:
        folder: of the repository.
        each: pictures of a class.
    """
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "classes.txt").write_text("".join(f"{c}\n" for c in COLORS), encoding="utf-8")
    weights(folder, 10.0)
    for index, name in enumerate(COLORS):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(each):
            color = [40 + number, 60 + number, 80 + number]  # no two channels tie
            color[index] = 220
            Image.new("RGB", (8, 8), tuple(color)).save(folder / f"pictures/{name}/{number}.png")


def weights(folder: Path, scale: float) -> None:
    """Write a checkpoint that sees the brightest channel; the darkest with a negative scale.

    Every channel has a say in every lead, or shaking it would look like a hidden path.
    """
    mixed = torch.tensor([[1.0, 0.1, 0.3], [0.3, 1.0, 0.1], [0.1, 0.3, 1.0]])
    save_file({"2.weight": mixed * scale}, folder / "best.safetensors")


def init(folder: Path, *arguments: str) -> int:
    """Run the command in a folder."""
    with contextlib.chdir(folder), forgotten(folder):
        return main(["init", *arguments])


def everything(folder: Path) -> dict[str, bytes]:
    """Return all files of a repository but those of runs and caches."""
    left_out = {"runs", "baseline", ".evals_cache", "__pycache__", "pictures"}
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not left_out & set(file.relative_to(folder).parts)
    }


def workflow(network: str = "nets:build") -> str:
    """Return the text of the CI job, as it is written for a network."""
    answers = Answers(network=network, images=Path("pictures"), classes="classes.txt")
    values = {
        **card_values(answers, Path(), None),
        "requirement": address.requirement(answers.source),
        "placeholder": address.installed_from() is None,
        "gate": Gate(300, 0.1),
        "floor": None,
        "accuracy": None,
    }
    return rendered(values)[".github/workflows/evals.yml"]
