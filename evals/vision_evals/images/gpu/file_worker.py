"""A process that reads picture files for `images.gpu.file_reading`, where no GIL is shared.

It is run by its path, isolated, and imports nothing but a few of Python's own modules: it is there
in some 30 ms. Each line of JSON that comes in asks for a batch, each that goes out answers.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import sys
import time

PATH_CODE = "latin-1"
"""JSON knows no bytes: each byte of a path becomes one of its 256 letters."""


def main(folder: str) -> None:
    """Answer until the input ends, as when the parent process was killed.

    Args:
        folder: scratch files are below it; it is removed in the end.
    """
    # a Ctrl-C in a terminal reaches every process of it: the one that asks decides what follows
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None  # the parent process reports the end of a worker
    try:
        for line in sys.stdin.buffer:
            request = json.loads(line)
            paths = [path.encode(PATH_CODE) for path in request["paths"]]
            reply = gather(paths, request["into"].encode(PATH_CODE), request["room"])
            sys.stdout.buffer.write(json.dumps(reply).encode() + b"\n")
            sys.stdout.buffer.flush()
    except BrokenPipeError:
        # the parent is gone, and Python would report it again when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # not where reading failed: the folder is that of other workers too
    _remove(folder)


def gather(paths: list[bytes], into: bytes, room: int) -> dict[str, object]:
    """Write files one after the other into a new one.

    Args:
        paths: n files.
        into: the new file.
        room: bytes that it may have; files beyond that, or beyond the disk, are left out.

    Returns:
        ``sizes`` in bytes, None for what is not there; ``hashes``, sha256, else empty; ``errors``
        in the words of `images.decode.load`, None also for what was left out; ``seconds``.
    """
    started = time.perf_counter()
    sizes: list[int | None] = []
    hashes: list[str] = []
    errors: list[str | None] = []
    end = 0
    with open(into, "xb", buffering=0) as scratch:  # noqa: PTH123 - bytes are no Path
        for path in paths:
            data, error = _read(path, room - end)
            if data is not None and not _append(scratch.fileno(), data):
                os.ftruncate(scratch.fileno(), end)
                os.lseek(scratch.fileno(), end, os.SEEK_SET)
                data = None
            sizes.append(None if data is None else len(data))
            hashes.append("" if data is None else hashlib.sha256(data).hexdigest())
            errors.append(error)
            end += len(data or b"")
    seconds = time.perf_counter() - started
    return {"sizes": sizes, "hashes": hashes, "errors": errors, "seconds": seconds}


def _read(path: bytes, room: int) -> tuple[bytes | None, str | None]:
    try:
        about = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(about.st_mode):
            return None, "not a file"
        if about.st_size > room:
            return None, None
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123
            data = file.read()
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    # one that grew meanwhile
    return (data, None) if len(data) <= room else (None, None)


def _append(scratch: int, data: bytes) -> bool:
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(scratch, left) :]
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return False
        raise
    return True


def _remove(folder: str) -> None:
    # not shutil: importing it takes longer than all else here
    try:
        for entry in os.scandir(folder):
            os.unlink(entry.path)  # noqa: PTH108
        os.rmdir(folder)  # noqa: PTH106
    except OSError:  # another worker was faster
        pass


if __name__ == "__main__":
    main(sys.argv[1])
