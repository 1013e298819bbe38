"""What the user says of a network: by flags, and on a terminal by answers to questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vision_evals.cli.init.checks import CHECKS, FOLDERS, Numbers, labelled
from vision_evals.core.errors import UserError

PUBLISHED = ("torchvision", "timm", "packaged")
"""Sources whose networks bring their own preprocessing."""

IMAGES = Path("data/val")
"""Where images are looked for in a repository."""

DISCORDANCE = 0.1
"""Share of images that only one of two equally good networks answers rightly: an assumption, which
the margin rests on and names."""


@dataclass(frozen=True, slots=True)
class Answers:
    """All that `init` cannot see for itself; None: not said."""

    network: str | None = None
    """``torchvision:NAME``, ``timm:NAME``, ``packaged:NAME`` or ``module:function``."""
    checkpoint: Path | None = None
    """File of weights; None: published ones, or those that the function makes."""
    images: Path | None = None
    """Class folders or a manifest."""
    classes: str | None = None
    """``imagenet``, ``folders``, or a file with one class name a line."""
    size: int | None = None
    """Side of the square that a network of the user's is fed."""
    mean: Numbers | None = None
    """Subtracted from each channel of pixels in [0, 1]."""
    std: Numbers | None = None
    """Divides each channel."""
    discordance: float = DISCORDANCE

    @property
    def source(self) -> str:
        """What stands before the colon of the network."""
        return (self.network or "").partition(":")[0]

    @property
    def own(self) -> bool:
        """Whether the network is the user's, so that only they know its preprocessing."""
        return self.source not in PUBLISHED


def from_flags(flags: Mapping[str, str | None]) -> Answers:
    """Return the answers that flags give, each checked."""
    given = {name: CHECKS[name](text) for name, text in flags.items() if text is not None}
    return Answers(**given)


def complete(answers: Answers, folder: Path) -> Answers:
    """Return the answers with what follows from them.

    Args:
        answers: of flags and questions.
        folder: of the repository.

    Raises:
        UserError: one that only the user knows is missing.
    """
    if answers.network is None:
        raise UserError(
            "--network is missing: torchvision:NAME, timm:NAME, or module:function of your own, "
            "such as my_pkg.nets:build"
        )
    if answers.own and answers.classes is None:
        raise UserError(
            "--classes is missing: only you know what the outputs of your network mean; give a "
            "file with one class name a line in the order of the outputs, imagenet, or "
            f"{FOLDERS} where they are your class folders, sorted by name"
        )
    images = answers.images or labelled(str(folder / IMAGES))
    return replace(answers, images=images, classes=answers.classes or "imagenet")
