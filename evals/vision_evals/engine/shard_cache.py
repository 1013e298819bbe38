"""What a pass finds in the cache, and what it leaves there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from pydantic import ValidationError

from vision_evals.core.cache.store import Cache, CacheEntry
from vision_evals.core.errors import UserError
from vision_evals.engine import tables
from vision_evals.engine.cache_keys import Asked, images_key, questions
from vision_evals.engine.kept import Kept
from vision_evals.engine.shard import Planned, Shard
from vision_evals.engine.state_guard import changed_since, state_of
from vision_evals.engine.tasks import PassResult, RunConfig, TaskGroup
from vision_evals.images.image_set import Image
from vision_evals.images.reader import digests
from vision_evals.log import FastPath


@dataclass(frozen=True)
class ShardCache:
    """The cache, as one pass sees it."""

    cache: Cache
    images: Sequence[Image]
    asked: Mapping[str, Asked]
    """By table; those whose key can be told."""

    before: Mapping[str, Mapping[str, object]]
    """Name of a classifier to what its network was before anybody looked through it."""
    _found: dict[int, Found] = field(default_factory=dict)

    def take(
        self, plans: Sequence[Planned], directory: Path, result: PassResult
    ) -> Mapping[int, Found]:
        """Put the rows that are kept where the walk would have, and return which, by shard.

        Files of images are only read where something is kept of a question at all.
        """
        known = [t for t, one in self.asked.items() if self.cache.holds("shards", one.check_input)]
        positions = [position for plan in plans for position in plan.positions]
        if not known or not positions:
            return {}
        hashes = dict(zip(positions, digests([self.images[p] for p in positions]), strict=True))
        for plan in plans:
            mine = [hashes[p] for p in plan.positions]
            key = images_key([self.images[p] for p in plan.positions], mine)
            entries = {t: self.cache.get("shards", self.asked[t].check_input, key) for t in known}
            kept = {table: entry for table, entry in entries.items() if _sound(entry)}
            for table, entry in kept.items():
                self._put_back(table, plan, entry, directory, result)
            if kept:
                abouts = {table: entry.about for table, entry in kept.items()}
                self._found[plan.index] = Found(plan, mine, abouts)
        return self._found

    def _put_back(
        self, table: str, plan: Planned, entry: CacheEntry, directory: Path, result: PassResult
    ) -> None:
        if entry.payload:
            tables.put_shard(directory, table, plan.index, entry.payload)
        about = entry.about
        result.seconds[table] += about["seconds"]
        result.cached[table] += sum(map(len, plan.spans)) - len(about["unreadable"])
        name = self.asked[table].group.classifier.name
        if about["drew"]:
            result.drew.add(name)
        with contextlib.suppress(ValidationError):  # of a cache that somebody else wrote
            kept = FastPath.model_validate({**(about.get("lane") or {}), "classifier": name})
            result.fast_paths[name] = kept
        if about["not_applicable"]:
            result.not_applicable.setdefault(table, about["not_applicable"])
        if about["invalid"]:
            result.invalid.setdefault(table, about["invalid"])

    def keep(self, shard: Shard, groups: Sequence[TaskGroup], result: PassResult) -> None:
        """Keep what a shard left of networks that are as they were.

        Raises:
            UserError: files changed while the run was looking at them.
        """
        if shard.plan.index in self._found:
            self._found[shard.plan.index].hold(shard)
        for group in groups:
            name = group.classifier.name
            # a calibration that came after rows from the cache would be another one next time
            late = name in shard.calibrated and not shard.plan.first
            if late or name in result.failures or "" in shard.hashes:
                continue
            if not changed_since(self.before[name], group.classifier.network):
                for task in group.tasks:
                    self._keep(task.table, shard, result)

    def _keep(self, table: str, shard: Shard, result: PassResult) -> None:
        one, how = self.asked.get(table), shard.stopped.get(table)
        if one is None or (how is None and table in {*result.invalid, *result.not_applicable}):
            return  # an earlier shard stopped it: nothing is known of this one
        images = [self.images[p] for p in shard.plan.positions]
        about = {
            **one.told(len(images)),
            "unreadable": shard.unreadable,
            "oriented": shard.oriented,
            "seconds": shard.seconds[table],
            "drew": table in shard.drew,
            "lane": None
            if one.group.fast_path is None
            else one.group.fast_path.record().model_dump(),
            "not_applicable": result.not_applicable[table] if how == "not_applicable" else None,
            "invalid": result.invalid[table] if how == "invalid" else None,
        }
        payload = tables.shard_bytes(shard.directory, table, shard.plan.index)
        key = images_key(images, shard.hashes)
        self.cache.put("shards", one.check_input, key, CacheEntry(about, payload))

    def whole(self, result: PassResult) -> str | None:
        """Return the key of all images of a walk; None where it did not finish."""
        if not result.finished:
            return None
        seen = sorted(result.hashes)
        return images_key([self.images[p] for p in seen], [result.hashes[p] for p in seen])

    def kept(self, table: str, whole: str | None) -> Kept | None:
        """Return the place of a whole table; None without a key of it or of all its images."""
        one = self.asked.get(table)
        return None if whole is None or one is None else Kept(self.cache, one, whole)


@dataclass(frozen=True, slots=True)
class Found:
    """What was kept of a shard."""

    plan: Planned
    hashes: list[str]
    """sha256 of its files, as they are now."""
    abouts: Mapping[str, Mapping[str, Any]]
    """By table."""

    def hold(self, shard: Shard) -> None:
        """Hold the images that were looked at against those whose rows were kept.

        Raises:
            UserError: files changed while the run was looking at them.
        """
        pairs = zip(shard.hashes, self.hashes, strict=True)
        if any(seen != before for seen, before in pairs if seen):
            raise UserError("pictures changed while the run was looking at them; run it again")


def shard_cache_of(
    images: Sequence[Image], groups: Iterable[TaskGroup], batch: int, config: RunConfig
) -> ShardCache | None:
    """Return the cache as a pass sees it; None where nothing is kept.

    Args:
        images: of the pass.
        groups: who looks.
        batch: images in one forward.
        config: how to compute.
    """
    if config.cache is None:
        return None
    everyone = tuple(groups)
    before = {one.classifier.name: state_of(one.classifier.network) for one in everyone}
    return ShardCache(config.cache, images, questions(everyone, batch, config), before)


def _sound(entry: CacheEntry | None) -> TypeGuard[CacheEntry]:
    """Whether an entry is there and says what a shard says: a cache may be somebody else's."""
    if entry is None:
        return False
    about = entry.about
    kinds: dict[str, Any] = {"unreadable": dict, "oriented": int, "seconds": float, "drew": bool}
    stops = (about.get(key) for key in ("not_applicable", "invalid"))
    return all(isinstance(about.get(key), kind) for key, kind in kinds.items()) and all(
        stop is None or isinstance(stop, str) for stop in stops
    )
