"""What a pass finds in the cache, and what it leaves there: the key of everything is made here."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
from PIL import features
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from evals.cache.code import code_digest, own_code
from evals.cache.describe import UnknownValueError, describe
from evals.cache.store import Cache, Entry
from evals.classifiers.fingerprint import traceable
from evals.device import name_of
from evals.environment import versions
from evals.errors import UserError
from evals.images.image_set import Image
from evals.images.reader import digests
from evals.log import Depth, Picture, Validity
from evals.measures.measure import Measure
from evals.passes import tables
from evals.passes.pictures import file_name
from evals.passes.plan import Manner, Pass, batch_of
from evals.passes.shard import Planned, Shard
from evals.passes.walk import Station, Task, Walked
from evals.training.store import answers


@dataclass(frozen=True)
class Asked:
    """A task of a pass, and the key of its question."""

    station: Station
    task: Task
    question: str
    """Of everything that changes a row, but for the images."""

    def deeper(self, *more: object) -> str:
        """Return the key of a question that rests on this one."""
        return _hash([self.question, *more])


@dataclass(frozen=True)
class Shelf:
    """The cache, as one pass sees it."""

    cache: Cache
    images: Sequence[Image]
    asked: Mapping[str, Asked]
    """By table; those whose key can be told."""

    def take(self, plans: Sequence[Planned], directory: Path, walked: Walked) -> dict[int, Found]:
        """Put the rows that are kept where the walk would have, and say which those are.

        Files of images are only read where something is kept of a question at all.
        """
        known = [t for t, one in self.asked.items() if self.cache.holds("shards", one.question)]
        positions = [position for plan in plans for position in plan.positions]
        if not known or not positions:
            return {}
        hashes = dict(zip(positions, digests([self.images[p] for p in positions]), strict=True))
        found = {}
        for plan in plans:
            mine = [hashes[p] for p in plan.positions]
            key = images_key([self.images[p] for p in plan.positions], mine)
            entries = {t: self.cache.get("shards", self.asked[t].question, key) for t in known}
            kept = {table: entry for table, entry in entries.items() if _sound(entry)}
            for table, entry in kept.items():
                self._put_back(table, plan, entry, directory, walked)
            if kept:
                found[plan.index] = Found(mine, {t: e.about for t, e in kept.items()})
        return found

    def _put_back(
        self, table: str, plan: Planned, entry: Entry, directory: Path, walked: Walked
    ) -> None:
        if entry.payload:
            tables.put_shard(directory, table, plan.index, entry.payload)
        about = entry.about
        walked.seconds[table] += about["seconds"]
        walked.cached[table] += sum(map(len, plan.spans)) - len(about["unreadable"])
        if about["drew"]:
            walked.drew.add(self.asked[table].station.classifier.name)
        if about["not_applicable"]:
            walked.not_applicable.setdefault(table, about["not_applicable"])
        if about["invalid"]:
            walked.invalid.setdefault(table, about["invalid"])

    def keep(self, shard: Shard, wanted: Iterable[str], directory: Path, walked: Walked) -> None:
        """Keep what a shard left of some tables; of a network that broke, nothing."""
        images = [self.images[p] for p in shard.plan.positions]
        key = images_key(images, shard.hashes)
        for table in wanted:
            one = self.asked.get(table)
            if one is None or one.station.classifier.name in walked.failures or "" in shard.hashes:
                continue
            how = shard.stopped.get(table)
            if how is None and table in {*walked.invalid, *walked.not_applicable}:
                continue  # an earlier shard stopped it: nothing is known of this one
            about = {
                **_told(one, len(images)),
                "unreadable": shard.unreadable,
                "oriented": shard.oriented,
                "seconds": shard.seconds[table],
                "drew": table in shard.drew,
                "not_applicable": walked.not_applicable[table] if how == "not_applicable" else None,
                "invalid": walked.invalid[table] if how == "invalid" else None,
            }
            payload = tables.shard_bytes(directory, table, shard.plan.index)
            self.cache.put("shards", one.question, key, Entry(about, payload))

    def whole(self, walked: Walked) -> str | None:
        """Return the key of all images of a walk; None where it did not finish."""
        if not walked.finished:
            return None
        seen = sorted(walked.hashes)
        return images_key([self.images[p] for p in seen], [walked.hashes[p] for p in seen])

    def validity(
        self, table: str, whole: str, depth: Depth, *about: object
    ) -> tuple[Validity, ...]:
        """Return what was found of a table's numbers, nothing where that is not kept."""
        question = self.asked[table].deeper(depth, *about)
        entry = self.cache.get("measured", question, whole)
        try:
            return () if entry is None else _VALIDITY.validate_json(entry.payload)
        except ValidationError:
            return ()  # of a cache that somebody else wrote

    def keep_validity(
        self, table: str, whole: str, depth: Depth, found: Sequence[Validity], *about: object
    ) -> None:
        """Keep what was found of a table's numbers."""
        one = self.asked[table]
        payload = json.dumps([check.model_dump(mode="json") for check in found]).encode()
        entry = Entry(_told(one, len(self.images)), payload)
        self.cache.put("measured", one.deeper(depth, *about), whole, entry)

    def pictures(
        self, table: str, whole: str, count: int, directory: Path
    ) -> tuple[Picture, ...] | None:
        """Return pictures that were drawn before, written into a run; None without any."""
        entry = self.cache.get("pictures", self.asked[table].deeper(count), whole)
        if entry is None:
            return None
        try:
            kept = _Drawn.model_validate_json(entry.payload)
        except ValidationError:
            return None  # of a cache that somebody else wrote
        (directory / "pictures").mkdir(exist_ok=True)
        found = []
        for picture, content in zip(kept.pictures, kept.files, strict=True):
            name = file_name(table, picture.image)  # the alias may be another than then
            (directory / name).write_bytes(content)
            found.append(picture.model_copy(update={"file": name}))
        return tuple(found)

    def keep_pictures(
        self, table: str, whole: str, count: int, drawn: Sequence[Picture], directory: Path
    ) -> None:
        """Keep what was drawn."""
        one = self.asked[table]
        files = [(directory / picture.file).read_bytes() for picture in drawn]
        payload = _Drawn(pictures=tuple(drawn), files=tuple(files)).model_dump_json()
        entry = Entry(_told(one, len(drawn)), payload.encode())
        self.cache.put("pictures", one.deeper(count), whole, entry)


class _Drawn(BaseModel):
    """Pictures and their files."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    pictures: tuple[Picture, ...]
    files: tuple[bytes, ...]


_VALIDITY = TypeAdapter(tuple[Validity, ...])


def _sound(entry: Entry | None) -> TypeGuard[Entry]:
    """Whether an entry is there and says what a shard says: a cache may be somebody else's."""
    if entry is None:
        return False
    about = entry.about
    kinds: dict[str, Any] = {"unreadable": dict, "oriented": int, "seconds": float, "drew": bool}
    stops = (about.get(key) for key in ("not_applicable", "invalid"))
    return all(isinstance(about.get(key), kind) for key, kind in kinds.items()) and all(
        stop is None or isinstance(stop, str) for stop in stops
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What was kept of a shard."""

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


def shelf(this: Pass, manner: Manner) -> Shelf | None:
    """Return the cache as a pass sees it; None where nothing is kept."""
    if manner.cache is None:
        return None
    asked = {}
    for station in this.stations.values():
        reply = _reply(station, manner.cache)
        for task in station.tasks:
            question = None if reply is None else _question(this, station, task, manner, reply)
            if question is not None:
                asked[task.table] = Asked(station, task, question)
    return Shelf(manner.cache, this.image_set.images, asked)


def _reply(station: Station, cache: Cache) -> str | None:
    """Return what a network says of noise; None where nobody can tell what it computes."""
    classifier = station.classifier
    if classifier.name not in cache.replies:
        why = traceable(classifier.network, classifier.card)
        said = None
        if why is None:
            try:
                said = answers(classifier.network, classifier.geometry.size)
            except Exception as error:  # noqa: BLE001 - a network of any kind may refuse noise
                why = f"{type(error).__name__} on noise"
        if why is not None:
            cache.warn(f"{classifier.name}: its rows are not kept, for nobody can tell: {why}")
        cache.replies[classifier.name] = said
    return cache.replies[classifier.name]


def _question(this: Pass, station: Station, task: Task, manner: Manner, reply: str) -> str | None:
    """Return the key of everything that changes a row, but for the images; None without one."""
    among = None if station.answers is None else station.answers.among.tolist()
    try:
        measure = _measure(task.measure)
    except UnknownValueError as error:
        assert manner.cache is not None
        manner.cache.warn(f"{task.measure.name}: its rows are not kept: {error}")
        return None
    return _hash(
        {
            "classifier": [station.classifier.fingerprint, reply],
            "measure": measure,
            "parameters": task.parameters.model_dump(mode="json"),
            "among": among,
            "seed": manner.seed,
            "precision": manner.precision,
            "device": [manner.device.type, name_of(manner.device), torch.get_num_threads()],
            "batch": [batch_of(this, manner), "contiguous"],
            "differentiate": any(other.measure.gradient for other in station.tasks),
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
    if getattr(sys.modules.get(f"evals.measures.{measure.name}"), "MEASURE", None) is measure:
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


def _told(one: Asked, n: int) -> dict[str, Any]:
    """Return what `evals cache` says of an entry."""
    return {
        "classifier": one.station.classifier.name,
        "measure": one.task.measure.name,
        "n": n,
        "written": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
