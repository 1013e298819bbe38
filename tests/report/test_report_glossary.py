"""The glossary: one entry for each word, every term leads to it, and no name gets out of hand."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log, report
from vision_evals.log import Verdict
from vision_evals.report.glossary import INTERVALS, MAX_ANCHOR_CHARS, VERDICTS, glossary

two = importlib.import_module("tests.report.test_report_side_by_side")

NAMES = (
    "a b", "a-b", "a  b", "", "#", "kakapo \N{PARROT}", "\N{GREEK SMALL LETTER PI}", "a" * 500,
    "a" * 500 + "b", "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)", "{{ 7 * 7 }}", "javascript:alert(1)", "__proto__", "a\x00b",
)  # fmt: skip


def terms(page: Any) -> list[str]:
    return [a["href"] for tag, a in page.tags if tag == "a" and a.get("class") == "term"]


def entries(html: str) -> list[tuple[str, str, str]]:
    """Return kind, first word and meaning of each entry as they stand on the page."""
    found = re.findall(
        r'<div id="term-([a-z]+)-[^"]*">\s*<dt[^>]*>(.*?)</dt>\s*<dd><p>(.*?)</p>', html, re.DOTALL
    )
    bare = re.compile(r'<span class="(?:n|symbol)"[^>]*>.*?</span>|<[^>]*>')
    return [(kind, bare.sub("", term).strip(), meaning) for kind, term, meaning in found]


def item_of(*names: str, **more: Any) -> log.Item:
    fields: dict[str, Any] = {
        "id": "s.toml::a[net]", "suite": "s.toml", "check": "a", "classifier": "net",
        "measure": "own", "verdict": Verdict.RECORDED, "sentence": "recorded",
        "metrics": tuple(
            log.Metric(
                name=name, value=1.0, unit="x", n=1, denominator="images", reason="one",
                about=f"About number {number}.",
            )
            for number, name in enumerate(names)
        ),
    }  # fmt: skip
    return log.Item(**fields | more)


def test_each_verdict_metric_interval_and_validity_check_has_one_entry(
    runs: ModuleType, tmp_path: Path
) -> None:
    items = (*runs.every_verdict(tmp_path), runs.fgsm_item(tmp_path, "passes"))
    html = report.render(runs.make_run(*items), tmp_path)
    wanted = {("verdict", verdict.value) for verdict in Verdict}
    wanted |= {("metric", metric.name) for item in items for metric in item.metrics}
    wanted |= {("validity", one.name) for item in items for one in item.validity}
    wanted |= {("interval", "Wilson"), ("interval", "bootstrap")}
    found = Counter((kind, term) for kind, term, _ in entries(html))
    assert set(found) == wanted
    assert set(found.values()) == {1}
    assert all(meaning for _, _, meaning in entries(html))


def test_every_term_leads_to_an_entry_of_its_page(runs: ModuleType, tmp_path: Path) -> None:
    items = (*runs.every_verdict(tmp_path), runs.fgsm_item(tmp_path, "passes"))
    whole = runs.Page(report.render(runs.make_run(*items), tmp_path))
    path = report.write_comparison(two.run_beside(runs, tmp_path), tmp_path, tmp_path / "c.html")
    beside = runs.Page(path.read_text(encoding="utf-8"))
    for page, kinds in ((whole, "verdict metric interval validity"), (beside, "metric")):
        ids = Counter(page.attributes("id"))
        assert set(ids.values()) == {1}
        assert {href.removeprefix("#") for href in terms(page)} <= set(ids)
        assert {href.split("-")[1] for href in terms(page)} == set(kinds.split())


def test_names_may_be_anything_and_anchors_stay_safe_and_unique(
    read: Callable[[log.Run], Any], runs: ModuleType
) -> None:
    broken = tuple(
        log.Validity(name=name, outcome="failed", evidence="e", meaning=f"Against {number}.")
        for number, name in enumerate(NAMES)
    )
    found = glossary([item_of(*NAMES, validity=broken)])
    anchors = [entry.anchor for entry in found.values()]
    assert len(set(anchors)) == len(anchors) == len(VERDICTS) + 2 * len(NAMES)
    assert all(re.fullmatch(r"term-[a-z]+-[A-Za-z0-9_-]*", anchor) for anchor in anchors)
    assert max(map(len, anchors)) < MAX_ANCHOR_CHARS + 5
    for number, name in enumerate(NAMES):
        assert found["metric", name].meaning == f"About number {number}."
        assert found["validity", name].meaning == f"Against {number}."
    page = read(runs.make_run(item_of(*NAMES, validity=broken)))
    assert len(set(page.attributes("id"))) == len(page.attributes("id"))
    assert {href.removeprefix("#") for href in terms(page)} <= set(page.attributes("id"))
    assert not {"img"} & {tag for tag, _ in page.tags}
    assert not [name for _, a in page.tags for name in a if name.startswith("on")]


def test_sources_stand_below_their_meaning_and_an_old_log_has_none(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = runs.make_run(runs.accuracy_item(tmp_path, "net"))
    html = report.render(run, tmp_path)
    assert '<p class="source">Guo et al. 2017, section 2</p>' in html
    assert '<p class="source">Croce &amp; Hein 2020</p>' in html
    old = json.loads(run.model_dump_json())
    for item in old["items"]:
        for told in (*item["metrics"], *item["validity"]):
            del told["source"]
    html = report.render(log.Run.model_validate(old), tmp_path)
    sources = re.findall(r'<p class="source">(.*?)</p>', html.partition('id="glossary"')[2])
    intervals = [INTERVALS[name][2] for name in ("wilson", "bootstrap")]
    assert list(map(unescape, sources)) == intervals


def test_measures_that_mean_different_things_by_a_name_are_told_apart() -> None:
    def said(measure: str, about: str, source: str = "") -> log.Item:
        metric = item_of("m").metrics[0].model_copy(update={"about": about, "source": source})
        return item_of(measure=measure, metrics=(metric,))

    items = (
        said("fgsm", "One step.", "A 2015"),
        said("adversarial", "Every attack.", "B 2019"),
        said("own", "One step.", "A 2015"),
        said("silent", ""),
    )
    entry = glossary(items)["metric", "m"]
    assert entry.meaning == "In fgsm and own: One step. In adversarial: Every attack."
    assert entry.source == "A 2015; B 2019"
    assert glossary(items[::2])["metric", "m"].meaning == "One step."
    assert "Its definition does not explain it" in glossary(items[3:])["metric", "m"].meaning


def test_intervals_are_those_of_metrics_gates_and_comparisons(
    runs: ModuleType, tmp_path: Path
) -> None:
    run = two.run_beside(runs, tmp_path)
    found = glossary(run.items)
    names = [name for kind, name in found if kind == "interval"]
    assert names == ["wilson", "bootstrap", "score"]
    assert found["interval", "score"].source.startswith("Tango 1998")
    other = item_of("m").metrics[0].model_copy(update={"method": "guess <b>", "confidence": 0.99})
    sure = item_of("m").metrics[0].model_copy(update={"method": "guess <b>", "confidence": 0.9})
    assert all(
        " Two-sided confidence here: " in entry.meaning
        for (kind, _), entry in found.items()
        if kind == "interval"
    )
    unknown = glossary([item_of(metrics=(other, sure))])["interval", "guess <b>"]
    assert (unknown.label, unknown.source) == ("guess <b>", "")
    assert "this page does not describe" in unknown.meaning
    assert unknown.meaning.endswith(" Two-sided confidence here: 90 % and 99 %.")


@pytest.mark.parametrize("method", INTERVALS)
def test_every_interval_is_told_with_its_paper(method: str) -> None:
    term, meaning, source = INTERVALS[method]
    assert term.casefold() == method
    assert meaning.endswith(".")
    assert re.search(r"\b19\d\d\b", source)


def test_validity_checks_stand_by_number_and_each_once() -> None:
    def check(number: str, name: str) -> log.Validity:
        return log.Validity(
            id=number, name=name, outcome="passed", evidence="e", meaning="m", source="s"
        )

    checks = (check("", "free"), check("S13", "noise"), check("S5", "logits"), check("S5", "soft"))
    found = glossary([item_of(validity=checks), item_of(measure="b", validity=checks[1:])])
    shown = [(e.number, e.label) for e in found.values() if e.kind == "validity"]
    assert shown == [("S5", "logits"), ("S5", "soft"), ("S13", "noise"), ("", "free")]
