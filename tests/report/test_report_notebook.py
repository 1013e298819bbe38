"""A run in a notebook and on a terminal: what was judged, a few pictures, where the report is."""

from __future__ import annotations

import base64
import io
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.report.test_report_hostile import ATTACKS, poison
from vision_evals import Run, Verdict, log
from vision_evals.log.outcome import exit_code

VERDICTS = [str(verdict) for verdict in Verdict]


def result(run: log.Run, directory: Path, report: Path | None = None) -> Run:
    return Run(run, directory, report, exit_code(run))


def shown(runs: ModuleType, run: log.Run, directory: Path, report: Path | None = None) -> Any:
    return runs.Page(result(run, directory, report)._repr_html_())


def table(page: Any) -> list[list[str]]:
    """Return the cells of the page's table, without what stands between rows."""
    body = re.search(r"<tbody>(.*?)</tbody>", page.html, re.DOTALL)
    if body is None:
        return []
    rows = re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    return [
        [" ".join(re.sub(r"<[^>]+>", "", cell).split()) for cell in re.findall(r"<td.*?</td>", row)]
        for row in rows
    ]


@pytest.fixture
def every(runs: ModuleType, tmp_path: Path) -> log.Run:
    run: log.Run = runs.make_run(*runs.every_verdict(tmp_path))
    return run


# Numbers


def test_what_was_judged_comes_first_and_the_worst_of_it_before(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    rows = table(shown(runs, every, tmp_path))
    words = [row[6].split(" ", 1)[1] for row in rows]
    wanted = [bool(row[5]) for row in rows]
    assert wanted == sorted(wanted, reverse=True)
    judged = [word for word, is_judged in zip(words, wanted, strict=True) if is_judged]
    assert judged == ["failed only a warning", "failed", "inconclusive"]
    assert set(words[len(judged) :]) == {"recorded", "invalid"}, (
        "and what has no number is left out"
    )


def test_the_numbers_are_those_of_the_data_frame(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    frame = result(every, tmp_path).metrics
    rows = table(shown(runs, every, tmp_path))
    assert len(rows) > 10
    for check, network, metric, value, n, wanted, _ in rows:
        found = frame[
            (frame["check"] == check) & (frame["model"] == network) & (frame["metric"] == metric)
        ].iloc[0]
        assert int(n) == found["n"]
        assert (wanted == "") == (found["threshold"] != found["threshold"])
        numbers = [float(number) for number in re.findall(r"\d+\.\d+", value)]
        expected = [found["value"], *([] if "(" not in value else [found["low"], found["high"]])]
        if value == "none":
            expected = []
        decimals = max((len(n) for n in re.findall(r"\.(\d+)", value)), default=0)
        assert numbers == pytest.approx(expected, abs=0.5 * 10**-decimals + 1e-12)


def test_points_of_a_curve_wait_in_the_report_and_the_rest_is_counted(
    runs: ModuleType, tmp_path: Path
) -> None:
    hits = (17, 9, 5, 3, 1, 1, 0, 0)
    many = [
        runs.accuracy_item(tmp_path, f"net{k}", metrics=runs.fgsm_metrics(hits), judgements=())
        for k in range(30)
    ]
    page = shown(runs, runs.make_run(*many), tmp_path)
    rows = table(page)
    assert {row[2] for row in rows} == {"median_flip_epsilon"}
    assert len(rows) == 24
    assert "6 more numbers in .metrics" in re.sub(r"\s+", " ", page.text).replace(" .", " .")


def test_an_expectation_without_a_number_has_a_row(runs: ModuleType, tmp_path: Path) -> None:
    lost = log.Judgement(
        metric="robust_accuracy", at="4/255", side="at_least", threshold=0.5, value=None,
        verdict=Verdict.INVALID, sentence="there is no number",
    )  # fmt: skip
    item = runs.accuracy_item(tmp_path, "net", judgements=(lost,), verdict=Verdict.INVALID)
    first = table(shown(runs, runs.make_run(item), tmp_path))[0]
    assert first[2:6] == ["robust_accuracy at 4/255", "none", "0", "at least 0.5"]


def test_why_a_network_was_not_judged_is_said_once(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    text = shown(runs, every, tmp_path).text
    assert text.count("weights are not in the cache and there is no network") == 1
    assert "flat on photographs : the images have no labels" in text.replace(
        "photographs:", "photographs :"
    )


# Pictures


def sources(page: Any) -> list[bytes]:
    start = "data:image/webp;base64,"
    found = page.attributes("src")
    assert all(source.startswith(start) for source in found)
    return [base64.b64decode(source.removeprefix(start)) for source in found]


def test_at_most_eight_pictures_each_small_enough(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    pictures = sources(shown(runs, every, tmp_path))
    assert len(pictures) == 8
    assert len(set(pictures)) == 8
    for content in pictures:
        with Image.open(io.BytesIO(content)) as picture:
            assert picture.width <= 480
            assert picture.height <= 160


def test_pictures_that_do_not_shrink_are_fewer(runs: ModuleType, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (160, 480, 3), dtype=np.uint8)
    (tmp_path / "pictures").mkdir()
    pictures = []
    for k in range(8):
        Image.fromarray(np.roll(noise, k, 0)).save(tmp_path / f"pictures/{k}.webp", lossless=True)
        file, panel = f"pictures/{k}.webp", log.Panel(title="image")
        pictures.append(
            log.Picture(image=f"{k}.jpg", file=file, sample="worst", caption="c", panels=(panel,))
        )
    item = runs.accuracy_item(tmp_path, "net", pictures=tuple(pictures))
    page = shown(runs, runs.make_run(item), tmp_path)
    found = page.attributes("src")
    assert 1 <= len(found) < 8
    assert sum(map(len, found)) <= 200_000


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "folder"])
def test_a_run_without_its_files_is_shown_all_the_same(
    runs: ModuleType, every: log.Run, tmp_path: Path, damage: str
) -> None:
    whole = table(shown(runs, every, tmp_path))
    shutil.rmtree(tmp_path / "tables")
    for file in (tmp_path / "pictures").iterdir():
        content = file.read_bytes()
        file.unlink()
        if damage == "folder":
            file.mkdir()
        elif damage != "missing":
            file.write_bytes({"empty": b"", "cut": content[:60], "text": b"no"}[damage])
    page = shown(runs, every, tmp_path)
    assert page.attributes("src") == []
    assert table(page) == whole != []


# Names


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_never_become_markup(runs: ModuleType, tmp_path: Path, attack: str) -> None:
    clean = runs.make_run(*runs.every_verdict(tmp_path))
    same_markup(runs, clean, tmp_path, attack)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_no_text_at_all_becomes_markup(runs: ModuleType, tmp_path: Path, attack: str) -> None:
    same_markup(runs, runs.make_run(*runs.every_verdict(tmp_path)), tmp_path, attack)


def same_markup(runs: ModuleType, clean: log.Run, directory: Path, attack: str) -> None:
    """Assert that a name adds no tag, no attribute and no address."""
    before, after = (shown(runs, poison(clean, text), directory) for text in ("(plain)", attack))
    assert [tag for tag, _ in after.tags] == [tag for tag, _ in before.tags]
    assert [[*a] for _, a in after.tags] == [[*a] for _, a in before.tags]
    for name in ("class", "src", "href", "style"):
        assert after.attributes(name) == before.attributes(name)
    plain = "".join(c if c.isprintable() else " " for c in attack).split()
    text = "".join(after.texts)
    assert all(word in text for word in plain)


def test_the_terminal_gets_no_control_character(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    text = repr(result(poison(every, "\x1b[31m\a\n"), tmp_path))
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text.splitlines()) <= 7


# Where it is


def test_the_report_of_this_folder_has_a_relative_address(
    runs: ModuleType, every: log.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "javascript:alert(1)" / "a b" / "report.html"
    report.parent.mkdir(parents=True)
    report.touch()
    monkeypatch.chdir(tmp_path)
    (address,) = shown(runs, every, tmp_path, report).attributes("href")
    assert re.match(r"[\w%./()-]+$", address)
    assert unquote(address) == "javascript:alert(1)/a b/report.html"
    monkeypatch.chdir("/")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert shown(runs, every, tmp_path, report).attributes("href") == [report.as_uri()]


def test_a_run_without_a_report_says_where_its_log_is(
    runs: ModuleType, every: log.Run, tmp_path: Path
) -> None:
    page = shown(runs, every, tmp_path)
    assert page.attributes("href") == []
    assert str(tmp_path) in page.text


@pytest.mark.parametrize("status", ["interrupted", "running"])
def test_a_run_that_did_not_finish_says_so(runs: ModuleType, tmp_path: Path, status: str) -> None:
    run = runs.make_run(runs.failed_item(tmp_path), status=status, not_run=("suites/a.toml::b[c]",))
    for text in (shown(runs, run, tmp_path).text, repr(result(run, tmp_path))):
        word = "was interrupted" if status == "interrupted" else "has not finished"
        assert f"This run {word}" in text
    nothing = runs.make_run(status=status)
    assert "Nothing was judged" in shown(runs, nothing, tmp_path).text
    assert table(shown(runs, nothing, tmp_path)) == []


def test_a_terminal_gets_few_lines(runs: ModuleType, every: log.Run, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    lines = repr(result(every, tmp_path, report)).splitlines()
    assert lines[0].startswith(f"<Run {tmp_path}: 1 invalid, 1 failed, 1 inconclusive, 1 passed")
    assert [line.split()[0] for line in lines[1:4]] == ["INVALID", "FAILED", "INCONCLUSIVE"]
    assert lines[4:] == [f"  report: {report}"]
    many = [runs.failed_item(tmp_path, f"net{k}") for k in range(9)]
    lines = repr(result(runs.make_run(*many), tmp_path)).splitlines()
    assert lines[-1] == "  and 6 more failures"
    assert len(lines) == 5


def test_ipython_shows_both(runs: ModuleType, every: log.Run, tmp_path: Path) -> None:
    formatters = pytest.importorskip("IPython.core.formatters", reason="IPython is not installed")
    data, _ = formatters.DisplayFormatter().format(result(every, tmp_path))
    assert data["text/html"] == result(every, tmp_path)._repr_html_()
    assert data["text/plain"] == repr(result(every, tmp_path))
