"""Feed changed files to whatever reads files.

``python -m tests.fuzz --seconds 3600`` for an hour; ``--only log --seed 7 --count 500`` for one
kind; ``--first N --count 1`` for the input that a fault names. Exit code 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import Watch


def main() -> int:
    """Feed; 1 where an input did what none may."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, help="inputs of each kind (default: until --seconds)")
    parser.add_argument("--seconds", type=float, default=3600, help="after which no more are made")
    parser.add_argument("--only", action="append", choices=[target.name for target in TARGETS])
    parser.add_argument("--keep", type=Path, help="folder for the inputs that were at fault")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of libraries, about what they read
    sys.dont_write_bytecode = True
    targets = [t for t in TARGETS if options.only is None or t.name in options.only]
    numbers = itertools.islice(itertools.count(options.first), options.count)
    fed: Counter[str] = Counter()
    faults, until = 0, time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        folder = Path(scratch) / "input"
        for target in targets:  # what the first ones import is no part of their memory
            folder.mkdir()
            with contextlib.suppress(Exception):
                target.judge(target.make(Random(0)), folder)
            shutil.rmtree(folder)
        watch = Watch(Path(scratch))
        for number, target in ((n, t) for n in numbers for t in targets):
            if time.monotonic() > until:
                break
            data = target.make(Random(f"{options.seed} {target.name} {number}"))
            folder.mkdir()
            problem = watch.fault(functools.partial(target.judge, data, folder))
            shutil.rmtree(folder)
            fed[target.name] += 1
            if problem is not None:
                faults += 1
                print(f"--- {target.name} {number} (seed {options.seed}): {problem}", flush=True)
                if options.keep is not None:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{target.name}-{options.seed}-{number}").write_bytes(data)
    print(f"{sum(fed.values()):,} inputs ({dict(fed)}), {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
