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

from vision_evals.core.cache.code import code_digest, own_code
from vision_evals.core.cache.describe import UnknownValueError, describe
from vision_evals.core.cache.store import Cache
from vision_evals.engine.tasks import RunConfig, Task, TaskGroup
from vision_evals.images.image_set import Image
from vision_evals.log.environment import versions
from vision_evals.measures.measure import Measure
from vision_evals.models.device import name_of
from vision_evals.models.fingerprint import traceable
from vision_evals.models.training.store import output_digest


@dataclass(frozen=True)
class Asked:
    """A task of a pass, and the key of its question."""

    group: TaskGroup
    task: Task
    check_input: str
    """Of everything that changes a row, but for the images."""

    def deeper(self, *more: object) -> str:
        """Return the key of a question that rests on this one."""
        return _hash([self.check_input, *more])

    def told(self, n: int) -> dict[str, Any]:
        """Return what `evals cache` says of an entry about n images."""
        return {
            "classifier": self.group.classifier.name,
            "measure": self.task.measure.name,
            "n": n,
            "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }


def questions(groups: Iterable[TaskGroup], batch: int, config: RunConfig) -> dict[str, Asked]:
    """Return every task whose key can be told, by table; of the others it is said.

    Args:
        groups: whose tasks.
        batch: images in one forward.
        config: how to compute, with a cache.
    """
    assert config.cache is not None
    asked = {}
    for group in groups:
        reply = _reply(group, config.cache)
        for task in group.tasks:
            check_input = None if reply is None else _question(group, task, config, batch, reply)
            if check_input is not None:
                asked[task.table] = Asked(group, task, check_input)
    return asked


def _reply(group: TaskGroup, cache: Cache) -> str | None:
    """Return what a network says of noise; None where nobody can tell what it computes."""
    classifier = group.classifier
    if classifier.name not in cache.replies:
        why = traceable(classifier.network, classifier.card)
        said = None
        if why is None:
            try:
                said = output_digest(
                    classifier.network, classifier.geometry.size, classifier.device
                )
            except Exception as error:  # noqa: BLE001 - a network of any kind may refuse noise
                why = f"{type(error).__name__} on noise"
        if why is not None:
            cache.warn(f"{classifier.name}: its rows are not kept, for nobody can tell: {why}")
        cache.replies[classifier.name] = said
    return cache.replies[classifier.name]


def _question(
    group: TaskGroup, task: Task, config: RunConfig, batch: int, reply: str
) -> str | None:
    """Return the key of everything that changes a row, but for the images; None without one."""
    among = None if group.answers is None else group.answers.among.tolist()
    try:
        measure = _measure(task.measure)
    except UnknownValueError as error:
        assert config.cache is not None
        config.cache.warn(f"{task.measure.name}: its rows are not kept: {error}")
        return None
    return _hash(
        {
            "classifier": [group.classifier.fingerprint, reply],
            "measure": measure,
            "parameters": task.parameters.model_dump(mode="json"),
            "among": among,
            "seed": config.seed,
            "precision": config.precision,
            "device": [config.device.type, name_of(config.device), torch.get_num_threads()],
            "batch": [batch, group.room, group.classifier.layout],
            "path": None if group.fast_path is None else group.fast_path.plan.key,
            "differentiate": any(other.measure.gradient for other in group.tasks),
            "versions": versions(),
            "decoders": [features.version(name) for name in ("jpg", "webp", "zlib", "libtiff")],
            "code": code_digest(),
        }
    )


def _measure(measure: Measure) -> list[str]:
    """Return what there is to say of a measure; of the shipped ones the code of this package does.

    Raises:
        UnknownValueError: a part of it hides what it is.
    """
    if (
        getattr(sys.modules.get(f"vision_evals.measures.{measure.name}"), "MEASURE", None)
        is measure
    ):
        return [measure.name]
    parts = vars(measure).values()
    homes = {str(getattr(_plain(part), "__module__", "")) for part in parts if callable(part)}
    return [measure.name, describe(measure), own_code(homes - {""})]


def _plain(part: Any) -> Any:
    """Return the function within partials and wrappers."""
    for _ in range(8):
        inner = getattr(part, "func", None) or getattr(part, "__wrapped__", None)
        if inner is None:
            break
        part = inner
    return part


def images_key(images: Sequence[Image], hashes: Sequence[str]) -> str:
    """Return a sha256 over ids, bytes, labels and further right answers of images, in order."""
    rows = ([i.id, h, i.label, i.accepted] for i, h in zip(images, hashes, strict=True))
    return _hash(list(rows))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
