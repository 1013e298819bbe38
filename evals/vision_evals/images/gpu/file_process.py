"""The process that reads files, from the side of its parent: one line out, one line back."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

from vision_evals.core.errors import UserError
from vision_evals.images.gpu import file_worker


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
