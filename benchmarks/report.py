"""What a report costs: `python benchmarks/report.py`.

A run of so many images and networks is made up (`tests/large`: rows are invented, verdicts, plots
and pictures are what a session makes of them) and rendered in a fresh process, from reading the log
to the written page. Most of the minutes that it takes are bootstraps of the made-up metrics; `--run
DIR` renders a run that is there instead. Neither asks a network.
"""

# ruff: noqa: T201 - a script, and tables are what it is for
from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from html.parser import HTMLParser
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

MAKE = """
import sys
from pathlib import Path
from tests.large import write
write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
"""

RENDER = """
import sys
from pathlib import Path
from vision_evals import log, report
run, page = map(Path, sys.argv[1:])
report.write(log.read(run), run, page)
"""

IMPORT = """
import sys
import vision_evals.report
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""

REPEATS = 3


class Cost(NamedTuple):
    """Of one process, from its start to its end."""

    seconds: float
    memory: float
    """Highest resident, in GB. Linux counts what the parent held when it forked, too, so that this
    script itself loads nothing large."""


def cost(script: str, *arguments: str) -> Cost:
    """Run a script in a fresh process, and leave with what it says where it fails."""
    command = [sys.executable, "-c", script, *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"failed: {' '.join(command[2:])}")
    return Cost(seconds, usage.ru_maxrss / 1e6)


def median(script: str, *arguments: str) -> Cost:
    """Return the median time, and the highest memory, of a few processes."""
    costs = [cost(script, *arguments) for _ in range(REPEATS)]
    return Cost(statistics.median(c.seconds for c in costs), max(c.memory for c in costs))


class Parts(HTMLParser):
    """Where the outermost sections, scripts and styles of a page begin and end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._lines = [0, *accumulate(len(line) + 1 for line in html.split("\n"))]
        self._open: list[str] = []
        self.found: list[tuple[str, int, int]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the beginning of an outermost part."""
        if tag not in {"section", "script", "style"}:
            return
        if not self._open:
            name = dict(attrs).get("id") if tag == "section" else tag
            self.found.append((name or tag, self._offset(), -1))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Note its end."""
        if tag in {"section", "script", "style"}:
            self._open.pop()
            if not self._open:
                name, begin, _ = self.found.pop()
                self.found.append((name, begin, self._offset()))

    def _offset(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column


def by_part(html: str) -> dict[str, int]:
    """Return bytes by part, the largest first; suites and scripts count together."""
    sizes: dict[str, int] = {}
    for name, begin, end in Parts(html).found:
        name = re.sub(r"^suite-\d+$", "suites", name)
        sizes[name] = sizes.get(name, 0) + len(html[begin:end].encode())
    sizes["the rest"] = len(html.encode()) - sum(sizes.values())
    return dict(sorted(sizes.items(), key=lambda part: -part[1]))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--networks", type=int, default=4)
    parser.add_argument("--run", type=Path, help="render this run, and make up none")
    parser.add_argument("--keep", type=Path, help="a new folder to leave the run and its page in")
    asked = parser.parse_args()
    if asked.keep is not None and asked.keep.exists():
        parser.error(f"--keep {asked.keep}: is already there")
    with tempfile.TemporaryDirectory() as place:
        folder = asked.keep or Path(place)
        run = asked.run or folder / "run"
        if asked.run is None:
            made = cost(MAKE, str(run), str(asked.images), str(asked.networks))
            print(f"made up in {made.seconds:.0f} s\n")
        folder.mkdir(exist_ok=True)
        page = folder / "report.html"
        imported, rendered = median(IMPORT), median(RENDER, str(run), str(page))
        html = page.read_text(encoding="utf-8")
    of = str(asked.run or f"{asked.images:,} images x {asked.networks} networks")
    print(f"{platform.machine()}, {os.cpu_count()} cores, medians of {REPEATS} processes\n")
    print(f"| {of} | |\n|---|---|")
    print(f"| import vision_evals.report, without torch | {imported.seconds:.2f} s |")
    print(f"| log to page | {rendered.seconds:.2f} s |")
    print(f"| highest memory | {rendered.memory:.2f} GB |")
    print(f"| page | {len(html.encode()) / 1e6:.2f} MB |")
    pictures = sum(
        len(uri) for uri in re.findall(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]*", html)
    )
    print(f"| pictures on it | {pictures / 1e6:.2f} MB |\n\n| part | MB |\n|---|---|")
    for name, size in by_part(html).items():
        print(f"| {name} | {size / 1e6:.3f} |")


if __name__ == "__main__":
    main()
