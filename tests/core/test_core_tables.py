"""One reader of TOML for every file: what no person writes is a sentence, and takes no time."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import pytest

from vision_evals.core.errors import UserError
from vision_evals.core.tables import (
    MAX_BYTES,
    MAX_DEPTH,
    Table,
    parse_toml,
    rational,
    read_toml,
    validate,
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = " + "[" * 2000, "too deep"),
        ("x = " + "[" * 2000 + "]" * 2000, "too deep"),
        ("x = " + "{a = " * 2000, "too deep"),
        ("x = " + "[" * 40 + "]" * 40, f"more than {MAX_DEPTH} times"),
        (".".join("a" * 50_000) + " = 1", f"a key of more than {MAX_DEPTH} parts"),
        ("[" + " . ".join("a" * 50_000) + "]", f"a key of more than {MAX_DEPTH} parts"),
        ("x = {" + ".".join(["'a b'"] * 50_000) + " = 1}", f"more than {MAX_DEPTH} parts"),
        ("x = " + "9" * 5000, "4300 digits"),
        ("x = 0x" + "f" * 5000, "64 bits"),
        ("x = 9223372036854775808", "64 bits"),
        ("x = [{y = -9223372036854775809}]", "64 bits"),
        (r'x = "a\u0000b"', "null character"),
        (r'"a\u0000b" = 1', "null character"),
        (r'x = [[{y = "\u0000"}]]', "null character"),
        ("x = \n", "line 1"),
        ("\n" * 100_000 + "x = \n", "line 100001"),
    ],
)
def test_what_no_person_writes_is_refused(text: str, says: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_toml(text, "a.toml")
    assert str(raised.value).startswith("a.toml: not valid TOML: ")
    assert says in str(raised.value)


def test_what_people_write_is_read() -> None:
    text = "a.b.c = [[1, 2.5], [9223372036854775807]]\nabout = 'one. two. three. 1.2.3 ...'\n"
    text += f"{'.'.join('d' * MAX_DEPTH)} = 1\n" + "\n" * 100_000 + "last = 'x'\n"
    tables = parse_toml(text, "a.toml")
    assert tables["a"] == {"b": {"c": [[1, 2.5], [2**63 - 1]]}}
    assert tables["last"] == "x"


def test_a_file_is_bounded_and_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "large.toml").write_text("#" * (MAX_BYTES + 1))
    (tmp_path / "latin.toml").write_bytes(b"x = '\xfc'")
    os.mkfifo(tmp_path / "pipe.toml")
    for name, says in (
        ("large.toml", "more than 1,000,000 bytes"),
        ("latin.toml", "not UTF-8"),
        ("pipe.toml", "no file"),
        ("none.toml", "No such file"),
        ("", "Is a directory"),
    ):
        with pytest.raises(UserError, match=says):
            read_toml(tmp_path / name)


class Lengths(Table):
    """A table."""

    sizes: tuple[int, ...]
    """A list."""


def test_a_wrong_value_is_shown_in_part_and_not_ten_thousand_times() -> None:
    with pytest.raises(UserError) as raised:
        validate(Lengths, {"sizes": ["x" * 10_000] * 10_000}, "a.toml")
    lines = str(raised.value).split("\n")
    assert max(map(len, lines)) < 300
    assert lines[-1] == "... and 9,950 more"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, Fraction(0)), (0.1, Fraction(1, 10)), ("8/255", Fraction(8, 255)),
        ("1e-3", Fraction(1, 1000)), ("1E2", Fraction(100)), (1e-300, Fraction(1, 10**300)),
    ],
)  # fmt: skip
def test_a_number_is_exact(value: object, number: Fraction) -> None:
    assert rational(value) == number


@pytest.mark.parametrize(
    "value",
    [
        5e-324,
        "1e999999999",
        "1e-999999999",
        "-1E+999999999",
        "1" * 301,
        "1/0",
        "x",
        "",
        "nan",
        "1e",
        None,
    ],
)
def test_what_is_no_number_takes_no_memory(value: object) -> None:
    with pytest.raises(ValueError):
        rational(value)
