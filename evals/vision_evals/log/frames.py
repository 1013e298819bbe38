"""A run as pandas frames with plain columns: its metrics, its images, the rows of a check."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_evals.log.classifier import Classifier
from vision_evals.log.item import Item
from vision_evals.log.run import Run
from vision_evals.log.tables import read_rows
from vision_evals.log.verdicts import Judgement, Metric, Verdict

if TYPE_CHECKING:
    import pandas as pd

TEXT, NUMBER, COUNT, FLAG = "string", "float64", "Int64", "boolean"
"""Types of columns; what is absent is null in each of them."""

METRICS = {
    "suite": TEXT, "check": TEXT, "model": TEXT, "metric": TEXT, "axis": TEXT, "at": TEXT,
    "value": NUMBER, "low": NUMBER, "high": NUMBER, "n": COUNT, "threshold": NUMBER,
    "verdict": TEXT, "expectation": TEXT, "severity": TEXT, "known": TEXT, "of": TEXT,
    "margin": NUMBER,
    "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER, "floor": NUMBER,
    "unit": TEXT, "denominator": TEXT, "confidence": NUMBER, "method": TEXT,
    "higher_is_better": FLAG, "spread": "object", "reason": TEXT, "sentence": TEXT,
    "measure": TEXT, "images": TEXT, "against": TEXT, "check_verdict": TEXT, "id": TEXT,
    "run": TEXT,
}  # fmt: skip
"""Columns of `metrics`."""

IMAGES = {
    "images": TEXT, "image": TEXT, "classes": TEXT, "label": COUNT, "label_name": TEXT,
    "accepted": "object", "accepted_names": "object", "unreadable": TEXT, "run": TEXT,
}  # fmt: skip
"""Columns of `images`, before those about each image, such as its title."""

LABELS = ("label", "accepted")
"""Columns of class indices that every labelled image has."""

CLASS_COLUMNS_OF_OLD_LOGS = ("top1", "top1_eval", "top5", "other")
"""Columns of class indices in older logs, which did not record them."""


def metrics(run: Run) -> pd.DataFrame:
    """Return one row for each metric, or for each threshold of it where there are several.

    A check without numbers has one row, with its verdict and no metric.
    """
    import pandas as pd

    records = [row for item in run.items for row in _of_item(run, item)]
    return pd.DataFrame(records, columns=list(METRICS)).astype(dict(METRICS))


def _of_item(run: Run, item: Item) -> Iterator[dict[str, Any]]:
    about: dict[str, Any] = {
        "run": run.id, "id": item.id, "suite": item.suite, "check": item.check,
        "model": item.classifier, "measure": item.measure, "images": item.images,
        "against": item.against, "check_verdict": item.verdict, "sentence": item.sentence,
        "spread": [],
    }  # fmt: skip
    by_metric: dict[tuple[str, str | None], list[Judgement]] = {}
    for judgement in item.judgements:
        by_metric.setdefault((judgement.metric, judgement.at), []).append(judgement)
    for metric in item.metrics:
        number = about | _number(metric)
        judgements = by_metric.pop((metric.name, metric.at), None)
        yield from (number | _threshold(judgement) for judgement in judgements or ())
        if judgements is None:
            yield number | {"verdict": Verdict.RECORDED, "sentence": None}
    for judgement in (judgement for rest in by_metric.values() for judgement in rest):
        named = {"metric": judgement.metric, "at": judgement.at, "value": judgement.value}
        yield about | named | _threshold(judgement)
    if not item.metrics and not item.judgements:
        yield about | {"verdict": item.verdict}


def _number(metric: Metric) -> dict[str, Any]:
    same = ("axis", "at", "value", "low", "high", "n", "unit", "denominator", "confidence")
    more = ("method", "higher_is_better", "reason")
    fields = {name: getattr(metric, name) for name in (*same, *more)}
    return {"metric": metric.name, **fields, "spread": list(metric.spread)}


def _threshold(judgement: Judgement) -> dict[str, Any]:
    same = ("threshold", "verdict", "severity", "known", "of", "floor", "sentence")
    fields = {name: getattr(judgement, name) for name in same}
    fields["expectation"] = judgement.wanted
    if (gate := judgement.gate) is not None:
        paired = gate.paired
        fields |= {"margin": gate.margin, "difference": paired.difference}
        fields |= {"difference_low": paired.low, "difference_high": paired.high}
    return fields


def rows(run: Run, directory: Path, item: Item) -> pd.DataFrame:
    """Return the rows of a check on a classifier, class names next to class indices.

    After ``label`` comes ``label_name``, after the list ``top5`` comes ``top5_names``.

    Args:
        run: the log.
        directory: the run directory.
        item: one of its items.

    Raises:
        UserError: it has no rows, or they cannot be read.
    """
    import pandas as pd

    table = read_rows(run, directory, item, item.id).to_pandas()
    own = {"suite": item.suite, "check": item.check, "model": item.classifier}
    first = pd.DataFrame({k: [v] * len(table) for k, v in own.items() if k not in table})
    declared = CLASS_COLUMNS_OF_OLD_LOGS if item.class_columns is None else item.class_columns
    named = _with_names(table, (*LABELS, *declared), _classifier(run, item))
    return pd.concat([first, named], axis=1)


def images(run: Run, directory: Path) -> pd.DataFrame:
    """Return one row for each image of each image set: its label, or why it could not be read.

    An image that classifiers of different classes saw has a row for each class map. Images that
    are in the rows of no check are left out, unless they could not be read.

    Args:
        run: the log.
        directory: the run directory.

    Raises:
        UserError: a table cannot be read.
    """
    import pandas as pd

    unreadable = [
        (image_set.role, picture.image, picture.reason)
        for image_set in run.image_sets
        for picture in image_set.unreadable
    ]
    facts = [
        {**about, "images": image_set.role, "image": image}
        for image_set in run.image_sets
        for image, about in image_set.about.items()
    ]
    keys = ["images", "image"]
    more = list(dict.fromkeys(key for fact in facts for key in fact if key not in IMAGES))
    about = pd.DataFrame(facts, columns=[*keys, *more]).astype(TEXT)
    frames = [*_with_rows(run, directory), pd.DataFrame(unreadable, columns=[*keys, "unreadable"])]
    frame = pd.concat(frames, ignore_index=True).reindex(columns=list(IMAGES))
    return frame.assign(run=run.id).astype(dict(IMAGES)).merge(about, on=keys, how="left")


def _with_rows(run: Run, directory: Path) -> Iterator[pd.DataFrame]:
    """Yield the images in the rows of a check, by image set and class map."""
    sources: dict[tuple[str, str], Item] = {}
    for item in run.items:
        card = _classifier(run, item)
        if item.images is not None and item.table is not None:
            sources.setdefault((item.images, card.classes if card else ""), item)
    for (role, classes), item in sources.items():
        table = read_rows(run, directory, item, item.id, ("image", *LABELS)).to_pandas()
        if "image" in table:
            once = table.drop_duplicates("image", ignore_index=True)
            named = _with_names(once, LABELS, _classifier(run, item))
            yield named.assign(images=role, classes=classes)


def _classifier(run: Run, item: Item) -> Classifier | None:
    return next((card for card in run.classifiers if card.alias == item.classifier), None)


def _with_names(
    table: pd.DataFrame, columns: Sequence[str], classifier: Classifier | None
) -> pd.DataFrame:
    """Return a table with the names of classes after each column of their indices."""
    import pandas as pd

    names = dict(enumerate(classifier.class_names if classifier else ()))
    with_names: dict[str, Any] = {}
    for column in table:
        with_names[column] = table[column]
        if column not in columns:
            continue
        if table[column].dtype == object:  # lists
            lists = (() if row is None else row for row in table[column])
            with_names.setdefault(f"{column}_names", [[names.get(i) for i in row] for row in lists])
        else:
            with_names.setdefault(f"{column}_name", table[column].map(names).astype(TEXT))
    return pd.DataFrame({**with_names, **{column: table[column] for column in table}})
