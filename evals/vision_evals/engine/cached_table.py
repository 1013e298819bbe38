"""What the cache keeps of a table as a whole: the evidence on its numbers, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vision_evals.core.cache.store import Cache, Entry
from vision_evals.engine.cache_keys import Asked
from vision_evals.engine.pictures import file_name
from vision_evals.log import Picture, Validity


@dataclass(frozen=True, slots=True)
class Kept:
    """A table of a walk that is through, and its place in the cache."""

    cache: Cache
    asked: Asked
    whole: str
    """Key of all its images."""

    def validity(self, *about: object) -> tuple[Validity, ...]:
        """Return what was found of the numbers, nothing where that is not kept.

        Args:
            about: what it rests on beside rows and images.
        """
        entry = self.cache.get("measured", self.asked.deeper(*about), self.whole)
        try:
            return () if entry is None else _VALIDITY.validate_json(entry.payload)
        except ValidationError:
            return ()  # of a cache that somebody else wrote

    def keep_validity(self, found: Sequence[Validity], n: int, *about: object) -> None:
        """Keep what was found of the numbers, which are about n images."""
        entry = Entry(self.asked.told(n), _VALIDITY.dump_json(tuple(found)))
        self.cache.put("measured", self.asked.deeper(*about), self.whole, entry)

    def pictures(self, count: int, directory: Path) -> tuple[Picture, ...] | None:
        """Return pictures that were drawn before, written into a run; None without any."""
        entry = self.cache.get("pictures", self.asked.deeper(count), self.whole)
        if entry is None:
            return None
        try:
            kept = _Drawn.model_validate_json(entry.payload)
        except ValidationError:
            return None  # of a cache that somebody else wrote
        (directory / "pictures").mkdir(exist_ok=True)
        found = []
        for picture, content in zip(kept.pictures, kept.files, strict=True):
            # the alias may be another than then
            name = file_name(self.asked.task.table, picture.image)
            (directory / name).write_bytes(content)
            found.append(picture.model_copy(update={"file": name}))
        return tuple(found)

    def keep_pictures(self, count: int, drawn: Sequence[Picture], directory: Path) -> None:
        """Keep what was drawn."""
        files = [(directory / picture.file).read_bytes() for picture in drawn]
        payload = _Drawn(pictures=tuple(drawn), files=tuple(files)).model_dump_json()
        entry = Entry(self.asked.told(len(drawn)), payload.encode())
        self.cache.put("pictures", self.asked.deeper(count), self.whole, entry)


class _Drawn(BaseModel):
    """Pictures and their files."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    pictures: tuple[Picture, ...]
    files: tuple[bytes, ...]


_VALIDITY = TypeAdapter(tuple[Validity, ...])
