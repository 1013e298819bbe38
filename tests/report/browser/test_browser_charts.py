"""The report as a reader opens it: nothing is loaded, nothing complains, charts answer."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report

pytestmark = pytest.mark.slow

DRAWN = "[data-chart=drawn]"

PLACES = """c => [...c.querySelectorAll('.mark-symbol.role-mark path')]
    .map(point => point.getAttribute('transform'))"""
"""Of a chart's points."""


@pytest.fixture
def lecture(runs: ModuleType, tmp_path: Path) -> Path:
    """A report of the lecture's suites, with pictures, sweeps and something that failed."""
    return report.write(runs.lecture(tmp_path), tmp_path, tmp_path / "report.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_file_opens_without_network_and_without_a_complaint(
    visit: Any, lecture: Path, scheme: str
) -> None:
    with visit(lecture, color_scheme=scheme) as seen:
        seen.settle()
        assert seen.page.locator(DRAWN).count() > 5
        assert seen.said == []
        assert seen.asked == []


@pytest.mark.parametrize("width", [360, 768, 1280, 3840])
def test_no_width_scrolls_sideways(visit: Any, lecture: Path, width: int) -> None:
    with visit(lecture, width=width) as seen:
        seen.settle()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_tooltip_says_the_number_under_the_pointer(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        seen.settle()
        chart = seen.page.locator(f"{DRAWN}[data-channel=x]").first
        points = chart.locator(".mark-symbol.mark-symbol.role-mark path")
        points.nth(3).scroll_into_view_if_needed()
        points.nth(3).hover(force=True)
        tip = seen.page.locator("#vg-tooltip-element.visible")
        tip.wait_for()
        assert "n:" in tip.locator("td.key").all_text_contents()
        assert tip.locator("td.value").first.text_content() in {
            "squeezenet1_1_caffe",
            "efficientnet_lite0",
        }
        assert seen.said == [], "the policy allows Vega's tooltip"


def test_a_tooltip_in_the_right_half_of_a_bin_says_the_number_of_that_bin(
    visit: Any, runs: ModuleType, tmp_path: Path
) -> None:
    bins = log.Line(name="art", x=(0.0, 0.5, 1.0), y=(0.2, 0.8, None), n=(20,) * 3, steps=True)
    plot = log.Plot(title="Confidence", x_label="confidence", y_label="share", lines=(bins,))
    run = runs.make_run(runs.descent().model_copy(update={"plots": (plot,)}))
    with visit(report.write(run, tmp_path, tmp_path / "report.html")) as seen:
        seen.settle()
        rule = seen.page.locator(f"{DRAWN} .mark-rule.role-mark line").first
        rule.scroll_into_view_if_needed()
        box = rule.bounding_box()
        seen.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
        tip = seen.page.locator("#vg-tooltip-element.visible")
        tip.wait_for()
        assert tip.locator("td.value").all_text_contents() == ["art", "0 to 0.5", "0.2", "20"]


def test_the_axis_of_a_sweep_is_switched_by_keyboard(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        seen.settle()
        chart = seen.page.locator(f"{DRAWN}[data-channel=x]").first
        before = chart.evaluate(PLACES)
        button = chart.get_by_role("button", name="linear")
        button.focus()
        seen.page.keyboard.press("Enter")
        seen.until(
            f"([c, before]) => ({PLACES})(c).join() !== before.join()",
            [chart.element_handle(), before],
        )
        assert button.get_attribute("aria-pressed") == "true"
        assert (
            chart.get_by_role("button", name="logarithmic").get_attribute("aria-pressed") == "false"
        )
        assert len(chart.evaluate(PLACES)) == len(before), "the same points"
        assert seen.said == []


def test_one_colour_a_network_through_the_page(visit: Any, lecture: Path) -> None:
    with visit(lecture) as seen:
        seen.settle()
        swatch = seen.page.evaluate(
            "getComputedStyle(document.querySelector('.classifier.c0 .swatch')).backgroundColor"
        )
        fills = seen.page.evaluate(
            "[...document.querySelectorAll('.drawing [fill=\"var(--c0)\"]')]"
            ".map(e => getComputedStyle(e).fill)"
        )
        assert fills
        assert set(fills) == {swatch}


def test_charts_follow_the_scheme_without_being_drawn_again(visit: Any, lecture: Path) -> None:
    with visit(lecture, color_scheme="light") as seen:
        seen.settle()
        shade = (
            "getComputedStyle(document.querySelector('.drawing [stroke=\"var(--line)\"]')).stroke"
        )
        light = seen.page.evaluate(shade)
        seen.page.emulate_media(color_scheme="dark")
        assert seen.page.evaluate(shade) != light


def test_without_scripts_the_numbers_stand_there(visit: Any, lecture: Path) -> None:
    with visit(lecture, java_script_enabled=False) as seen:
        tables = seen.page.locator("details.numbers-of table")
        assert tables.count() > 5
        summary = seen.page.locator("details.numbers-of summary").first
        summary.click()
        assert tables.first.is_visible()
        assert not seen.page.locator(".scales").first.is_visible(), "buttons that do nothing"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(
    visit: Any, runs: ModuleType, tmp_path: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    lecture, trained = runs.lecture(tmp_path), runs.trained_run(tmp_path)
    items = (*lecture.items, *runs.every_verdict(tmp_path), *trained.items)
    cards = (*lecture.classifiers, *trained.classifiers)
    run: log.Run = lecture.model_copy(update={"items": items, "classifiers": cards})
    path = report.write(run, tmp_path, tmp_path / "report.html")
    with visit(path, width=width, color_scheme=scheme) as seen:
        seen.settle()
        found = axe.Axe().run(seen.page).response["violations"]
    grave = [
        (one["id"], one["impact"], [node["target"] for node in one["nodes"]][:3])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert grave == []


def test_print_holds_every_number(visit: Any, lecture: Path, tmp_path: Path) -> None:
    with visit(lecture, color_scheme="dark") as seen:
        seen.settle()
        pdf = seen.page.pdf()
        assert pdf.startswith(b"%PDF")
        seen.page.emulate_media(media="print")
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == "rgb(255, 255, 255)", "paper is white in the dark, too"
        assert not seen.page.locator("nav").first.is_visible()
        printed = seen.page.evaluate(
            "[...document.querySelectorAll('details.numbers-of table')]"
            ".map(table => table.checkVisibility())"
        )
        assert len(printed) > 5
        assert all(printed), "though nobody opened them"


@pytest.mark.parametrize(
    "label",
    ["image", 'q"', "back\\", "two\nlines", '\\", "more": warn("done"), "": "', "\u2028</script>"],
)
def test_words_of_the_log_are_neither_addresses_nor_expressions(
    visit: Any, runs: ModuleType, tmp_path: Path, label: str
) -> None:
    addresses = ("file:///etc/hostname", 'data:image/png,x" onerror="alert(1)')
    line = log.Line(name=label, x=(0, 1), y=(0.1, 0.2))
    plot = log.Plot(title="t", x_label=label, y_label="share", lines=(line,), ticks=addresses)
    item = runs.accuracy_item(tmp_path, "net", plots=(plot,), pictures=())
    page = report.write(runs.make_run(item), tmp_path, tmp_path / "report.html")
    with visit(page) as seen:
        seen.settle()
        points = seen.page.locator(".plotted .mark-symbol.role-mark path")
        for place in (0, 1):
            points.nth(place).scroll_into_view_if_needed()
            points.nth(place).hover(force=True)
            tip = seen.page.locator("#vg-tooltip-element.visible")
            tip.get_by_text(addresses[place]).wait_for()
            assert tip.locator("td.key").all_text_contents()[1] == f"{label}:"
            assert tip.locator("img").count() == 0
        assert seen.said == []
        assert seen.asked == []
