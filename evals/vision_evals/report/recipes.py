"""A recipe in words: every key of it, the known ones in a person's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vision_evals.report import rounding
from vision_evals.report.words import plural

_NAMES = {
    "root": "data folder",
    "examples": "training images",
    "validation": "set aside to validate",
    "size": "side of the input",
    "batch_size": "batch",
    "init": "initial weights",
    "bias_start": "initial biases",
    "augment": "augmentation",
    "early_stopping": "early stopping",
}

_ABSENT = {
    "examples": "all",
    "activation": "the network's own",
    "bias_start": "torch's default",
    "dropout": "the network's own",
    "augment": "none",
    "early_stopping": "none: the last weights are returned",
}
"""What it means that a key is null; other keys are then left out."""


def facts(recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a recipe says: name and words, in the order of the log."""
    for key, value in recipe.items():
        text = _ABSENT.get(key) if value is None else _value_words(key, value)
        if text:
            yield _NAMES.get(key, key.replace("_", " ")), text


def _value_words(key: str, value: Any) -> str:
    if key == "optimizer" and isinstance(value, Mapping):
        named = {name: number for name, number in value.items() if name != "name"}
        return ", ".join(filter(None, (str(value.get("name", "")), _words(named))))
    if key == "early_stopping" and isinstance(value, Mapping) and set(value) == {"patience"}:
        return f"after {_epochs(value['patience'])} without a lower validation loss"
    if key == "validation" and _number(value):
        return f"{rounding.written(value, in_percent=True)} of the images"
    return _words(value)


def _epochs(value: Any) -> str:
    return plural(value, "epoch") if isinstance(value, int) else _words(value)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{str(key).replace('_', ' ')} {_words(of)}" for key, of in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return rounding.written(value) if _number(value) else str(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
