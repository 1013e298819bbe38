"""The script that draws charts: built once a user, and never half of one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import vl_convert

from vision_evals.report import scripts


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    scripts.vega.cache_clear()
    yield
    scripts.vega.cache_clear()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vision-evals" / "scripts"


@pytest.mark.slow
def test_it_is_kept_as_vl_convert_builds_it(cache: Path) -> None:
    bundle = scripts.vega()
    assert bundle == vl_convert.javascript_bundle(scripts.SNIPPET)
    (kept,) = cache.iterdir()
    assert kept.read_bytes() == bundle.encode()


def test_what_is_kept_is_not_built_again(cache: Path) -> None:
    scripts.vega()
    (kept,) = cache.iterdir()
    kept.write_bytes(b"kept\r\n")
    scripts.vega.cache_clear()
    assert scripts.vega() == "kept\r\n", "to the byte: the page's policy counts each"


@pytest.mark.slow
def test_what_cannot_be_read_is_built_anew(cache: Path) -> None:
    scripts.vega()
    (kept,) = cache.iterdir()
    kept.write_bytes(b"\xff\xfe")
    scripts.vega.cache_clear()
    assert scripts.vega() == vl_convert.javascript_bundle(scripts.SNIPPET)
    assert kept.read_bytes() == scripts.vega().encode()


@pytest.mark.slow
def test_where_nothing_can_be_kept_it_is_built_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert scripts.vega() == vl_convert.javascript_bundle(scripts.SNIPPET)


def test_a_script_that_would_end_its_element_is_refused(cache: Path) -> None:
    scripts.vega()
    (kept,) = cache.iterdir()
    kept.write_text("1 </SCRIPT><b>", encoding="utf-8")
    scripts.vega.cache_clear()
    with pytest.raises(AssertionError, match="end of a script element"):
        scripts.vega()
