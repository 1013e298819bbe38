"""What the cache has of a table as a whole: its validity, and its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from vision_evals.core.cache.store import Cache, CacheEntry
from vision_evals.engine.cache_keys import KeyedTask
from vision_evals.engine.pictures import file_name
from vision_evals.log import Picture, Validity


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
