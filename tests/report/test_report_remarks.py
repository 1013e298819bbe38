"""What the terminal's table leaves out, one line each."""

from __future__ import annotations

import pytest

from tests.report.test_report_terminal import checks, item, judged
from vision_evals.log import (
    Classifier,
    Environment,
    ImageSet,
    Item,
    LeftOut,
    Run,
    Settings,
    Verdict,
)
from vision_evals.report.remarks import not_fetched, remarks
from vision_evals.report.terminal import counts, height, table

HERE = "{}.pth is not in ~/.cache; name the classifier with --evals-model"


def run_of(*items: Item, fetchable: tuple[str, ...] = (), **fields: object) -> Run:
    given: dict[str, object] = {
        "id": "r", "status": "finished", "started": "2026-11-23T08:17:20+00:00",
        "command": "pytest suites/",
        "settings": Settings(device="cpu", device_name="", batch_size=4),
        "environment": Environment(versions={}, platform="", threads=1),
        "items": items,
        "classifiers": tuple(
            Classifier(alias=a, network=a, unavailable=HERE.format(a), fetchable=True)
            for a in fetchable
        ),
    }  # fmt: skip
    return Run.model_validate(given | fields)


def absent(network: str, check: str = "c", reason: str | None = None) -> Item:
    sentence = reason or HERE.format(network)
    return item(
        verdict=Verdict.UNAVAILABLE, sentence=sentence, classifier=network, check=check,
        id=f"suites/s.toml::{check}[{network}]",
    )  # fmt: skip


def test_one_line_for_all_networks_whose_weights_are_not_here() -> None:
    networks = ("alexnet", "vgg11", "inception_v3")
    items = [absent(n, check) for check in ("c", "d") for n in networks]
    pictures = [absent(n, "rabbit", "not published") for n in networks]
    run = run_of(item(judged(0.9, 0.5)), *items, *pictures, fetchable=networks)
    assert {n: len(of) for n, of in not_fetched(run).items()} == dict.fromkeys(networks, 2)
    weights, rabbit = remarks(run)
    assert weights == (
        "alexnet, vgg11, inception_v3: weights not here, 2 checks each; "
        "`pytest suites/ --evals-model alexnet` fetches alexnet"
    )
    assert rabbit == "rabbit, alexnet, vgg11 and inception_v3: unavailable: not published"
    assert remarks(run, skips=False) == [weights]


@pytest.mark.parametrize(
    ("checks_by_network", "said"),
    [
        ({"alexnet": 1}, "alexnet: weights not here, 1 check; "),
        ({"alexnet": 2, "vgg11": 1}, "alexnet, vgg11: weights not here; "),
    ],
)
def test_numbers_of_checks(checks_by_network: dict[str, int], said: str) -> None:
    items = [absent(n, f"c{k}") for n, many in checks_by_network.items() for k in range(many)]
    (line,) = remarks(run_of(*items, fetchable=tuple(checks_by_network)))
    assert line.startswith(said)


def test_a_command_that_takes_no_network_is_not_repeated() -> None:
    run = run_of(absent("alexnet"), fetchable=("alexnet",), command="evals merge a b")
    assert remarks(run) == [
        "alexnet: weights not here, 1 check; --evals-model alexnet fetches alexnet"
    ]


def test_what_no_download_repairs_keeps_its_reason() -> None:
    run = run_of(absent("small_step", reason="pip install 'vision-evals[recipes]'"))
    assert remarks(run) == ["c, small_step: unavailable: pip install 'vision-evals[recipes]'"]
    assert not_fetched(run) == {}


def test_no_more_remarks_than_a_screen_has_room_for() -> None:
    run = run_of(item(judged(0.9, 0.5)), warnings=tuple(f"w{n}" for n in range(9)))
    assert remarks(run) == [
        *(f"warning: w{n}" for n in range(4)), "5 more remarks; -v and the report show them",
    ]  # fmt: skip
    assert len(remarks(run, verbose=True)) == 9


def test_remarks_of_strangers_send_the_terminal_no_commands() -> None:
    (line,) = remarks(run_of(warnings=("\x1b]8;;evil\x07",)))
    assert "\x1b" not in line


@pytest.mark.parametrize("width", [60, 80])
def test_a_big_run_without_failures_fits_on_a_screen(width: int) -> None:
    """Eleven suites, long names, three networks that are not here, nine warnings, a full cache.

    Beside the summary, pytest writes five lines of its head, one for each suite, the line of how
    many items there are, three empty ones, and its last line; the section has a title.
    """
    long = "efficientnet_v2_with_a_long_name"
    passed = checks(11, 8, [long, "squeezenet1_1_caffe"], "after-a-long-training")
    networks = ("alexnet", "vgg11", "inception_v3")
    gone = [absent(n, f"c{k}") for n in networks for k in range(12)]
    warned = tuple(f"net{n}: no checkpoint; judged with its weights" for n in range(9))
    items = [one.model_copy(update={"cached": 20}) for one in passed] + gone
    run = run_of(*items, fetchable=networks, warnings=warned)
    places = ["log: /home/someone/project/runs/20261123T081720-7f3a/run.json"] * 2
    below = [*remarks(run), counts(run), *places]
    pytests = 5 + 11 + 1 + 3 + 1 + 1
    room = 40 - pytests - height(below, width)
    text = table(run.items, color=False, width=width, lines=max(room, 4))
    assert sum(-(-len(line) // width) or 1 for line in [*text.splitlines(), *below]) + pytests <= 40
    assert text.startswith("network")
    assert "-v shows all 352" in text


def test_what_was_left_out_of_a_folder_is_one_line() -> None:
    """Hidden files and texts lie beside pictures everywhere: the report has those."""
    groups = (
        LeftOut(reason="copies, thumbnails and unfinished downloads", n=1, names=("a.jpg~",)),
        LeftOut(reason="folders that are never data", n=1200, names=("a/@eaDir", "b/@eaDir")),
        LeftOut(reason="hidden", n=3, names=(".a", ".b", ".c"), usual=True),
    )
    images = ImageSet(role="photographs", source="pets", n=20, total=20, left_out=groups)
    assert remarks(run_of(image_sets=(images,))) == [
        "photographs: left out of pets: copies, thumbnails and unfinished downloads: 1 (a.jpg~); "
        "folders that are never data: 1,200 (a/@eaDir, b/@eaDir, ...)"
    ]
    usual = images.model_copy(update={"left_out": groups[2:]})
    assert remarks(run_of(image_sets=(usual,))) == []
