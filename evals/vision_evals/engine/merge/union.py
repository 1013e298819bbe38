"""What the logs of several parts know together: each classifier, image set and remark once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from vision_evals.log import Classifier, ImageSet, Run, Settings


def alias_of(item: str) -> str:
    """Return the alias in the bracket that ends an item's id."""
    return item.rpartition("[")[2].removesuffix("]")


def classifiers(found: Iterable[Classifier], selected: Sequence[str]) -> tuple[Classifier, ...]:
    """Return each classifier once, in the order of what was selected; those named aside come last.

    Args:
        found: of all parts; of one alias the first that could be loaded stays.
        selected: ids of all items.
    """
    by_alias: dict[str, Classifier] = {}
    for one in found:
        if one.alias not in by_alias or by_alias[one.alias].unavailable is not None:
            by_alias[one.alias] = one
    order = [*dict.fromkeys(map(alias_of, selected)), *sorted(by_alias)]
    return tuple(by_alias[alias] for alias in dict.fromkeys(order) if alias in by_alias)


def image_sets(found: Iterable[ImageSet]) -> tuple[ImageSet, ...]:
    """Return each image set once; of one role the first whose walk was through stays."""
    by_role: dict[str, ImageSet] = {}
    for one in found:
        if one.role not in by_role or by_role[one.role].fingerprint is None:
            by_role[one.role] = one
    return tuple(by_role.values())


def settings(runs: Sequence[Run]) -> Settings:
    """Return the settings, with every device that was used."""
    devices = once(run.settings.device for run in runs)
    names = ", ".join(once(run.settings.device_name for run in runs))
    return runs[0].settings.model_copy(
        update={
            "device": ", ".join(devices),
            "devices": devices if len(devices) > 1 else (),
            "device_name": names,
        }
    )


def joined(
    runs: Sequence[Run], command: str, said: Iterable[str], update: Mapping[str, object]
) -> Run:
    """Return one log of several that were asked the same.

    Args:
        runs: of all parts.
        command: as somebody typed it.
        said: further remarks.
        update: fields that are joined otherwise.
    """
    common = {
        "started": min(run.started for run in runs),
        "command": command,
        "settings": settings(runs),
        "classifiers": classifiers((c for run in runs for c in run.classifiers), runs[0].selected),
        "passes": tuple(walk for run in runs for walk in run.passes),
        "warnings": once([*(w for run in runs for w in run.warnings), *said]),
    }
    return runs[0].model_copy(update={**common, **update})


def once(said: Iterable[str]) -> tuple[str, ...]:
    """Return each remark once, in order."""
    return tuple(dict.fromkeys(said))
