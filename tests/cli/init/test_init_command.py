"""``evals init``: it looks, writes what is valid, runs it, and never takes anything's place."""

from __future__ import annotations

import os
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from tests.cli.init.repository import COLORS, INIT, everything, furnish, init, weights
from tests.inner import run as run_pytest
from vision_evals import log
from vision_evals.cli.init import first_run, looking
from vision_evals.cli.init.writing import FILES, path_text, toml

GREEN = ("suites/gate.toml", "--evals-cards=evals_cards.toml", "--evals-baseline=baseline",
         "--evals-same=skip", "-W", "error")  # fmt: skip


def suite_of(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "suites/gate.toml").read_text("utf-8"))


def card_of(folder: Path) -> dict[str, Any]:
    cards = tomllib.loads((folder / "evals_cards.toml").read_text("utf-8"))
    return dict(cards["models"]["my_net"])


def test_it_looks_writes_runs_and_accepts_and_what_it_wrote_is_green(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path)
    before = everything(tmp_path)
    assert init(tmp_path, *INIT) == 0
    out = capsys.readouterr().out
    assert "images: 300 pictures in 3 classes, 8 x 8 pixels\n" in out
    assert (
        "network: nets:build, 3 classes; best.safetensors fits: safetensors, 1 tensor with" in out
    )
    assert "gate: 300 images decide a margin of 4.8 points (80 % power, if 10 % of" in out
    assert "a margin of 1 point needs 6,215 images, so the gate only warns\n" in out
    assert "first run: passed; accuracy 1.000, n = 300\n" in out
    assert "warning" not in out
    assert set(everything(tmp_path)) == set(before) | set(FILES)

    suite = suite_of(tmp_path)
    assert suite["images"] == {"photographs": "../pictures"}
    (check,) = suite["check"]  # one: what changed on the images is said once
    lower_end = binomtest(300, 300).proportion_ci(method="wilson").low
    lowest = binomtest(int(lower_end * 300), 300).proportion_ci(method="wilson").low
    assert check["expect"] == [
        {"metric": "top1_accuracy", "at_least": int(lowest * 100) / 100, "confidence": 0.95},
        {
            "metric": "top1_accuracy",
            "at_least": {"of": "baseline", "minus": 0.048},
            "severity": "warn",
        },
    ]
    card = card_of(tmp_path)
    assert card["network"] == "nets:build"
    assert card["checkpoint"] == "best.safetensors"
    assert card["input"]["resize"] == [8, 8]
    assert card["input"]["mean"] == [0.485, 0.456, 0.406]

    done = run_pytest(tmp_path, *GREEN)
    assert done.code == 0, done.out
    assert "warning" not in done.out.lower()
    assert done.out.count("images turned wrong") == 1
    accepted = log.read(tmp_path / "baseline")
    assert accepted.items[0].metrics[0].value == 1.0
    assert not log.read(tmp_path / "runs" / "latest").warnings

    clean = tmp_path / "clean"  # what another machine checks out
    shutil.copytree(tmp_path, clean, ignore=shutil.ignore_patterns("runs", ".evals_cache", "clean"))
    done = run_pytest(clean, *GREEN)
    assert done.code == 0, done.out
    assert "from the cache" not in done.out


def test_a_worse_checkpoint_is_named_and_a_much_worse_one_is_red(tmp_path: Path) -> None:
    furnish(tmp_path)
    assert init(tmp_path, *INIT) == 0
    weights(tmp_path, -10.0)
    done = run_pytest(tmp_path, *GREEN)
    assert done.code == 1
    assert "300 of 300 images turned wrong" in done.out


def test_many_images_make_a_gate_that_fails(tmp_path: Path) -> None:
    """The same 300 images, if two equal networks hardly differ."""
    furnish(tmp_path)
    assert init(tmp_path, *INIT, "--discordance=0.02") == 0
    gate = suite_of(tmp_path)["check"][0]["expect"][1]
    assert gate == {"metric": "top1_accuracy", "at_least": {"of": "baseline", "minus": 0.025}}


def test_twenty_pictures_are_green_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    furnish(tmp_path, each=7)
    assert init(tmp_path, *INIT) == 0
    assert "21 images decide a margin of" in capsys.readouterr().out
    assert run_pytest(tmp_path, *GREEN).code == 0


def test_guessing_gets_no_floor_and_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=20)
    (tmp_path / "classes.txt").write_text("green\nblue\nred\n", encoding="utf-8")
    assert init(tmp_path, *INIT) == 0
    assert "not shown to be better than guessing" in capsys.readouterr().out
    (gate,) = suite_of(tmp_path)["check"][0]["expect"]
    assert gate["at_least"]["of"] == "baseline"


def test_folders_name_the_classes_as_image_folder_does(tmp_path: Path) -> None:
    furnish(tmp_path, each=10)
    for number, name in enumerate(COLORS):
        (tmp_path / "pictures" / name).rename(tmp_path / "pictures" / f"{number}-{name}")
    arguments = [word for word in INIT if not word.startswith("--classes")]
    assert init(tmp_path, *arguments, "--classes=folders") == 0
    text = (tmp_path / "evals_classes.txt").read_text("utf-8")
    assert text == "0-red\n1-green\n2-blue\n"
    assert card_of(tmp_path)["classes"] == "evals_classes.txt"


def test_what_only_the_user_knows_is_to_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    assert init(tmp_path, *INIT[:4], "--size=16") == 0
    assert "check `input`" in capsys.readouterr().out
    assert "CHECK THESE" in (tmp_path / "evals_cards.toml").read_text("utf-8")
    assert card_of(tmp_path)["input"]["resize"] == [16, 16]


def test_paths_outside_of_the_repository_are_kept_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    (tmp_path / "repository").mkdir()
    (tmp_path / "nets.py").rename(tmp_path / "repository" / "nets.py")
    assert init(tmp_path, "repository", *INIT) == 0
    suite = suite_of(tmp_path / "repository")
    assert suite["images"] == {"photographs": (tmp_path / "pictures").as_posix()}
    assert "- pictures: is outside of the repository" in capsys.readouterr().out


# Mistakes


@pytest.mark.parametrize("there", list(FILES))
def test_nothing_is_ever_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str
) -> None:
    furnish(tmp_path, each=2)
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("mine", encoding="utf-8")
    assert init(tmp_path, *INIT) == 1
    captured = capsys.readouterr()
    assert f"{there}: was there, left as it is" in captured.out
    assert f"not overwritten: {there};" in captured.err
    assert (tmp_path / there).read_text("utf-8") == "mine"
    before = everything(tmp_path)
    assert set(FILES) <= set(before)
    assert init(tmp_path, *INIT) == 1
    assert everything(tmp_path) == before
    assert not (tmp_path / "runs").exists()


def test_an_accepted_run_that_was_there_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    (tmp_path / "baseline").mkdir()
    assert init(tmp_path, *INIT) == 0
    assert "baseline: was there, left as it is" in capsys.readouterr().out
    assert not list((tmp_path / "baseline").iterdir())


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    furnish(tmp_path, each=2)
    (tmp_path / "evals_cards.toml").symlink_to(tmp_path / "elsewhere.toml")
    assert init(tmp_path, *INIT) == 1
    assert not (tmp_path / "elsewhere.toml").exists()


def _flat(folder: Path) -> None:
    for index in range(3):
        Image.new("RGB", (8, 8)).save(folder / "flat" / f"{index}.png")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--network is missing"),
        (("--network=resnet50",), 'must be "torchvision:NAME"'),
        (("--network=my pkg:build",), 'must be "torchvision:NAME"'),
        (("--network=torchvision:resnet5",), 'torchvision has no "resnet5"; did you mean'),
        (("--network=nets:build",), "--classes is missing"),
        (("--network=torchvision:resnet50",), "data/val: there is no such file or folder"),
        (("file", *INIT), "cannot be written"),
        ((*INIT, "--images=flat"), "--images flat: 3 pictures without labels"),
        ((*INIT, "--images=nowhere"), "--images nowhere: there is no such file or folder"),
        ((*INIT, "--images=empty"), "empty folder"),
        ((*INIT, "--classes=two.txt"), '"red" is not a class of two.txt'),
        ((*INIT, "--classes=four.txt"), "gave no number"),
        ((*INIT, "--checkpoint=other.pt"), "weights of another network: 1 missing (2.weight)"),
        ((*INIT, "--checkpoint=nan.pt"), "NaN or Inf"),
        ((*INIT, "--checkpoint=classes.txt"), "classes.txt: "),
        ((*INIT, "--network=nets:built"), 'has no function "built"'),
        ((*INIT, "--mean=1,2"), "--mean 1,2: write three numbers"),
        ((*INIT, "--mean=124,116,104"), "write three numbers for pixels from 0 to 1"),
        ((*INIT, "--std=0,0,0"), "--std 0,0,0: write three numbers"),
        ((*INIT, "--mean=nan,0,0"), "write three numbers"),
        ((*INIT, "--size=0"), "--size 0: write a number of pixels"),
        ((*INIT, "--discordance=2"), "--discordance 2: write a share"),
    ],
)
def test_mistakes_are_one_sentence_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    furnish(tmp_path, each=2)
    for name in ("flat", "empty"):
        (tmp_path / name).mkdir()
    _flat(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "two.txt").write_text("green\nblue\n", encoding="utf-8")
    (tmp_path / "four.txt").write_text("red\ngreen\nblue\nblack\n", encoding="utf-8")
    torch.save({"x.weight": torch.ones(2)}, tmp_path / "other.pt")
    torch.save({"2.weight": torch.full((3, 3), float("nan"))}, tmp_path / "nan.pt")
    before = everything(tmp_path)
    assert init(tmp_path, *arguments) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert "written" not in captured.out
    assert everything(tmp_path) == before
    assert not (tmp_path / "suites").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_only_be_read(tmp_path: Path) -> None:
    furnish(tmp_path, each=2)
    tmp_path.chmod(0o555)
    assert init(tmp_path, *INIT) == 1


def test_a_disk_that_takes_nothing_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path, each=2)

    def refuse(path: Path, *arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert init(tmp_path, *INIT) == 1
    assert "suites/gate.toml: cannot be written: Permission denied" in capsys.readouterr().err


def test_weights_that_cannot_be_fetched_leave_files_and_say_what_was_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path, each=2)
    for name, synset in zip(COLORS, ("n01440764", "n01443537", "n01484850"), strict=True):
        (tmp_path / "pictures" / name).rename(tmp_path / "pictures" / synset)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))

    def offline(*arguments: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    assert init(tmp_path, "--network=torchvision:resnet18", "--images=pictures") == 1
    captured = capsys.readouterr()
    assert set(FILES) <= set(everything(tmp_path))
    assert "suites/gate.toml: written" in captured.out
    assert "cannot be downloaded (no route to host)" in captured.err
    assert "neither the network nor any number of it was verified" in captured.err
    assert card_of(tmp_path) == {"network": "torchvision:resnet18", "classes": "imagenet"}
    assert "Nothing was measured" in (tmp_path / "suites/gate.toml").read_text("utf-8")
    assert not (tmp_path / "baseline").exists()


@pytest.mark.parametrize("when", ["network", "measured", "judged"])
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    furnish(tmp_path, each=2)
    before = everything(tmp_path)

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(looking if when == "network" else first_run, when, interrupt)
    assert init(tmp_path, *INIT) == 130
    assert everything(tmp_path) == before
    assert not (tmp_path / ".github").exists()


def test_a_network_whose_numbers_are_invalid_gets_no_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    furnish(tmp_path, each=10)
    random = "from torch import nn\nimport torch\nclass Dice(nn.Module):\n"
    random += "    def forward(self, x):\n        return torch.rand(len(x), 3)\n"
    (tmp_path / "nets.py").write_text(random, encoding="utf-8")
    arguments = [a for a in INIT if "checkpoint" not in a]
    assert init(tmp_path, *arguments, "--network=nets:Dice") == 1
    said = capsys.readouterr().err
    assert "nothing is written, since a first run gave no number: INVALID: " in said
    assert not (tmp_path / "suites").exists()
    assert not (tmp_path / "baseline").exists()


# Texts


@given(st.text(st.characters(codec="utf-8")))
def test_any_name_survives_toml(text: str) -> None:
    assert tomllib.loads(f"x = {toml(text)}") == {"x": text}


def test_paths_are_path_text_from_the_file_that_names_them(tmp_path: Path) -> None:
    inside = tmp_path / "a" / ".." / "data" / "val"
    assert path_text(inside, tmp_path / "suites", tmp_path) == "../data/val"
    assert path_text(tmp_path.parent / "x", tmp_path) == (tmp_path.parent / "x").as_posix()
