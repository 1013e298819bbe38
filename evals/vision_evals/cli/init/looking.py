"""What ``evals init`` sees: the pictures, the checkpoint, the network."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UnreadableError, UserError, printable
from vision_evals.images import sources
from vision_evals.images.decode import read
from vision_evals.images.image_set import ImageSet, limited
from vision_evals.images.labels import targets
from vision_evals.models.build import build
from vision_evals.models.classifier import Classifier
from vision_evals.models.inspection.inspect_file import FileInspection, inspect_file
from vision_evals.models.registry import Registry
from vision_evals.report.words import plural

MAX_OPENED = 200
"""Pictures whose size is looked at."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The images of a gate."""

    image_set: ImageSet
    sizes: Counter[tuple[int, int]]
    """Of those that were opened."""

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.image_set.images)

    @property
    def side(self) -> int | None:
        """Side of the square that all opened pictures are; None where they differ."""
        (size, *others) = self.sizes or [(0, 1)]
        return size[0] if not others and size[0] == size[1] else None

    def __str__(self) -> str:
        (width, height), _ = self.sizes.most_common(1)[0]
        all_same = len(self.sizes) == 1
        sizes = f"{width} x {height} pixels" if all_same else f"{len(self.sizes)} sizes"
        return f"{self.n:,} pictures in {len(self.image_set.labels)} classes, {sizes}"


def pictures(source: Path) -> Pictures:
    """Find pictures, and open some.

    Raises:
        UserError: there are none, or none can be opened.
    """
    image_set = sources.load(str(source), Path.cwd())
    sizes: Counter[tuple[int, int]] = Counter()
    for image in limited(image_set, MAX_OPENED).images:
        with suppress(UnreadableError):  # the run names it
            sizes[read(image.path).picture.size] += 1
    if not sizes:
        raise UserError(f"--images {source}: no picture can be opened; is this the right folder?")
    return Pictures(image_set, sizes)


@dataclass(frozen=True, slots=True)
class Network:
    """A network that was built as a run builds it."""

    classifier: Classifier
    file: FileInspection | None
    """Its checkpoint, if it has one."""

    def __str__(self) -> str:
        classifier, file = self.classifier, self.file
        built = f"{classifier.card.network}, {len(classifier.classes):,} classes"
        if file is None:
            return printable(f"{built}, weights: {classifier.weights}")
        return printable(
            f"{built}; {file.path} fits: {file.format}, {plural(file.tensors or 0, 'tensor')} with "
            f"{plural(file.parameters or 0, 'parameter')}"
        )


def network(alias: str, cards: Path, found: Pictures) -> Network:
    """Build the network of a card as a run would, and look into its file of weights.

    Raises:
        UnavailableError: its weights are not here and cannot be fetched.
        UserError: it cannot be built, its weights do not fit, or a label is no class of its.
    """
    card, base = Registry.read({}, cards, cards.parent).cards[alias]
    classifier = build(alias, card, base, download=True)
    targets(found.image_set, classifier.classes)
    if card.checkpoint is None:
        return Network(classifier, None)
    file = inspect_file(base / card.checkpoint, {alias: (card, base)})
    if not file.judged:
        raise UserError(printable(f"{file.path}: {file.refused}"))
    return Network(classifier, file)
