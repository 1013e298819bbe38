"""Keys of the cache: everything that changes a row, and the images it is about."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import features

from vision_evals.core.cache.code import code_digest, own_code, unwrapped
from vision_evals.core.cache.describe import UnknownValueError, describe
from vision_evals.core.cache.store import Cache
from vision_evals.engine.tasks import RunConfig, Task, TaskGroup
from vision_evals.images.image_set import Image
from vision_evals.log.environment import versions
from vision_evals.measures.measure import Measure
from vision_evals.models.device import name_of


@dataclass(frozen=True)
class KeyedTask:
    """A task of a pass, and its key in the cache."""

    group: TaskGroup
    task: Task
    key: str
    """Of everything that changes a row, except the images."""

    def derived_key(self, *more: object) -> str:
        """Return the key of a result that depends on this task and on more values."""
        return _hash([self.key, *more])

    def describe_entry(self, n: int) -> dict[str, Any]:
        """Return what `evals cache` shows of an entry on n images."""
        return {
            "classifier": self.group.classifier.name,
            "measure": self.task.measure.name,
            "n": n,
            "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }


def keyed_tasks(groups: Iterable[TaskGroup], batch: int, config: RunConfig) -> dict[str, KeyedTask]:
    """Return every task that has a key, by table; warn of the others.

    Args:
        groups: with the tasks.
        batch: images in one forward.
        config: how to compute, with a cache.
    """
    assert config.cache is not None
    keyed_tasks = {}
    for group in groups:
        logits = _logits(group, config.cache)
        for task in group.tasks:
            key = None if logits is None else _task_key(group, task, config, batch, logits)
            if key is not None:
                keyed_tasks[task.table] = KeyedTask(group, task, key)
    return keyed_tasks


def _logits(group: TaskGroup, cache: Cache) -> Sequence[str] | None:
    """Return the network's answers to fixed inputs; None, with a warning, if it is not known."""
    classifier = group.classifier
    if classifier.hidden is None and classifier.answers is not None:
        return classifier.answers.logits
    cache.warn(f"{classifier.name}: its rows are not cached: {classifier.hidden}")
    return None


def _task_key(
    group: TaskGroup, task: Task, config: RunConfig, batch: int, logits: Sequence[str]
) -> str | None:
    """Return the key of everything that changes a row, except the images; None without a key."""
    among = None if group.answers is None else group.answers.among.tolist()
    try:
        measure = _measure_key(task.measure)
    except UnknownValueError as error:
        assert config.cache is not None
        config.cache.warn(f"{task.measure.name}: its rows are not cached: {error}")
        return None
    return _hash(
        {
            "classifier": [group.classifier.fingerprint, *logits],
            "measure": measure,
            "parameters": task.parameters.model_dump(mode="json"),
            "among": among,
            "seed": config.seed,
            "precision": config.precision,
            "device": [config.device.type, name_of(config.device), torch.get_num_threads()],
            "batch": [batch, group.room, group.classifier.layout],
            "path": None if group.fast_path is None else group.fast_path.plan.key,
            "differentiate": any(other.measure.gradient for other in group.tasks),
            "versions": dict(versions()),
            "decoders": [features.version(name) for name in ("jpg", "webp", "zlib", "libtiff")],
            "code": code_digest(),
        }
    )


def _measure_key(measure: Measure) -> list[str]:
    """Return what identifies a measure; a shipped one is identified by this package's code.

    Raises:
        UnknownValueError: a part of it cannot be described.
    """
    module = sys.modules.get(f"vision_evals.measures.{measure.name}")
    if getattr(module, "MEASURE", None) is measure:
        return [measure.name]
    parts = vars(measure).values()
    homes = {str(getattr(unwrapped(part), "__module__", "")) for part in parts if callable(part)}
    return [measure.name, describe(measure), own_code(homes - {""})]


def images_key(images: Sequence[Image], hashes: Sequence[str]) -> str:
    """Return a sha256 over ids, bytes, labels and accepted labels of images, in order."""
    rows = ([i.id, h, i.label, i.accepted] for i, h in zip(images, hashes, strict=True))
    return _hash(list(rows))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
