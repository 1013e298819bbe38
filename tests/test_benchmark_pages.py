"""What the benchmarks make of a page: its bytes by part, and pictures that are small enough."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.benchmark import script
from vision_evals.core.errors import UserError


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_parts_of_a_page_add_up_to_it() -> None:
    parts = {
        "style": "<style>section { }</style>",
        "suites": '<section id="suite-1">é\u2028<section>inner</section>\n</section>',
        "pictures": '<section id="pictures" class="x"><p>\r\n\x0b</section>',
        "script": "<script>'<section>'\n</script>",
    }
    more = '<section id="suite-12"></section>'
    html = "<main>\n" + "\n".join(parts.values()) + more + "</main>"
    found = script("report").by_part(html)
    ends = {"style": len("</style>"), "script": len("</script>")}
    for name, text in parts.items():
        whole = text + more if name == "suites" else text
        closing = ends.get(name, len("</section>") * (2 if name == "suites" else 1))
        assert found[name] == len(whole.encode()) - closing  # a part ends where its end tag begins
    assert sum(found.values()) == len(html.encode())


@pytest.mark.slow
def test_a_picture_of_the_readme_is_small_or_refused() -> None:
    rng, small = np.random.default_rng(0), script("screenshots").small
    flat = png(np.full((900, 1440, 3), 250, dtype=np.uint8))
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(small(flat)))), np.full((900, 1440, 3), 250)
    )
    hues = png(rng.integers(0, 60, (390, 844, 3), dtype=np.uint8))
    fewer = small(hues)
    assert len(fewer) < 300_000 < len(hues)
    assert Image.open(io.BytesIO(fewer)).mode == "P"
    noise = png(rng.integers(0, 256, (900, 1440, 3), dtype=np.uint8))
    with pytest.raises(UserError, match="bytes with 128 colours, and a picture of the README has"):
        small(noise)


def test_without_a_chromium_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="no Chromium"):
        script("screenshots").browser()
