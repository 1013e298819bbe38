"""The cache as one pass reads and fills it: finished shards, and what is known of a whole table."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vision_evals.core.cache.store import Cache, CacheEntry
from vision_evals.core.errors import UserError
from vision_evals.engine import tables
from vision_evals.engine.cache_keys import KeyedTask, images_key, keyed_tasks
from vision_evals.engine.pictures import file_name
from vision_evals.engine.shard import Shard, ShardPlan
from vision_evals.engine.state_guard import changed_since, state_of
from vision_evals.engine.tasks import PassResult, RunConfig, TaskGroup
from vision_evals.images.image_set import Image
from vision_evals.images.reader import digests
from vision_evals.log import FastPath, Picture, Validity


@dataclass(frozen=True)
class ShardCache:
    """The cache, as one pass sees it."""

    cache: Cache
    images: Sequence[Image]
    keyed_tasks: Mapping[str, KeyedTask]
    """By table."""
    states: Mapping[str, Mapping[str, object]]
    """Name of a classifier to the state of its network before the pass."""
    _restored: dict[int, CachedShard] = field(default_factory=dict)

    def restore(
        self, plans: Sequence[ShardPlan], directory: Path, result: PassResult
    ) -> Mapping[int, CachedShard]:
        """Put cached rows where the loop would write them, and return the cached shards.

        Image files are only read if the cache has rows of one of the tasks.
        """
        keys = {table: task.key for table, task in self.keyed_tasks.items()}
        keys = {table: key for table, key in keys.items() if self.cache.holds("shards", key)}
        positions = [position for plan in plans for position in plan.positions]
        if not keys or not positions:
            return {}
        hashes = dict(zip(positions, digests(self._images(positions)), strict=True))
        for plan in plans:
            shard_hashes = [hashes[p] for p in plan.positions]
            key = images_key(self._images(plan.positions), shard_hashes)
            entries = {t: self.cache.get("shards", keys[t], key) for t in keys}
            found = {table: entry for table, entry in entries.items() if _is_valid(entry)}
            cached = {t: e for t, e in found.items() if self._holds(t, plan, e, (keys[t], key))}
            for table, entry in cached.items():
                self._restore_rows(table, plan, entry, directory, result)
            if cached:
                abouts = {table: entry.about for table, entry in cached.items()}
                self._restored[plan.index] = CachedShard(plan, shard_hashes, abouts)
        return self._restored

    def _holds(
        self, table: str, plan: ShardPlan, entry: CacheEntry, place: tuple[str, str]
    ) -> bool:
        """Return whether an entry has the rows that were planned; remove it where it has not."""
        keyed, about = self.keyed_tasks[table], entry.about
        ids = [image.id for image in self._images(plan.positions)]
        read = [image for image in ids if image not in about["unreadable"]]
        stopped = about["not_applicable"] or about["invalid"]
        reason: str | None = "unreadable images that are not of the shard"
        if len(read) + len(about["unreadable"]) == len(ids):
            wanted = keyed.task.plan(keyed.group, () if stopped and not entry.payload else read)
            reason = tables.why_not(entry.payload, wanted)
        if reason is not None:
            self.cache.drop("shards", *place, f"an entry of the cache with wrong rows: {reason}")
        return reason is None

    def _restore_rows(
        self, table: str, plan: ShardPlan, entry: CacheEntry, directory: Path, result: PassResult
    ) -> None:
        if entry.payload:
            tables.put_shard(directory, table, plan.index, entry.payload)
        about = entry.about
        result.seconds[table] += about["seconds"]
        result.cached[table] += sum(map(len, plan.spans)) - len(about["unreadable"])
        name = self.keyed_tasks[table].group.classifier.name
        if about["drew"]:
            result.drew.add(name)
        with contextlib.suppress(ValidationError):  # the cache entry is damaged
            fast_path = FastPath.model_validate({**(about.get("lane") or {}), "classifier": name})
            result.fast_paths[name] = fast_path
        if about["not_applicable"]:
            result.not_applicable.setdefault(table, about["not_applicable"])
        if about["invalid"]:
            result.invalid.setdefault(table, about["invalid"])

    def keep(self, shard: Shard, groups: Sequence[TaskGroup], result: PassResult) -> None:
        """Store the rows of a finished shard, for networks that are unchanged.

        Raises:
            UserError: image files changed during the run.
        """
        if shard.plan.index in self._restored:
            self._restored[shard.plan.index].check_unchanged(shard)
        for group in groups:
            name = group.classifier.name
            # after cached rows, a calibration starts elsewhere, and would differ in the next run
            calibrated_late = name in shard.calibrated and not shard.plan.first
            unlike = {*result.failures, *shard.changed, *result.touched}
            if calibrated_late or name in unlike or "" in shard.hashes:
                continue
            if not changed_since(self.states[name], group.classifier.network):
                for task in group.tasks:
                    self._keep(task.table, shard, result)

    def _keep(self, table: str, shard: Shard, result: PassResult) -> None:
        keyed, stop = self.keyed_tasks.get(table), shard.stopped.get(table)
        if keyed is None or (stop is None and table in {*result.invalid, *result.not_applicable}):
            return  # an earlier shard stopped the task: this one has no result
        images, fast_path = self._images(shard.plan.positions), keyed.group.fast_path
        about = {
            **keyed.describe_entry(len(images)),
            "unreadable": shard.unreadable,
            "oriented": shard.oriented,
            "seconds": shard.seconds[table],
            "drew": table in shard.drew,
            "lane": fast_path and fast_path.record().model_dump(),
            "not_applicable": result.not_applicable[table] if stop == "not_applicable" else None,
            "invalid": result.invalid[table] if stop == "invalid" else None,
        }
        payload = tables.shard_bytes(shard.directory, table, shard.plan.index)
        key = images_key(images, shard.hashes)
        self.cache.put("shards", keyed.key, key, CacheEntry(about, payload))

    def images_key(self, result: PassResult) -> str | None:
        """Return the key of all images of a pass; None if it did not finish."""
        if not result.finished:
            return None
        positions = sorted(result.hashes)
        return images_key(self._images(positions), [result.hashes[p] for p in positions])

    def _images(self, positions: Iterable[int]) -> list[Image]:
        return [self.images[p] for p in positions]

    def table_entry(self, table: str, images_key: str | None) -> CachedTable | None:
        """Return the cache entry of a whole table; None if it or its images have no key."""
        keyed = self.keyed_tasks.get(table)
        if images_key is None or keyed is None:
            return None
        return CachedTable(self.cache, keyed, images_key)


@dataclass(frozen=True, slots=True)
class CachedShard:
    """The cached rows of a shard."""

    plan: ShardPlan
    hashes: list[str]
    """sha256 of its image files, as they are now."""
    abouts: Mapping[str, Mapping[str, Any]]
    """By table."""

    def check_unchanged(self, shard: Shard) -> None:
        """Compare the image files that were read with those of the cached rows.

        Raises:
            UserError: image files changed during the run.
        """
        pairs = zip(shard.hashes, self.hashes, strict=True)
        if any(now != before for now, before in pairs if now):
            raise UserError("image files changed during the run; run it again")


def shard_cache_of(
    images: Sequence[Image], groups: Iterable[TaskGroup], batch: int, config: RunConfig
) -> ShardCache | None:
    """Return the shard cache of a pass; None for a run without a cache.

    Args:
        images: of the pass.
        groups: with the tasks.
        batch: images in one forward.
        config: how to compute.
    """
    if config.cache is None:
        return None
    task_groups = tuple(groups)
    states = {group.classifier.name: state_of(group.classifier.network) for group in task_groups}
    return ShardCache(config.cache, images, keyed_tasks(task_groups, batch, config), states)


def _is_valid(entry: CacheEntry | None) -> TypeGuard[CacheEntry]:
    """Return whether an entry exists and has the fields of a shard's."""
    if entry is None:
        return False
    about = entry.about
    kinds: dict[str, Any] = {"unreadable": dict, "oriented": int, "seconds": float, "drew": bool}
    stops = (about.get(key) for key in ("not_applicable", "invalid"))
    texts = (*about["unreadable"].values(),) if isinstance(about.get("unreadable"), dict) else ()
    return (
        all(isinstance(about.get(key), kind) for key, kind in kinds.items())
        and 0 <= about["seconds"] < math.inf
        and about["oriented"] >= 0
        and all(isinstance(text, str) for text in texts)
        and all(stop is None or isinstance(stop, str) for stop in stops)
    )


@dataclass(frozen=True, slots=True)
class CachedTable:
    """A table of a finished pass, and its key in the cache."""

    cache: Cache
    keyed_task: KeyedTask
    images_key: str
    """Key of all its images."""

    def validity(self, *about: object) -> tuple[Validity, ...]:
        """Return the cached validity, nothing if there is none.

        Args:
            about: what it depends on, in addition to rows and images.
        """
        entry = self.cache.get("measured", self.keyed_task.derived_key(*about), self.images_key)
        try:
            return () if entry is None else _VALIDITY.validate_json(entry.payload)
        except ValidationError:
            return ()  # the cache entry is damaged

    def keep_validity(self, validity: Sequence[Validity], n: int, *about: object) -> None:
        """Store the validity of numbers on n images."""
        entry = CacheEntry(self.keyed_task.describe_entry(n), _VALIDITY.dump_json(tuple(validity)))
        self.cache.put("measured", self.keyed_task.derived_key(*about), self.images_key, entry)

    def pictures(self, count: int, directory: Path) -> tuple[Picture, ...] | None:
        """Write the cached pictures into a run, and return them; None if there are none."""
        entry = self.cache.get("pictures", self.keyed_task.derived_key(count), self.images_key)
        if entry is None:
            return None
        try:
            drawn = _SavedPictures.model_validate_json(entry.payload)
        except ValidationError:
            return None  # the cache entry is damaged
        (directory / "pictures").mkdir(exist_ok=True)
        pictures = []
        for picture, content in zip(drawn.pictures, drawn.files, strict=True):
            # the alias may have changed
            name = file_name(self.keyed_task.task.table, picture.image)
            (directory / name).write_bytes(content)
            pictures.append(picture.model_copy(update={"file": name}))
        return tuple(pictures)

    def keep_pictures(self, count: int, pictures: Sequence[Picture], directory: Path) -> None:
        """Store pictures of a run."""
        files = [(directory / picture.file).read_bytes() for picture in pictures]
        payload = _SavedPictures(pictures=tuple(pictures), files=tuple(files)).model_dump_json()
        entry = CacheEntry(self.keyed_task.describe_entry(len(pictures)), payload.encode())
        self.cache.put("pictures", self.keyed_task.derived_key(count), self.images_key, entry)


class _SavedPictures(BaseModel):
    """Pictures and their files."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    pictures: tuple[Picture, ...]
    files: tuple[bytes, ...]


_VALIDITY = TypeAdapter(tuple[Validity, ...])
