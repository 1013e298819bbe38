"""What a user's code raises: an error like any other, in few words."""

from __future__ import annotations

import asyncio

import pytest

from vision_evals.core.errors import MAX_WORDS, ExitError, contained, cut, words


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


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_words_are_short() -> None:
    assert words(ValueError("x")) == "ValueError: x"
    assert words(ValueError()) == "ValueError"
    assert words(UnreadableError()) == "UnreadableError: its text cannot be read"
    long = words(ValueError("x" * 5_000_000))
    assert long.startswith("ValueError: xxx")
    assert long.endswith("x ... (cut: 5,000,012 characters)")
    assert len(long) < MAX_WORDS + 50
    whole = "y" * MAX_WORDS
    assert cut(whole) == whole
    assert cut(whole + "y") != whole + "y"
