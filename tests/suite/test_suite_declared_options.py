"""Options stand once: every list of them is the declared table."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import pytest

from vision_evals import cli, plugin
from vision_evals.cli import args
from vision_evals.cli.noise.screen import DEFAULTS as NOISE
from vision_evals.cli.selftest.selftest import SHIPPED
from vision_evals.core.errors import UserError
from vision_evals.engine.jobs import DEFAULTS
from vision_evals.engine.roles import ROLES
from vision_evals.suite import option_types, options
from vision_evals.suite.declared_options import OptionsTable, declared, option
from vision_evals.suite.options import DEFAULT_ROLE, read

ALL = declared()

EVER = {
    *("model", "cards", "images", "limit", "device", "precision", "batch_size", "seed", "run_dir"),
    *("report", "report_dir", "templates", "markdown", "mlflow", "pictures", "baseline", "same"),
    *("validity", "inconclusive", "recipes", "cache", "no_cache", "profile", "trace", "shard"),
    *("keep_adversarials", "models"),
}
"""Keys of `[tool.evals]` in every version before options were declared once."""


class Group:
    """Takes options as pytest's parser does."""

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, Any]] = {}

    def getgroup(self, *_: str) -> Group:
        return self

    def addoption(self, flag: str, **arguments: Any) -> None:
        self.taken[flag] = arguments


def commands() -> dict[str, argparse.ArgumentParser]:
    (group,) = (a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(group.choices)


def flags(parser: argparse.ArgumentParser) -> set[str]:
    return set(parser._option_string_actions)


def test_the_plugin_takes_the_declared_options() -> None:
    group = Group()
    plugin.pytest_addoption(group)  # type: ignore[arg-type]
    assert list(group.taken) == [one.flag for one in ALL]
    assert group.taken["--evals-batch-size"]["help"] == "images in one forward pass (default: auto)"
    assert group.taken["--evals-no-cache"]["action"] == "store_true"
    assert {f for f, a in group.taken.items() if a["action"] == "append"} == {
        "--evals-model",
        "--evals-images",
    }


def test_the_keys_of_a_project_are_the_declared_options() -> None:
    assert set(options._checked().model_fields) == {one.key for one in ALL} | {"models"}


def test_every_key_that_ever_was_is_read(tmp_path: Path) -> None:
    assert set(options._checked().model_fields) >= EVER
    (tmp_path / "pyproject.toml").write_text('[tool.evals]\nrun-dir = "here"\n', "utf-8")
    assert read({}, tmp_path).run_dir == tmp_path / "here"


def test_what_is_no_table_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nevals = 3\n", "utf-8")
    with pytest.raises(UserError, match=r"evals = 3 is not a table; write it as \[tool.evals\]"):
        read({}, tmp_path)


def test_commands_take_the_options_declared_for_them_in_both_spellings() -> None:
    parsers = commands()
    assert {name for one in ALL for name in one.commands} <= set(parsers)
    for name, parser in parsers.items():
        ours = {one.flag for one in ALL if name in one.commands}
        assert {flag for flag in flags(parser) if flag.startswith("--evals-")} == ours, name
        assert {flag.replace("--evals-", "--") for flag in ours} <= flags(parser)


def test_help_shows_one_spelling() -> None:
    for name, parser in commands().items():
        ours = {one.flag for one in ALL if name in one.commands}
        shown = set(re.findall(r"--evals-[a-z-]+", parser.format_help()))
        assert ours <= shown, name
        short = {flag.replace("--evals-", "--") for flag in ours}
        assert not short & set(re.findall(r"(?<![\w-])--[a-z-]+", parser.format_help())), name


@pytest.mark.parametrize(
    "line",
    [
        "models --cards c.toml",
        "predict a.jpg --model x --model y=z --cards c.toml --device cpu",
        "fool a.jpg --model x --target t --out o --budget 4/255 --steps 3 --until 0.5 --device cpu",
        "check-file a.pth --cards c.toml --json",
        "selftest s.toml --evals-model x --evals-images art=i --evals-cards c --evals-device cpu "
        "--evals-limit 3 --evals-seed 1 --evals-run-dir r --evals-report none "
        "--evals-report-dir d --evals-templates t --evals-validity cheap",
        "noise s.toml --evals-model x --evals-images i --evals-cards c --evals-cache k",
        "report r --out o --evals-report-dir d --evals-templates t",
        "compare a b --out o --evals-templates t",
        "serve r --port 0 --open --evals-templates t",
        "merge r --out o --evals-run-dir r --evals-report p --evals-report-dir d "
        "--evals-templates t --evals-cache c --evals-inconclusive skip --evals-baseline b "
        "--evals-same skip --evals-markdown m",
        "cache prune --evals-cache c --all",
        "accept r --to b --force",
        "mlflow r --to u --report p",
    ],
)
def test_every_spelling_of_before_is_taken(line: str) -> None:
    assert cli._parser().parse_args(line.split()).run


def test_a_command_reads_both_spellings_and_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.evals]\ndevice = "cpu"\nseed = 3\n', "utf-8")
    line = ["predict", "a.jpg", "--model", "alexnet", "--evals-model", "b=vgg11"]
    found = args.catalog_with_networks(cli._parser().parse_args(line))
    assert [request.alias for request in found.requests] == ["alexnet", "b"]
    assert (found.options.table.device, found.options.table.seed) == ("cpu", 3)
    found = args.catalog_with_networks(
        cli._parser().parse_args(["predict", "a.jpg", "--device", "cuda:1"])
    )
    assert [request.name for request in found.requests] == list(DEFAULTS)
    assert found.options.table.device == "cuda:1"


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.key)
def test_a_default_is_a_value_that_may_be_given(one: Any, tmp_path: Path) -> None:
    assert getattr(read({}, tmp_path).table, one.key) == one.default
    if one.default is not None:
        assert getattr(read({one.key: one.default}, tmp_path).table, one.key) == one.default


def test_a_choice_shows_its_words() -> None:
    hints = get_type_hints(OptionsTable, localns=vars(option_types))
    words = {k: get_args(h) for k, h in hints.items() if type(h) is type(Literal["a"])}
    shown = {one.key: one.metavar for one in ALL if one.key in words}
    assert len(shown) == 4
    assert shown == {key: "|".join(choices) for key, choices in words.items()}


def test_what_help_says_of_other_defaults_is_so() -> None:
    by_key = {one.key: one for one in ALL}
    assert by_key["images"].default_text == ROLES[DEFAULT_ROLE]
    parsers = commands()
    for name, suites in (("selftest", SHIPPED), ("noise", [Path(n).stem for n in NOISE])):
        (action,) = (a for a in parsers[name]._actions if a.dest == "suite")
        assert all(suite in str(action.help) for suite in suites)


def test_a_new_option_is_one_entry(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class More(OptionsTable):
        tint: int = dataclasses.field(default=3, metadata=option("N", "how red", "report"))

    *rest, tint = declared(More)
    assert tuple(rest) == ALL
    assert (tint.flag, tint.key, tint.commands) == ("--evals-tint", "tint", ("report",))
    assert tint.sentence == "how red (default: 3)"
    parser = argparse.ArgumentParser()
    parser.add_argument(tint.flag, **tint.arguments())
    assert parser.parse_args(["--evals-tint", "7"]).evals_tint == "7"
    checked = options._checked(More)
    assert dict(checked.model_validate({"tint": "7"}))["tint"] == 7
    assert dict(checked.model_validate({}))["tint"] == 3
    with pytest.raises(ValueError, match="tint"):
        checked.model_validate({"tint": "x"})
