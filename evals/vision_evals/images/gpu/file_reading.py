"""Files read and hashed by processes, so that the thread that launches kernels keeps the GIL.

Threads stop at some 6,000 files a second, and each takes the GIL from the computation. Here a light
process reads the files of a batch into one scratch file in memory, and only their sizes and hashes
come back through the pipe.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from vision_evals.core.errors import UserError
from vision_evals.images.gpu import file_worker
from vision_evals.images.gpu.file_worker import PATH_CODE

MAX_BATCH_BYTES = 2**29
"""Bytes of a batch that are read at once; the caller reads the others."""

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
_MIN_FREE_BYTES = 8 * MAX_BATCH_BYTES
"""Bytes that must be free there: containers often have 64 MiB of it."""


@dataclass(frozen=True, slots=True)
class LoadedFiles:
    """The content of n files."""

    datas: list[memoryview | None]
    """Bytes of each; None with an error, or where they were left out for want of space."""
    hashes: list[str]
    """sha256 of each; empty without bytes."""
    errors: list[str | None]
    """Why there are none, as `vision_evals.images.decode.load` says it without the file's name."""
    seconds: float
    """Of reading and hashing."""


class Readers:
    """Processes that read, until `close` ends them and removes their scratch files."""

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

    def submit(self, paths: Sequence[Path]) -> Future[LoadedFiles]:
        """Read files, in the order of the calls.

        Args:
            paths: n files, of any names.

        Returns:
            Their content; a UserError where the processes die.
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
            into.unlink(missing_ok=True)  # its memory lives as long as it is mapped
        return LoadedFiles(datas, reply["hashes"], reply["errors"], reply["seconds"])


class FileProcess:
    """One process, which is replaced if it is killed."""

    def __init__(self, folder: Path) -> None:
        """Start it.

        Args:
            folder: the process removes it in the end, also if its parent is killed.
        """
        self._folder = folder
        self._process = self._started()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, request: bytes, into: Path) -> dict[str, Any]:
        """Return the reply, of a second process where the first is killed over it.

        Args:
            request: a line.
            into: the file that it is to make.

        Raises:
            UserError: the second was killed too.
        """
        status = 0
        for _ in range(2):
            line = self._line(request)
            if line.endswith(b"\n"):
                reply: dict[str, Any] = json.loads(line)
                return reply
            self._process.kill()
            status = self.stop()
            into.unlink(missing_ok=True)
            self._process = self._started()
        raise UserError(
            f"two processes that read picture files ended with status {status}, one after the "
            "other; the memory may be full, or the disk of temporary files"
        )

    def stop(self) -> int:
        """Let the process end, and return its exit status."""
        stdin, stdout = self._pipes()
        with contextlib.suppress(BrokenPipeError):  # it was killed before it read all
            stdin.close()
        status = self._process.wait()
        stdout.close()
        return status

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _line(self, request: bytes) -> bytes:
        stdin, stdout = self._pipes()
        try:
            stdin.write(request)
            stdin.flush()
        except BrokenPipeError:
            return b""
        return stdout.readline()

    def _started(self) -> subprocess.Popen[bytes]:
        # isolated: neither the user's variables nor their packages are any of its business; in a
        # group of its own no Ctrl-C reaches it, not even before it can ignore one
        command = [sys.executable, "-I", "-S", file_worker.__file__, str(self._folder)]
        return subprocess.Popen(  # noqa: S603 - no shell, and every word is ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )


def _place() -> Path | None:
    try:
        space = os.statvfs(_MEMORY)
    except OSError:
        return None
    enough = space.f_bavail * space.f_frsize >= _MIN_FREE_BYTES and os.access(_MEMORY, os.W_OK)
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
