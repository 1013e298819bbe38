"""The gallery by mouse, keyboard and finger: filters, order, the large view, the slider."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import report

pytestmark = pytest.mark.slow

SHOWN = "() => [...document.querySelectorAll('.tile')].filter(t => !t.hidden).length"


@pytest.fixture
def lecture(runs: ModuleType, tmp_path: Path) -> Path:
    return report.write(runs.lecture(tmp_path), tmp_path, tmp_path / "report.html")


def found(page: Any) -> int:
    """Return the number that the page says, having held it against the tiles that can be seen."""
    shown = int(page.evaluate(SHOWN))
    said = page.locator("#shown-count").text_content().split()[0]
    assert int(said.replace(",", "")) == shown
    return shown


def test_filters_say_how_many_they_find_and_find_what_they_say(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        page = seen.page
        every = found(page)
        assert every > 10
        page.locator("#filters select[name=network]").select_option("efficientnet_lite0")
        one = found(page)
        assert 0 < one < every
        facets = page.evaluate(
            "() => [...document.querySelectorAll('.tile')].filter(t => !t.hidden)"
            ".map(t => JSON.parse(t.dataset.facets).some(f => f.network === 'efficientnet_lite0'))"
        )
        assert all(facets)
        page.locator("#filters select[name=sample]").select_option(index=1)
        assert found(page) <= one
        page.locator("#filters button[type=reset]").click()
        seen.until(f"() => ({SHOWN})() === {every}")
        assert found(page) == every
        page.locator("#filters input[name=class]").fill("no such class")
        assert found(page) == 0
        assert page.locator("#nothing").is_visible()
        assert seen.said == []


def test_a_range_of_confidence_holds_for_every_tile_that_is_left(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        page = seen.page
        every = found(page)
        page.locator("#filters input[name=from]").fill("80")
        assert 0 < found(page) < every
        surest = page.evaluate(
            "() => [...document.querySelectorAll('.tile')].filter(t => !t.hidden)"
            ".map(t => Math.max(...JSON.parse(t.dataset.facets).map(f => f.confidence ?? 0)))"
        )
        assert min(surest) >= 0.8
        page.locator("#filters select[name=order]").select_option("low")
        order = page.evaluate(
            "() => [...document.querySelectorAll('.tile')].filter(t => !t.hidden)"
            ".map(t => Math.max(...JSON.parse(t.dataset.facets).map(f => f.confidence ?? 0)"
            ".filter(c => c >= 0.8)))"
        )
        assert order == sorted(order)


def test_a_picture_opens_large_by_keyboard_and_gives_the_focus_back(
    visit: Any, lecture: Path
) -> None:
    with visit(lecture) as seen:
        page = seen.page
        button = page.locator(".tile .open").nth(2)
        button.focus()
        page.keyboard.press("Enter")
        dialog = page.locator("dialog#large")
        assert dialog.is_visible()
        first = dialog.locator(".place").text_content()
        assert first.startswith("3 of ")
        page.keyboard.press("ArrowRight")
        assert dialog.locator(".place").text_content().startswith("4 of ")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Escape")
        assert not dialog.is_visible()
        assert page.evaluate("document.activeElement.classList.contains('open')")
        assert page.evaluate("document.activeElement.closest('.tile').id") == "picture-3"
        assert seen.said == []


def test_the_large_view_goes_through_what_the_filter_shows(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        page = seen.page
        page.locator("#filters select[name=network]").select_option("efficientnet_lite0")
        n = found(page)
        page.locator(".tile:not([hidden]) .open").first.click()
        place = page.locator("dialog#large .place")
        assert place.text_content().startswith(f"1 of {n}")


def test_the_slider_shows_before_and_after_by_mouse_and_keyboard(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        page = seen.page
        page.locator(".tile.paired .open").first.click()
        slider = page.locator("dialog#large .slider input")
        said = slider.get_attribute("aria-label")
        assert said
        before = slider.input_value()
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert slider.input_value() != before
        box = slider.bounding_box()
        page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + box["height"] / 2)
        assert float(slider.input_value()) > 80
        sources = page.evaluate(
            "() => [...document.querySelectorAll('dialog#large img')].map(i => i.naturalWidth)"
        )
        assert sources
        assert all(sources)
        assert seen.said == []
        assert seen.asked == []


def test_a_finger_swipes_to_the_next_picture(visit: Any, lecture: Path) -> None:
    with visit(lecture, width=390, height=844, has_touch=True, is_mobile=True) as seen:
        page = seen.page
        page.locator(".tile .open").first.tap()
        dialog = page.locator("dialog#large")
        assert dialog.locator(".place").text_content().startswith("1 of ")
        box = dialog.locator(".whole").bounding_box()
        touch = page.context.new_cdp_session(page)
        y = box["y"] + box["height"] / 2

        def send(kind: str, x: float | None) -> None:
            points = [] if x is None else [{"x": x, "y": y}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        send("touchStart", 320)
        for x in (260, 180, 100):
            send("touchMove", x)
        send("touchEnd", None)
        seen.until(
            "() => document.querySelector('dialog#large .place').textContent.startsWith('2 of ')"
        )


def test_an_address_opens_a_picture(visit: Any, lecture: Path) -> None:
    with visit(lecture.resolve().as_uri() + "#picture-2") as seen:
        place = seen.page.locator("dialog#large .place")
        assert place.text_content().startswith("2 of ")


def test_without_scripts_every_picture_stands_in_full(visit: Any, lecture: Path) -> None:
    with visit(lecture, java_script_enabled=False) as seen:
        page = seen.page
        assert not page.locator("#filters").is_visible()
        assert page.locator(".tile .columns").first.is_visible()
        assert page.locator(".tile").count() == page.locator(".tile:visible").count()


def test_alt_texts_say_what_is_seen(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        alts = seen.page.evaluate(
            "() => [...document.querySelectorAll('.tile img')].map(i => i.alt)"
        )
        assert alts
        assert all("see" in alt for alt in alts), "seen as, or: NETWORK sees"


def test_a_folder_shows_its_pictures_from_a_disk(
    visit: Any, runs: ModuleType, tmp_path: Path
) -> None:
    index = report.write_folder(runs.lecture(tmp_path), tmp_path, tmp_path / "folder")
    with visit(index) as seen:
        seen.page.locator(".tile img").first.scroll_into_view_if_needed()
        seen.until(
            "() => { const i = document.querySelector('.tile img');"
            " return i.complete && i.naturalWidth > 0; }"
        )
        assert seen.said == []
        assert all(one.startswith(index.parent.resolve().as_uri()) for one in seen.asked)
        assert seen.asked, "they lie beside the page"
