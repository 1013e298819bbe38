"""Two runs at once on one machine: `python benchmarks/contention.py`.

A run that has the machine for itself takes so many seconds. Two of them at once have half of it
each, so their fair share is twice that. Threads that wait for one another, spinning, make it more.
"""

# ruff: noqa: T201 - a script, and a table is what it is for
from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DEFAULT = ["suites/adversarial.toml", "suites/fgsm.toml", "--evals-model", "squeezenet1_1_caffe"]


class Cost(NamedTuple):
    """Of one run."""

    seconds: float
    cpu: float
    """Seconds of the process, and of those that it forked."""


def at_once(count: int, words: list[str]) -> list[Cost]:
    """Run pytest several times at once, without a cache, and return what each run took."""
    with tempfile.TemporaryDirectory() as folder:
        started, costs = time.perf_counter(), []
        running = {}
        for number in range(count):
            command = [
                *(sys.executable, "-m", "pytest", *words, "-q", "-p", "no:cacheprovider"),
                *("--evals-no-cache", f"--evals-run-dir={folder}/{number}"),
            ]
            log = Path(folder, f"{number}.txt").open("w")  # noqa: SIM115 - read after its end
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)  # noqa: S603
            running[process.pid] = Path(log.name)
        for _ in range(count):
            process_id, status, usage = os.wait3(0)
            if os.waitstatus_to_exitcode(status):
                sys.exit(running[process_id].read_text()[-3000:])
            seconds = time.perf_counter() - started
            costs.append(Cost(seconds, usage.ru_utime + usage.ru_stime))
    return costs


def main() -> None:
    """Print what a run takes alone, and next to another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="medians are of so many")
    parser.add_argument("words", nargs="*", default=DEFAULT, help="suites and options of pytest")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {args.words}")
    alone = [at_once(1, args.words)[0] for _ in range(args.runs)]
    both = [cost for _ in range(args.runs) for cost in at_once(2, args.words)]
    single = statistics.median(cost.seconds for cost in alone)
    each = statistics.median(cost.seconds for cost in both)
    cpu = [statistics.median(cost.cpu for cost in costs) for costs in (alone, both)]
    print(f"alone    {single:6.1f} s, {cpu[0]:6.1f} s of CPU")
    print(f"two      {each:6.1f} s each, {cpu[1]:6.1f} s of CPU")
    print(f"{each / (2 * single):.2f} of the fair share of {2 * single:.1f} s")


if __name__ == "__main__":
    main()
