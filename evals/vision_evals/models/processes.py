"""Work on a CPU side by side: forked processes of one thread each share it.

Threads inside an operation wait for one another at its end, spinning: a process of one thread for
each core does the same work in less CPU time, and two runs on one machine do not slow each other
down beyond their share. No number depends on how many processes there are, nor on the cores.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import math
import multiprocessing
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import torch

from vision_evals.core.errors import UserError, words
from vision_evals.core.time_limit import time_up

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Work = Callable[[Iterator[Unit], Callable[[Result], None]], None]
"""Takes units, and a function that sends a result."""

PR_SET_PDEATHSIG = 1
"""Of Linux: the signal that a process gets when the one that forked it ends."""

SECONDS_OF_GRACE = 5.0
"""Seconds after which a process is ended that does not end its own work in time."""
SECONDS_BETWEEN_LOOKS = 1.0
"""Seconds between two looks at how long processes take."""

MAX_PROCESSES = 16
"""Each holds the activations of a batch."""


class EndedError(UserError):
    """A process was ended by what it computed, or for lack of memory."""

    def __init__(self, unit: int | None, ending: str) -> None:
        super().__init__(
            f"a process that computes was ended ({ending}), perhaps for lack of memory; "
            "OMP_NUM_THREADS=1 computes in one process, and --evals-batch-size takes fewer images"
        )
        self.unit = unit
        """Place of what it computed among the units; None: it had taken none."""
        memory = ", perhaps for lack of memory" if ending == "SIGKILL" else ""
        self.reason = f"its process was ended ({ending}){memory}"


def can_fork(device: torch.device) -> bool:
    """Return whether work on a device may be forked.

    Only on Linux is a fork of a process that has computed safe. With an accelerator, a backward
    pass starts threads of autograd, which a fork loses.
    """
    return device.type == "cpu" and sys.platform == "linux" and not torch.accelerator.is_available()


def processes_on(device: torch.device, sharing: int = 1) -> int:
    """Return how many processes share the work on a device.

    Args:
        device: where it is done.
        sharing: how many runs, or workers of one run, share the threads that torch may use.
    """
    return max(1, min(MAX_PROCESSES, torch.get_num_threads() // sharing)) if can_fork(device) else 1


@contextlib.contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Compute with one thread on a CPU; torch's number of threads is left as it was."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def threads(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Compute with one thread where processes share the work, else with torch's own number."""
    return one_thread(device) if can_fork(device) else contextlib.nullcontext()


@dataclass
class _Running:
    """A process that works."""

    process: Any
    unit: int | None = None
    """Place of what it computes."""
    since: float | None = None
    """When it said last what it computes; None: nothing that has a limit."""


def forked(
    units: Sequence[Unit],
    processes: int,
    work: Work[Unit, Result],
    timeout: float = math.inf,
    *,
    grace: float = SECONDS_OF_GRACE,
    nested: bool = False,
) -> Iterator[Result]:
    """Do work in forked processes, and yield every result, in the order in which they arrive.

    Args:
        units: what is to be done. Each process takes the next one as soon as it is free.
        processes: how many there are at most.
        work: called once in each process, with the units that it takes and a function that sends
            results, which are pickled. Changes that it makes to anything else are lost.
        timeout: seconds that a process may take after it sent a string, which says what it does.
        grace: seconds more, in which it ends its work itself.
        nested: whether the work forks processes itself.

    Raises:
        EndedError: a process was killed, or took too long.
        BaseException: of a process, as it was raised there.
    """
    fork = multiprocessing.get_context("fork")
    taken = fork.Value("q", 0)
    running: dict[Connection, _Running] = {}
    try:
        for _ in range(min(processes, len(units))):
            here, there = fork.Pipe(duplex=False)
            process = fork.Process(target=_run, args=(units, taken, work, there), daemon=not nested)
            with warnings.catch_warnings():  # of one thread from here on, as in a DataLoader
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            there.close()
            running[here] = _Running(process)
        while running:
            for connection in _ready(running, timeout, grace):
                if (result := _next(connection, running)) is not None:
                    yield result
    finally:
        for connection, worker in running.items():
            worker.process.kill()
            connection.close()
        for worker in running.values():
            worker.process.join()


def _ready(
    running: Mapping[Connection, _Running], timeout: float, grace: float
) -> list[Connection]:
    """Wait for processes that sent something or have ended, and return their connections.

    What a network started itself may hold the other end of a connection, so that its process ends
    unseen: each is asked from time to time.
    """
    ready: list[Any] = wait(list(running), SECONDS_BETWEEN_LOOKS)
    for connection, worker in running.items():
        silent = 0.0 if worker.since is None else time.monotonic() - worker.since
        if silent > timeout + grace and not connection.poll():
            raise EndedError(worker.unit, time_up(timeout))
    return ready or [c for c, worker in running.items() if worker.process.exitcode is not None]


def _next(connection: Connection, running: dict[Connection, _Running]) -> Any:
    """Return the next result of a process; None at its end, when it is taken from the running."""
    worker = running[connection]
    if (message := _received(connection)) is None:
        worker.process.join()
        raise EndedError(worker.unit, _ending(worker.process.exitcode))
    kind, content = pickle.loads(message)  # noqa: S301 - of our own process
    if kind == "unit":
        worker.unit, worker.since = content, None
        return None
    if kind == "result":
        worker.since = time.monotonic() if isinstance(content, str) else None
        return content
    running.pop(connection).process.join()
    connection.close()
    if kind == "error":
        raise content
    for message, category, file, line in content:
        warnings.warn_explicit(message, category, file, line)
    return None


def _received(connection: Connection) -> bytes | None:
    """Return a message; None where its process ended without a whole one."""
    try:
        return connection.recv_bytes() if connection.poll() else None
    except (EOFError, OSError):
        return None


def _ending(code: int | None) -> str:
    with contextlib.suppress(ValueError, TypeError):
        return signal.Signals(-code).name if code is not None else "no exit code"
    return f"exit code {code}"


def _run(units: Sequence[Unit], taken: Any, work: Work[Unit, Any], there: Connection) -> None:
    """Work in a process, and send results, warnings and an error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run ends its processes itself
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # none outlives it
    faulthandler.disable()  # pytest's: how a process ends is a sentence, not a traceback
    torch.set_num_threads(1)

    def send(kind: str, content: object) -> None:
        there.send_bytes(pickle.dumps((kind, content)))

    def take() -> Iterator[Unit]:
        while True:
            with taken.get_lock():
                number, taken.value = taken.value, taken.value + 1
            if number >= len(units):
                return
            send("unit", number)
            yield units[number]

    with contextlib.suppress(BrokenPipeError), warnings.catch_warnings(record=True) as caught:
        try:
            work(take(), lambda result: send("result", result))
        except BaseException as error:  # noqa: BLE001 - raised again where the run is
            send("error", portable(error))
        else:
            kept = [(str(w.message), w.category, w.filename, w.lineno) for w in caught]
            send("end", kept)


def portable(error: BaseException) -> BaseException:
    """Return an error that can be pickled, and read again."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - of our own process
    except Exception:  # noqa: BLE001 - an exception class of any kind
        return RuntimeError(words(error))
    return error
