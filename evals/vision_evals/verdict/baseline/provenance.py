"""What must be equal for two numbers to be about the same thing, and what is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.verdict.baseline.paths import NumericPath, fast_path_names, paths

if TYPE_CHECKING:
    import pandas as pd

MAX_IMAGES_NAMED = 3
"""Differences of one kind that are named."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two entries, and the run's records that say how it came about."""

    item: log.Item
    classifier: log.Classifier | None
    settings: log.Settings
    images: tuple[log.ImageSet, ...]
    """Those of the check, and those that it compares with where it does."""
    paths: tuple[NumericPath, ...] = ()
    """By which its numbers came; empty where nobody said, or it made no forwards."""


def side_of(run: log.Run, item: log.Item) -> Side:
    """Return an entry of a log with the records it names."""
    cards = {card.alias: card for card in run.classifiers}
    sets = {images.role: images for images in run.image_sets}
    roles = [role for role in (item.images, item.against) if role is not None]
    card = cards.get(item.classifier)
    return Side(
        item,
        card,
        run.settings,
        tuple(sets[role] for role in roles if role in sets),
        paths(run.passes, run.settings, roles, fast_path_names(item.classifier, card)),
    )


def differences(then: Side, now: Side) -> tuple[str, ...]:
    """Return what differs between two entries beside the network, each in a few words.

    What is not known yet, such as the fingerprint of images nobody has walked over, is left out.
    Paths are not looked at: how far they may differ is for each gate to say, see `apart`.
    """
    return (*other_question(then, now), *_config(then, now), *_images(then, now))


def other_question(then: Side, now: Side) -> tuple[str, ...]:
    """Return what differs in what was asked: across that not even a number can be compared."""
    return tuple(_measure(then, now))


def same_network(then: Side, now: Side) -> bool:
    """Whether both are about one network: equal in weights, preprocessing, classes and code."""
    prints = [one.classifier and one.classifier.fingerprint for one in (then, now)]
    return prints[0] is not None and prints[0] == prints[1]


def other_images(then: pd.DataFrame, now: pd.DataFrame) -> str | None:
    """Return how the images of two tables differ in ids or labels; None where they do not."""
    named = ["image" in rows for rows in (then, now)]
    if not all(named):
        return "rows of images on one side only" if any(named) else None
    first, second = (dict.fromkeys(rows["image"].astype(str)) for rows in (then, now))
    gone = [image for image in first if image not in second]
    new = [image for image in second if image not in first]
    if gone or new:
        said = [f"{len(gone)} only there ({_named(gone)})"] if gone else []
        said += [f"{len(new)} only here ({_named(new)})"] if new else []
        return f"other images: {', '.join(said)}"
    if "label" in then and "label" in now:
        before, after = (rows.drop_duplicates("image").set_index("image") for rows in (then, now))
        # class indices: where the class maps differ, that was said before
        moved = before.index[before["label"] != after["label"].reindex(before.index)]
        if len(moved):
            return f"other labels of {len(moved)} images ({_named(list(map(str, moved)))})"
    return None


def _measure(then: Side, now: Side) -> Iterator[str]:
    if then.item.measure != now.item.measure:
        yield f"measure {then.item.measure} there, {now.item.measure} here"
        return
    for key in dict.fromkeys([*then.item.parameters, *now.item.parameters]):
        before, after = (one.item.parameters.get(key) for one in (then, now))
        if before != after:
            yield f"parameter {key} = {_brief(before)} there, {_brief(after)} here"


def _config(then: Side, now: Side) -> Iterator[str]:
    pairs: list[tuple[str, str, str]] = []
    precisions = then.settings.precision, now.settings.precision
    if "tf32" in precisions or not (then.paths and now.paths):  # how far that is, nobody measures
        pairs += [("precision", *precisions)]
    pairs += [("seed", str(then.settings.seed), str(now.settings.seed))]
    if (then.classifier is None) != (now.classifier is None):
        yield "the log of one side does not say which network it was"
    if then.classifier is not None and now.classifier is not None:
        pairs += [("preprocessing", then.classifier.input, now.classifier.input)]
        pairs += [("classes", then.classifier.classes, now.classifier.classes)]
        if then.classifier.class_names != now.classifier.class_names:
            yield "other names or another order of classes"
    for name, before, after in pairs:
        if before != after:
            yield f"{name}: {before} there, {after} here"


def _images(then: Side, now: Side) -> Iterator[str]:
    for before, after in zip(then.images, now.images, strict=False):
        if (before.limit, before.n, before.total) != (after.limit, after.n, after.total):
            yield (
                f"{after.role}: {before.n:,} of {before.total:,} images there, "
                f"{after.n:,} of {after.total:,} here"
            )
        elif None not in {before.fingerprint, after.fingerprint} and (
            before.fingerprint != after.fingerprint
        ):
            yield f"{after.role}: other ids, labels or bytes of images"
    if len(then.images) != len(now.images):
        yield "one compares two image sets, the other does not"


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _named(images: Sequence[str]) -> str:
    return ", ".join(images[:MAX_IMAGES_NAMED]) + (
        ", ..." if len(images) > MAX_IMAGES_NAMED else ""
    )
