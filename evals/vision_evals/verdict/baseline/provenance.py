"""What must be equal for two numbers to be comparable, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vision_evals import log
from vision_evals.log.identity import Likeness, likeness
from vision_evals.verdict.baseline.paths import NumericPath, fast_path_names, paths

if TYPE_CHECKING:
    import pandas as pd

MAX_IMAGES_NAMED = 3
"""Images of one difference that are named."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two entries that are compared, with the records of its run."""

    item: log.Item
    classifier: log.Classifier | None
    settings: log.Settings
    images: tuple[log.ImageSet, ...]
    """Of the check, and the second set where it compares two."""
    paths: tuple[NumericPath, ...] = ()
    """Of its numbers; empty where they are unknown, or it made no forwards."""


def side_of(run: log.Run, item: log.Item) -> Side:
    """Return an entry of a log with its records."""
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
    """Return what differs between two entries in addition to the network, each in a few words.

    What is unknown before the pass, such as the fingerprint of images, is left out. Numeric paths
    are left out too: each gate decides how far they may differ, see `numeric_gap`.
    """
    return (*other_question(then, now), *_config(then, now), *_images(then, now))


def networks(then: Side, now: Side) -> Likeness | None:
    """Return how far both have one network; None where a log does not record it."""
    if then.classifier is None or now.classifier is None:
        return None
    return likeness(then.classifier, now.classifier)


def other_images(then: pd.DataFrame, now: pd.DataFrame) -> str | None:
    """Return how the images of two tables differ in ids or labels; None where they are equal."""
    have_images = ["image" in rows for rows in (then, now)]
    if not all(have_images):
        return "rows of images on one side only" if any(have_images) else None
    first, second = (dict.fromkeys(rows["image"].astype(str)) for rows in (then, now))
    gone = [image for image in first if image not in second]
    new = [image for image in second if image not in first]
    if gone or new:
        parts = [f"{len(gone)} only there ({_list_images(gone)})"] if gone else []
        parts += [f"{len(new)} only here ({_list_images(new)})"] if new else []
        return f"other images: {', '.join(parts)}"
    if "label" in then and "label" in now:
        before, after = (rows.drop_duplicates("image").set_index("image") for rows in (then, now))
        # labels are class indices; differing class maps are reported by `_config`
        moved = before.index[before["label"] != after["label"].reindex(before.index)]
        if len(moved):
            return f"other labels of {len(moved)} images ({_list_images(list(map(str, moved)))})"
    return None


def other_question(then: Side, now: Side) -> Iterator[str]:
    """Yield differences of measure and parameters, which make two numbers incomparable."""
    if then.item.measure != now.item.measure:
        yield f"measure {then.item.measure} there, {now.item.measure} here"
        return
    for key in dict.fromkeys([*then.item.parameters, *now.item.parameters]):
        before, after = (side.item.parameters.get(key) for side in (then, now))
        if before != after:
            yield f"parameter {key} = {_brief(before)} there, {_brief(after)} here"


def _config(then: Side, now: Side) -> Iterator[str]:
    pairs: list[tuple[str, str, str]] = []
    precisions = then.settings.precision, now.settings.precision
    if "tf32" in precisions or not (then.paths and now.paths):  # its error is not measured
        pairs += [("precision", *precisions)]
    pairs += [("seed", str(then.settings.seed), str(now.settings.seed))]
    if (then.classifier is None) != (now.classifier is None):
        yield "the log of one side does not record the network"
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


def _list_images(images: Sequence[str]) -> str:
    return ", ".join(images[:MAX_IMAGES_NAMED]) + (
        ", ..." if len(images) > MAX_IMAGES_NAMED else ""
    )
