"""Whatever stands in a name or a value, a sentence obeys none of it and stays short."""

from __future__ import annotations

import asyncio
import pickle

import pytest

from vision_evals.core.errors import (
    MAX_LINE_CHARS,
    MAX_LINES,
    MAX_WORDS,
    ExitError,
    UnreadableError,
    UserError,
    contained,
    did_you_mean,
    excerpt,
    printable,
    words,
)

STAND_IN = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 猫", "plain, größer, 猫"),
        ("x\n::stop-commands::pwned\ny", "x ::stop-commands::pwned y"),
        ("::error::x", f"{STAND_IN}::error::x"),
        (" \t::error::x", f"{STAND_IN}::error::x"),
        ("\r\n::error::x", f"{STAND_IN}::error::x"),
        ("suites/a.toml::c[net]", "suites/a.toml::c[net]"),
        ("a ##[error]x", f"a #{STAND_IN}#[error]x"),
        ("##vso[task.complete]", f"#{STAND_IN}#vso[task.complete]"),
        ("##teamcity[x]", f"#{STAND_IN}#teamcity[x]"),
        ("## a heading", "## a heading"),
        ("\x1b[2Jx", f"{STAND_IN}[2Jx"),
        ("\x9b31m\x07\x00", f"{STAND_IN}31m{STAND_IN}{STAND_IN}"),
        ("\u202egpj.exe\u2066", f"{STAND_IN}gpj.exe{STAND_IN}"),
        ("\u2028\u2029\x85", STAND_IN * 3),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800x\udfff", f"{STAND_IN}x{STAND_IN}"),
    ],
)
def test_what_a_terminal_or_a_ci_would_obey_is_shown_instead(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown
    assert str(UserError(text)) == shown
    shown.encode()


def test_each_line_of_a_message_is_its_own() -> None:
    error = UserError("first\n::error::a", "::error::b")
    assert str(error) == f"first ::error::a\n{STAND_IN}::error::b"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert isinstance(pickle.loads(pickle.dumps(UnreadableError("x"))), UnreadableError)
    assert str(UserError()) == ""


def test_a_message_is_as_long_as_a_person_reads() -> None:
    many = str(UserError(*map(str, range(MAX_LINES + 7)))).split("\n")
    assert many[-2:] == [str(MAX_LINES - 1), "... and 7 more"]
    (long,) = str(UserError("x" * 5_000_000)).split("\n")
    assert len(long) == MAX_LINE_CHARS
    assert long.endswith("x\N{HORIZONTAL ELLIPSIS}")


def test_words_of_any_length_are_compared_in_no_time() -> None:
    """Difflib takes hours for two of a million characters."""
    assert did_you_mean("ab" * 500_000, ["ba" * 500_000, "x"]) == "; known are x"
    assert did_you_mean("albatros", ["albatross"]) == '; did you mean "albatross"?'


class OddError(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(2), "it would end the process (SystemExit: 2)"),
        (SystemExit(), "it would end the process (SystemExit)"),
        (GeneratorExit(), "it would end the process (GeneratorExit)"),
        (asyncio.CancelledError("late"), "it would end the process (CancelledError: late)"),
        (OddError("odd"), "it would end the process (OddError: odd)"),
    ],
)
def test_what_would_end_the_process_is_an_error(error: BaseException, said: str) -> None:
    with pytest.raises(ExitError) as caught, contained():
        raise error
    assert str(caught.value) == words(caught.value) == said
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), StopIteration(1)])
def test_every_other_error_stays_what_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, contained():
        raise error
    assert caught.value is error


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_words_are_short() -> None:
    assert words(ValueError("x")) == "ValueError: x"
    assert words(ValueError()) == "ValueError"
    assert words(MuteError()) == "MuteError: its text cannot be read"
    long = words(ValueError("x" * 5_000_000))
    assert long.startswith("ValueError: xxx")
    assert long.endswith("x ... (cut: 5,000,012 characters)")
    assert len(long) < MAX_WORDS + 50
    whole = "y" * MAX_WORDS
    assert excerpt(whole) == whole
    assert excerpt(whole + "y") != whole + "y"
