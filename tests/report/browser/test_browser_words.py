"""Words that are explained a hover away, commands that are copied, sentences that lead on."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import report

pytestmark = pytest.mark.slow


@pytest.fixture
def failing(runs: ModuleType, tmp_path: Path) -> Path:
    """A report in which every verdict was given."""
    run = runs.make_run(*runs.every_verdict(tmp_path))
    return report.write(run, tmp_path, tmp_path / "report.html")


def test_a_metric_is_explained_by_hover_and_by_focus(visit: Any, failing: Path) -> None:
    with visit(failing) as seen:
        page = seen.page
        term = page.locator("#checks a.term").first
        term.scroll_into_view_if_needed()
        entry = page.locator(term.get_attribute("href")).locator("dd p").first.text_content()
        tip = page.locator("#tip")
        term.hover()
        tip.wait_for()
        assert entry in tip.text_content()
        tip.hover()
        page.wait_for_timeout(400)
        assert tip.is_visible(), "it stays while the pointer is on it"
        page.keyboard.press("Escape")
        assert not tip.is_visible()
        page.mouse.move(0, 0)
        page.keyboard.press("Tab")
        term.focus()
        tip.wait_for()
        assert term.get_attribute("aria-describedby") == "tip"
        assert seen.said == []


@pytest.mark.parametrize("width", [360, 1280])
def test_a_tip_stays_inside_the_window(visit: Any, failing: Path, width: int) -> None:
    with visit(failing, width=width) as seen:
        page = seen.page
        for term in page.locator("#checks a.term").all()[:12]:
            if not term.is_visible():
                continue
            page.keyboard.press("Tab")
            term.focus()
            page.locator("#tip").wait_for()
            box = page.locator("#tip").bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_what_failed_stands_on_the_first_screen_and_leads_to_its_evidence(
    visit: Any, failing: Path
) -> None:
    with visit(failing) as seen:
        page = seen.page
        findings = page.locator("a.finding")
        assert findings.count() >= 3
        for finding in findings.all():
            box = finding.bounding_box()
            assert box["y"] < 800, "no scrolling to see what failed"
        target = findings.first.get_attribute("href")
        findings.first.click()
        box = page.locator(target).bounding_box()
        assert -5 <= box["y"] < 800


def test_on_a_phone_what_failed_follows_the_headline(visit: Any, failing: Path) -> None:
    with visit(failing, width=360, height=740) as seen:
        page = seen.page
        assert page.locator("a.finding").first.bounding_box()["y"] < 740
        before_counts = page.evaluate(
            "() => document.querySelector('a.finding').compareDocumentPosition("
            "document.querySelector('.counts')) & Node.DOCUMENT_POSITION_FOLLOWING"
        )
        assert before_counts


def test_a_command_is_copied(visit: Any, failing: Path) -> None:
    with visit(failing, permissions=["clipboard-read", "clipboard-write"]) as seen:
        page = seen.page
        command = page.locator(".command").first
        wanted = command.locator("code").text_content()
        command.locator("button").click()
        seen.until("() => navigator.clipboard.readText().then(text => text.length > 0)")
        assert page.evaluate("() => navigator.clipboard.readText()") == wanted
