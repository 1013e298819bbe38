"""A run as large as one likes: its page stays small, and is made without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.large import write
from vision_evals import log
from vision_evals.log import Verdict

IMAGES, NETWORKS = 300, 2


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("large") / "run"
    write(place, IMAGES, NETWORKS)
    return place


def test_it_is_what_a_session_leaves(directory: Path) -> None:
    run = log.read(directory)
    assert len(run.items) == 5 * NETWORKS
    assert {item.verdict for item in run.items} == {Verdict.PASSED, Verdict.FAILED}
    for item in run.items:
        rows = pd.read_parquet(directory / str(item.table))
        assert item.measure == "dead_relu" or rows["image"].nunique() == IMAGES
    flips = [item.comparison.flips for item in run.items if item.comparison is not None]
    assert len(flips) == NETWORKS
    for found in flips:
        assert found is not None
        assert found.lost
        assert found.won
        assert all(flip.file and (directory / flip.file).is_file() for flip in found.lost)


def test_pictures_are_distinct_and_of_real_sizes(directory: Path) -> None:
    run = log.read(directory)
    shown = {p.file: len(p.panels) for item in run.items for p in item.pictures}
    assert len(shown) == 4 * 8 * NETWORKS
    content = {file: (directory / file).read_bytes() for file in shown}
    sizes = {of: [len(content[file]) for file, n in shown.items() if n == of] for of in (0, 3)}
    assert 4_000 < np.mean(sizes[0]) < 15_000
    assert 30_000 < np.mean(sizes[3]) < 60_000
    drawn = {(p.image, len(p.panels)) for item in run.items for p in item.pictures}
    assert len(set(content.values())) == len(drawn)


def test_the_same_twice(directory: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "run", IMAGES, NETWORKS)
    assert again == log.read(directory)


def test_its_page_is_made_without_torch(directory: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from vision_evals import log, report; "
        "run, page = map(Path, sys.argv[1:]); report.write(log.read(run), run, page); "
        "assert 'torch' not in sys.modules"
    )
    page = tmp_path / "report.html"
    subprocess.run([sys.executable, "-c", script, str(directory), str(page)], check=True)
    assert 1_000_000 < page.stat().st_size < 12_000_000
