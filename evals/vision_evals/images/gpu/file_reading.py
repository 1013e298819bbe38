"""Files read and hashed by processes, so that the thread that launches kernels keeps the GIL.

Threads stop at some 6,000 files a second, and every one of them takes the GIL from whoever
computes. Here a light process reads the files of a batch into one scratch file in memory, and what
comes back through the pipe is their sizes and hashes alone.
"""

from __future__ import annotations

import itertools
import json
import mmap
import os
import shutil
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from vision_evals.images.gpu.file_process import FileProcess
from vision_evals.images.gpu.file_worker import PATH_CODE

MAX_BATCH_BYTES = 2**29
"""Bytes of a batch that are read at once; what is beyond is left to whoever asks."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_MIN_FREE_BYTES = 8 * MAX_BATCH_BYTES
"""Bytes that must be free there: containers often have 64 MiB of it."""


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """What reading n files gave."""

    datas: list[memoryview | None]
    """Bytes of each; None with an error, or where they were left out for want of room."""
    hashes: list[str]
    """sha256 of each; empty without bytes."""
    errors: list[str | None]
    """Why there are none, as `vision_evals.images.decode.load` says it without the file's name."""
    seconds: float
    """Of reading and hashing."""


class Readers:
    """Processes that read; a context, at whose end they and their scratch files are gone."""

    def __init__(self, count: int) -> None:
        """Start them.

        Args:
            count: how many, each busy with one batch at a time.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="evals-files-", dir=_place()))
        self._numbers = itertools.count()
        self._idle: SimpleQueue[FileProcess] = SimpleQueue()
        self.processes: list[FileProcess] = []
        self._threads = ThreadPoolExecutor(count, "evals-files")
        try:
            for _ in range(count):
                self.processes.append(FileProcess(self._folder))
                self._idle.put(self.processes[-1])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def submit(self, paths: Sequence[Path]) -> Future[LoadedFiles]:
        """Have files read, the first that were asked for first.

        Args:
            paths: n files, of any names.

        Returns:
            What comes of it; an error of its own is a UserError, where the processes die.
        """
        return self._threads.submit(self._load, paths)

    def close(self) -> None:
        """Finish what is being read, drop what is not, and leave nothing behind."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self.processes:
            worker.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, paths: Sequence[Path]) -> LoadedFiles:
        into = self._folder / str(next(self._numbers))
        # absolute: a worker stays in the folder where it was started
        request = {
            "paths": [os.fsencode(path.absolute()).decode(PATH_CODE) for path in paths],
            "into": os.fsencode(into).decode(PATH_CODE),
            "room": MAX_BATCH_BYTES,
        }
        worker = self._idle.get()
        try:
            reply = worker.ask(json.dumps(request).encode() + b"\n", into)
            datas = _mapped(into, reply["sizes"])
        finally:
            self._idle.put(worker)
            into.unlink(missing_ok=True)  # its memory lives as long as somebody looks at it
        return LoadedFiles(datas, reply["hashes"], reply["errors"], reply["seconds"])


def _place() -> Path | None:
    try:
        room = os.statvfs(_MEMORY)
    except OSError:
        return None
    enough = room.f_bavail * room.f_frsize >= _MIN_FREE_BYTES and os.access(_MEMORY, os.W_OK)
    return _MEMORY if enough else None


def _mapped(path: Path, sizes: Sequence[int | None]) -> list[memoryview | None]:
    total = sum(size or 0 for size in sizes)
    whole = memoryview(b"")
    if total:  # nothing cannot be mapped
        with path.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), total, access=mmap.ACCESS_READ))
    ends = itertools.accumulate(size or 0 for size in sizes)
    return [
        None if size is None else whole[end - size : end]
        for size, end in zip(sizes, ends, strict=True)
    ]
