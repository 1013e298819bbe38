"""Runs side by side: what the list says of each, and which numbers a line may join."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log
from vision_evals.cli.serve.folder import Folder
from vision_evals.cli.serve.pages import rows
from vision_evals.cli.serve.trends import MAX_DRAWN_RUNS, short_dates, trends
from vision_evals.cli.serve.trends import Trend as Over
from vision_evals.log import Verdict
from vision_evals.report.plots import Trace
from vision_evals.report.rounding import brief

Serving = Callable[..., Any]


def only(runs: list[log.Run]) -> Over:
    (trend,) = trends(runs)
    return trend


def columns(trend: Over) -> list[tuple[str, str, tuple[str, ...]]]:
    (frame,) = trend.judged
    return [(one.classifier, one.name, one.cells) for one in frame.columns]


def points(trace: Trace) -> dict[float, float | None]:
    return {spot.x: spot.y for spot in trace.spots}


def test_each_alias_has_a_line_over_the_runs_in_time(made: ModuleType) -> None:
    values = {"a": (0.3, 0.4, 0.7), "b": (0.9, 0.8, 0.85)}
    runs = [
        made.run(day, *(made.item(alias, made.metric(v[place])) for alias, v in values.items()))
        for place, day in enumerate((2, 5, 19))
    ]
    trend = only(runs)
    assert (trend.title, trend.check, trend.runs, trend.drawn) == ("Accuracy", "c", 3, 3)
    (frame,) = trend.judged
    assert frame.title == "top1_accuracy"
    assert frame.heads == ("2 Nov", "5 Nov", "19 Nov")
    assert frame.about == "Share of images. n = 20, counts images."
    assert [trace.classifier for trace in frame.traces] == ["a", "b"]
    assert ({trace.name for trace in frame.traces}, trend.changes) == ({"top1_accuracy"}, ())
    for trace, (alias, numbers) in zip(frame.traces, values.items(), strict=True):
        assert [(spot.x, spot.y, spot.low, spot.high) for spot in trace.spots] == [
            pytest.approx((place, y, y - 0.1, y + 0.1)) for place, y in enumerate(numbers)
        ], alias
    assert columns(trend)[0] == (
        "a", "top1_accuracy",
        tuple(f"{y} ({brief(y - 0.1)} to {brief(y + 0.1)})" for y in values["a"]),
    )  # fmt: skip


def test_metrics_that_no_expectation_is_about_are_folded(made: ModuleType) -> None:
    def one(day: int) -> log.Run:
        points = [made.metric(0.5, "robust", at=at) for at in ("0", "1/255")]
        nats = made.metric(1.5, "nll", unit="nats", higher_is_better=False, low=None, high=None,
                           reason="an exact number")  # fmt: skip
        run: log.Run = made.run(day, made.item("a", *points, nats))
        return run

    trend = only([one(1), one(2)])
    assert [frame.title for frame in trend.judged] == ["robust at 0"]
    assert [frame.title for frame in trend.further] == ["robust at 1/255", "nll"]
    assert "Lower is better. n = 20, counts images. No interval: an exact number." in (
        trend.further[1].about
    )
    assert (trend.further[1].share, trend.further[1].y_label) == (False, "nats")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"item": {"parameters": {"steps": 20}}}, "parameter steps = 10 there, 20 here"),
        ({"images": {"fingerprint": "e" * 64}}, "photographs: other ids, labels or bytes of"),
        ({"images": {"limit": 10, "n": 10}}, "photographs: 20 of 20 images there, 10 of 20 here"),
        ({"settings": {"precision": "bf16"}}, "precision: fp32 there, bf16 here"),
        ({"settings": {"seed": 7}}, "seed: 0 there, 7 here"),
        ({"item": {"measure": "fgsm"}}, "measure accuracy there, fgsm here"),
    ],
)
def test_a_line_ends_where_another_question_begins(
    made: ModuleType, change: dict[str, dict[str, Any]], said: str
) -> None:
    def one(day: int, changed: dict[str, dict[str, Any]]) -> log.Run:
        item = made.item("a", made.metric(day / 10), **changed.get("item", {}))
        settings = log.Settings(
            device="cpu", device_name="p", batch_size=1, **changed.get("settings", {})
        )
        sets = (made.images(**changed.get("images", {})),)
        run: log.Run = made.run(day, item, settings=settings, image_sets=sets)
        return run

    trend = only([one(1, {}), one(2, {}), one(3, change), one(4, change)])
    (told,) = trend.changes
    assert (told.name, told.than) == ("conditions 2", "conditions 1")
    assert (told.run, told.date) == ("20261103T081720-7f3a", "3 November 2026, 08:17 UTC")
    assert len(told.differs) == 1
    assert told.differs[0].startswith(said)
    (frame,) = trend.judged
    assert [(one.name, [bool(cell) for cell in one.cells]) for one in frame.columns] == [
        ("conditions 1", [True, True, False, False]),
        ("conditions 2", [False, False, True, True]),
    ]
    assert [points(trace) for trace in frame.traces] == [
        {0: pytest.approx(0.1), 1: pytest.approx(0.2)},
        {2: pytest.approx(0.3), 3: pytest.approx(0.4)},
    ]
    assert len({trace.dash for trace in frame.traces}) == 2
    assert len({trace.colour for trace in frame.traces}) == 1


def test_limited_and_full_runs_by_turns_make_two_lines(made: ModuleType) -> None:
    runs = [
        made.run(day, made.item("a", made.metric(day / 10)), image_sets=(sets,))
        for day, sets in enumerate([made.images(), made.images(limit=5, n=5)] * 3, 1)
    ]
    trend = only(runs)
    assert len(trend.changes) == 1
    (frame,) = trend.judged
    assert [list(points(trace)) for trace in frame.traces] == [[0, 2, 4], [1, 3, 5]]
    assert None not in [spot.y for trace in frame.traces for spot in trace.spots], "no gap"


def test_a_run_without_the_number_breaks_its_line(made: ModuleType) -> None:
    invalid = made.item("a", made.metric(0.99), verdict=Verdict.INVALID)
    absent = made.item("a", made.metric(None, reason="nothing to divide by"))
    other = made.item("b", made.metric(0.5))
    for gap in ((invalid, other), (absent, other), (other,), (invalid,)):
        runs = [
            made.run(day, *(gap if day == 3 else (made.item("a", made.metric(day / 10)), other)))
            for day in range(1, 6)
        ]
        first = only(runs).judged[0]
        assert first.columns[0].cells[2] == ""
        assert points(first.traces[0])[2] is None
        assert "0.99" not in str(first)


def test_runs_without_the_check_and_parts_of_runs_are_no_places(made: ModuleType) -> None:
    part = log.Settings(device="cpu", device_name="p", batch_size=1, shard="1/2")
    elsewhere = made.item("a", made.metric(0.1), suite="b.toml")
    runs = [
        made.run(1, made.item("a", made.metric(0.1))),
        made.run(2, elsewhere),
        made.run(3, made.item("a"), settings=part),
        made.run(4, made.item("a", made.metric(0.4))),
    ]
    (frame,) = only(runs).judged
    assert frame.heads == ("1 Nov", "4 Nov")
    assert points(frame.traces[0]) == {0: pytest.approx(0.1), 1: pytest.approx(0.4)}


def test_what_is_no_trend(made: ModuleType) -> None:
    one = made.run(1, made.item("a", made.metric(0.1)))
    assert trends([]) == trends([one]) == ()
    other = made.run(2, made.item("b", made.metric(0.2)))
    trend = only([one, other])
    assert (trend.judged, trend.further) == ((), ()), "no alias twice"


def test_the_newest_of_many_are_drawn(made: ModuleType) -> None:
    item = made.item("a", made.metric(0.5))
    runs = [
        made.run(1, item, id=str(n), started=f"2026-11-01T{n // 60:02}:{n % 60:02}:00+00:00")
        for n in range(MAX_DRAWN_RUNS + 5)
    ]
    trend = only(runs)
    assert (trend.runs, trend.drawn) == (MAX_DRAWN_RUNS + 5, MAX_DRAWN_RUNS)
    assert trend.judged[0].heads[0] == "1 Nov 00:05"


@pytest.mark.parametrize(
    ("dates", "names"),
    [
        (["2026-11-01T08:00:00Z", "2026-11-12T09:30:00Z"], ("1 Nov", "12 Nov")),
        (["2026-11-01T08:00:00Z", "2027-11-01T08:00:00Z"], ("1 Nov 2026", "1 Nov 2027")),
        (["2026-11-01T08:00:00Z", "2026-11-01T09:30:00Z"], ("1 Nov 08:00", "1 Nov 09:30")),
        (["2026-11-01T08:00:00Z"] * 2, ("1 Nov", "1 Nov")),
        (["yesterday", "2026-11-01T08:00:00Z"], ("yesterday", "1 Nov")),
    ],
)
def test_dates_are_as_short_as_tells_them_apart(dates: list[str], names: tuple[str, ...]) -> None:
    assert short_dates(dates) == names


def test_the_list_says_how_each_run_stands(made: ModuleType, tmp_path: Path) -> None:
    failed = made.item("a", made.metric(0.1), verdict=Verdict.FAILED)
    passed = made.item("b", made.metric(0.9))
    baseline = log.Baseline(id="old", source="baseline", started="2026-10-01T00:00:00+00:00")
    made.keep(
        tmp_path,
        made.run(1, passed),
        made.run(2, failed, passed, baseline=baseline, image_sets=(made.images(limit=5),)),
        made.run(3, passed, status="running"),
        made.run(4, passed, status="interrupted"),
    )
    found = rows(Folder(tmp_path).entries())
    assert [(row.tone, row.status, row.headline) for row in found] == [
        ("unsure", "interrupted", "The one judged check passed, then the run was interrupted"),
        ("unsure", "running", "The one judged check passed, and the run has not finished"),
        ("bad", None, "1 of 2 judged checks failed"),
        ("good", None, "The one judged check passed"),
    ]
    assert found[2].counts == ((Verdict.FAILED, 1), (Verdict.PASSED, 1))
    assert found[2].baseline == baseline
    assert found[2].images == "limited to 5 images"


def test_the_page_shows_the_folder_as_it_is_now(
    made: ModuleType, tmp_path: Path, serving: Serving
) -> None:
    item = made.item("a", made.metric(0.5))
    made.keep(tmp_path, made.run(1, item))
    client = serving(tmp_path)
    assert "1 run. The newest: the one judged check passed." in client.ask("/")[1]
    assert "there is nothing to draw yet" in client.ask("/")[1]
    made.keep(tmp_path, made.run(2, item, status="running"))
    html = client.ask("/")[1]
    assert '<span class="status">running</span>' in html
    assert 'id="trend-1"' in html
    log.write(made.run(2, item), tmp_path / "20261102T081720-7f3a")
    assert '<span class="status">' not in client.ask("/")[1]
    for name in ("run.json", ""):
        path = tmp_path / "20261102T081720-7f3a" / name
        path.unlink() if name else path.rmdir()
    assert "1 run. The newest" in client.ask("/")[1]


def test_each_check_has_a_page_of_all_its_metrics(
    made: ModuleType, tmp_path: Path, serving: Serving
) -> None:
    item = made.item("a", made.metric(0.5), made.metric(1.5, "nll", unit="nats"))
    made.keep(tmp_path, made.run(1, item), made.run(2, item))
    client = serving(tmp_path)
    html = client.ask("/")[1]
    assert "1 metric that no expectation is about" in html
    (address,) = re.findall(r'href="(/check/\w+/)"', html)
    answer, further = client.ask(address)
    assert answer.status == 200
    for title, page, times in (("top1_accuracy", html, 1), ("nll", html, 0)):
        assert page.count(f'<strong class="panel-title">{title}<') == times
        assert further.count(f'<strong class="panel-title">{title}<') == 1
    assert client.ask("/check/none/")[0].status == 404


def test_logs_that_cannot_be_read_are_listed_with_the_reason(
    made: ModuleType, tmp_path: Path, serving: Serving
) -> None:
    made.keep(tmp_path, made.run(1, made.item("a", made.metric(0.5))))
    for name, text in {
        "half": '{"version": 2, "id',
        "newer": '{"version": 99}',
        "other": '{"name": "x"}',
        "nan": '{"version": 2, "seconds": NaN}',
        "empty": "",
        "bytes": "\x00\xff",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_bytes(text.encode("latin-1"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "run.json").mkdir()
    (tmp_path / "no-run").mkdir()
    (tmp_path / "latest").symlink_to("20261101T081720-7f3a")
    html = serving(tmp_path).ask("/")[1]
    assert "1 run. The newest" in html
    assert html.count('class="why"') == 7
    assert "written in format 99, this version reads up to 3; upgrade vision-evals" in html
    assert str(tmp_path) not in html, "no place on the disk"
    assert "no-run" not in html
    assert "latest" not in html


def test_texts_of_logs_never_become_markup(
    made: ModuleType, tmp_path: Path, serving: Serving
) -> None:
    attack = "</script></style>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}\x1b"
    dirty = made.metric(0.5, f"m{attack}", about=attack, unit=attack, at=attack)

    def one(day: int) -> log.Run:
        item = made.item(
            attack, dirty, suite=attack, check=attack, parameters={attack: [day, attack]}
        )
        environment = log.Environment(versions={}, platform=attack, threads=1, commit=attack)
        baseline = log.Baseline(id=attack, source=attack, started=attack)
        run: log.Run = made.run(
            day, item, environment=environment, baseline=baseline, started=f"{day}{attack}",
            suites=(log.Suite(path=attack, title=attack),),
        )  # fmt: skip
        return run

    made.keep(tmp_path, one(1), one(2))
    html = serving(tmp_path).ask("/")[1]
    html = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)  # ours may speak of images
    assert "<img" not in html
    assert "onerror=alert(1)&gt;" in html
    assert "{{ 7 * 7 }}" in html
    assert "\x1b" not in html


def test_a_log_is_read_again_only_when_it_changed(
    made: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.keep(tmp_path, *(made.run(day) for day in (1, 2, 3)))
    read: list[str] = []

    def counted(path: Path, plain: Callable[[Path], log.Run] = log.read) -> log.Run:
        read.append(path.parent.name[6:8])
        return plain(path)

    monkeypatch.setattr(log, "read", counted)
    folder = Folder(tmp_path)
    first = folder.entries()
    assert (read, len(first)) == (["01", "02", "03"], 3)
    assert all(a is b for a, b in zip(first, folder.entries(), strict=True))
    os.utime(tmp_path / first[1].name / "run.json", ns=(time.time_ns(), time.time_ns() + 10**9))
    folder.entries()
    assert read == ["01", "02", "03", "02"]
