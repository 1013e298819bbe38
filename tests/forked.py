"""Python processes that begin with everything imported: forked from one that has computed nothing.

A process that imports torch, torchvision and pandas has used five seconds of CPU before the first
line of its own runs. `forked_python()` is a command that takes the arguments of ``python`` and
hands them, with its folder, environment and files, to a server that has imported all of it.
"""

from __future__ import annotations

import atexit
import functools
import gc
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps({{"argv": sys.argv[1:], "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
server.sendall(request)
code = int(server.makefile().read())
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@functools.cache
def forked_python() -> str:
    """Return the command; the server ends with this process."""
    folder = Path(tempfile.mkdtemp(prefix="forked-"))
    address, client = folder / "server", folder / "python"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(address))
    listening.listen()
    server = subprocess.Popen(
        [sys.executable, __file__, str(listening.fileno())],
        pass_fds=[listening.fileno()],
        stdin=subprocess.PIPE,
        # read when torch is loaded: threads that spin while they wait take a busy machine's cores
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )
    listening.close()
    atexit.register(shutil.rmtree, folder)
    atexit.register(server.communicate)  # before it: the last one registered is the first called
    client.write_text(CLIENT.format(python=sys.executable, address=str(address)), encoding="utf-8")
    client.chmod(0o755)
    return str(client)


class Imports:
    """A plugin of pytest that imports all of ours while pytest rewrites what it imports."""

    def pytest_sessionstart(self) -> None:
        import importlib
        import pkgutil

        import vision_evals

        for name in ("pyarrow.parquet", "scipy.optimize", "scipy.stats", "torchvision"):
            importlib.import_module(name)
        for module in pkgutil.walk_packages(vision_evals.__path__, "vision_evals."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


def import_everything() -> None:
    """Import what a run needs, and compute nothing: threads do not survive a fork."""
    import pytest

    with tempfile.TemporaryDirectory() as empty:
        output, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        pytest.main(["-q", "--collect-only", "-p", "no:cacheprovider", empty], plugins=[Imports()])
        os.dup2(output, 1)
    gc.freeze()  # pytest collects garbage at the end of a run: not among what is imported by now


def next_request(listening: socket.socket) -> Any:
    """Wait for requests; return in a child of this process, which is to run one.

    Between the two a process waits for the child, and tells the client how it ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        client, _ = listening.accept()
        if os.fork():
            client.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listening.close()
        length, files, _, _ = socket.recv_fds(client, 4, 3)
        request = client.makefile("rb").read(int.from_bytes(length, "big"))
        child = os.fork()
        if child:
            status = os.waitpid(child, 0)[1]
            client.sendall(str(os.waitstatus_to_exitcode(status)).encode())
            os._exit(0)
        client.close()
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)
        return json.loads(request)


def become(argv: list[str], cwd: str, env: dict[str, str]) -> None:
    """Run what ``python`` would run with these arguments, ``-m MODULE`` or ``-c CODE``."""
    import importlib
    import runpy

    import torch

    ours = {str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    installed = [place for place in sys.path if place not in ours]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.dont_write_bytecode |= "-B" in argv
    option, target, *words = itertools.dropwhile({"-u", "-B"}.__contains__, argv)
    first = [cwd] if option == "-m" else [""]
    named = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [*first, *named, *installed]
    sys.argv, sys.orig_argv = [option, *words], [sys.executable, *argv]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    torch.set_num_threads(int(env.get("OMP_NUM_THREADS", torch.get_num_threads())))
    if option == "-m":
        runpy.run_module(target, run_name="__main__", alter_sys=True)
    else:
        exec(compile(target, "<string>", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    import_everything()
    become(**next_request(socket.socket(fileno=int(sys.argv[1]))))
