"""Processes that read files: the bytes, the words of what cannot be read, and what is left over."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from vision_evals.core.errors import UnreadableError, UserError
from vision_evals.images.decode import load
from vision_evals.images.gpu import file_reading, file_worker
from vision_evals.images.gpu.file_reading import LoadedFiles, Readers

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def workers(of: int | None = None) -> list[int]:
    """Return the processes that read for this one, or another."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == (of or os.getpid()) and b"file_worker" in (
                (place / "cmdline").read_bytes()
            ):
                found.append(int(place.name))
        except OSError:
            pass
    return found


def assert_as_load(loaded: LoadedFiles, paths: list[Path]) -> None:
    for path, data, sha256, error in zip(
        paths, loaded.datas, loaded.hashes, loaded.errors, strict=True
    ):
        want: bytes | str
        try:
            want = load(path)
        except UnreadableError as reason:
            want = str(reason)
        if isinstance(want, str):
            assert (data, sha256, f"{path.name}: {error}") == (None, "", want)
        else:
            assert data is not None
            assert (bytes(data), sha256, error) == (want, hashlib.sha256(want).hexdigest(), None)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where scratch files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(file_reading, "_place", lambda: folder)
    return folder


def eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_as_load_reads_them(photographs: tuple[Path, ...], tmp_path: Path, scratch: Path) -> None:
    empty, missing, odd = tmp_path / "empty", tmp_path / "missing", tmp_path / "a\nb\udcff\u20ac"
    empty.touch()
    odd.write_bytes(b"odd")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    odds = [empty, missing, odd, tmp_path, loop, pipe, tmp_path / ("x" * 300), empty / "below"]
    with closing(Readers(2)) as readers:
        asked = [[*photographs, *odds], [empty], [], [missing], [*reversed(photographs)]]
        coming = [readers.submit(paths) for paths in asked]
        for future, paths in zip(coming, asked, strict=True):
            assert_as_load(future.result(), paths)
            assert future.result().seconds > 0
    assert not [*scratch.iterdir()]
    first = coming[0].result().datas[0]  # lives as long as somebody looks at it
    assert first is not None
    assert bytes(first) == photographs[0].read_bytes()


def test_relative_names_follow_the_folder_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").write_bytes(b"1")
    with closing(Readers(1)) as readers:
        monkeypatch.chdir(tmp_path)
        assert_as_load(readers.submit([Path("one")]).result(), [Path("one")])


def test_what_there_is_no_room_for_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_reading, "MAX_BATCH_BYTES", 10)
    paths = [tmp_path / str(size) for size in (4, 7, 6, 1)]
    for path in paths:
        path.write_bytes(b"x" * int(path.name))
    with closing(Readers(1)) as readers:
        loaded = readers.submit(paths).result()
    assert [data and len(data) for data in loaded.datas] == [4, None, 6, None]
    assert loaded.errors == [None] * 4
    assert [len(sha256) for sha256 in loaded.hashes] == [64, 0, 64, 0]


def test_a_full_disk_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def full(file: int, data: memoryview) -> int:
        if len(data) == 3:
            write(file, data[:2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", full)
    paths = [tmp_path / name for name in ("a", "bbb", "cc")]
    for path in paths:
        path.write_bytes(path.name.encode())
    into = tmp_path / "into"
    reply = file_worker.gather([os.fsencode(path) for path in paths], os.fsencode(into), 100)
    assert reply["sizes"] == [1, None, 2]
    assert into.read_bytes() == b"acc"


@needs_proc
def test_nothing_is_left_after_an_error(photographs: tuple[Path, ...], scratch: Path) -> None:
    with pytest.raises(ZeroDivisionError), closing(Readers(2)) as readers:  # noqa: PT012
        for _ in range(10):
            readers.submit(photographs)
        while len(workers()) < 2:  # each is started by a thread of its own
            time.sleep(0.01)
        assert len(workers()) == 2
        raise ZeroDivisionError
    assert not [*scratch.iterdir()]
    assert not workers()


@needs_proc
def test_a_killed_process_is_replaced(photographs: tuple[Path, ...], scratch: Path) -> None:
    with closing(Readers(1)) as readers:
        readers.submit(photographs).result()
        (first,) = workers()
        os.kill(first, signal.SIGKILL)
        assert_as_load(readers.submit(photographs).result(), [*photographs])
        (second,) = workers()
        assert second != first
        os.kill(second, signal.SIGINT)  # a Ctrl-C is for who asks
        assert_as_load(readers.submit(photographs).result(), [*photographs])
        assert workers() == [second]
    assert not [*scratch.iterdir()]


def test_two_killed_over_the_same_files_are_an_error(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise SystemExit(7)")
    monkeypatch.setattr(file_worker, "__file__", str(script))
    with closing(Readers(1)) as readers:
        future = readers.submit([tmp_path / "one"])
        with pytest.raises(UserError, match="ended with status"):
            future.result()
    assert not [*scratch.iterdir()]


@needs_proc
def test_nothing_outlives_who_asked(photographs: tuple[Path, ...], tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from vision_evals.images.gpu import file_reading\n"
        f"file_reading._place = lambda: Path({str(tmp_path)!r})\n"
        "readers = file_reading.Readers(2); print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        asking.stdout.readline()
        reading = workers(asking.pid)
        assert len(reading) == 2
        assert [*tmp_path.iterdir()]
        asking.kill()
    assert eventually(lambda: not [*tmp_path.iterdir()])
    assert eventually(lambda: not any(_runs(pid) for pid in reading))


def _runs(pid: int) -> bool:
    try:
        return b"file_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
