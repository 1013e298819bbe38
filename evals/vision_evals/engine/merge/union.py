"""Joins the logs of several parts: each classifier, image set and warning once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vision_evals.log import Classifier, ImageSet, Run, Settings


def classifiers(cards: Iterable[Classifier], selected: Sequence[str]) -> tuple[Classifier, ...]:
    """Return each classifier once, in the order of what was selected; others come last.

    Args:
        cards: of all parts; of one alias the first that could be loaded stays.
        selected: ids of all items.
    """
    by_alias: dict[str, Classifier] = {}
    for card in cards:
        if card.alias not in by_alias or by_alias[card.alias].unavailable is not None:
            by_alias[card.alias] = card
    # the alias is in the bracket that ends an item's id
    aliases = (item.rpartition("[")[2].removesuffix("]") for item in selected)
    order = [*aliases, *sorted(by_alias)]
    return tuple(by_alias[alias] for alias in dict.fromkeys(order) if alias in by_alias)


def image_sets(records: Iterable[ImageSet]) -> tuple[ImageSet, ...]:
    """Return each image set once; of one role the first with a fingerprint stays."""
    by_role: dict[str, ImageSet] = {}
    for record in records:
        if record.role not in by_role or by_role[record.role].fingerprint is None:
            by_role[record.role] = record
    return tuple(by_role.values())


def settings(runs: Sequence[Run]) -> Settings:
    """Return the settings, with every device that was used."""
    devices = unique(run.settings.device for run in runs)
    names = ", ".join(unique(run.settings.device_name for run in runs))
    return runs[0].settings.model_copy(
        update={
            "device": ", ".join(devices),
            "devices": devices if len(devices) > 1 else (),
            "device_name": names,
        }
    )


def join_logs(
    runs: Sequence[Run], command: str, remarks: Iterable[str], update: Mapping[str, object]
) -> Run:
    """Return one log from those of parts with the same selection.

    Args:
        runs: of all parts.
        command: as typed.
        remarks: further remarks.
        update: further fields.
    """
    common = {
        "started": min(run.started for run in runs),
        "command": command,
        "settings": settings(runs),
        "classifiers": classifiers((c for run in runs for c in run.classifiers), runs[0].selected),
        "passes": tuple(record for run in runs for record in run.passes),
        "warnings": unique([*(w for run in runs for w in run.warnings), *remarks]),
    }
    return runs[0].model_copy(update={**common, **update})


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """Return each value once, in order."""
    return tuple(dict.fromkeys(values))
