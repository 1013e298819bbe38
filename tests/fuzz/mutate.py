"""Changes of files that people write and programs read: one to five at random places."""

from __future__ import annotations

import json
import math
import re
from random import Random
from typing import Any

CANARY = "canary:fire"
"""A function that nothing may call: see `tests.fuzz.watch`."""

TEXTS = (
    "", " ", "\0", "\n", "x\n::stop-commands::pwned\n", "::error::x", "##[error]x", "\x1b[2J",
    "\x9b31m", "\u202egpj", "\ud800", "\udcfc", "\ufeff", "..", "../../x", "/etc/passwd",
    "~nosuch/x", "~", "-", "nan", "inf", "1e999999999", "1e-999999999", "1/0", "0/1", "8/255",
    "-1", CANARY, "{{ 7 * 7 }}", "<script>alert(1)</script>", "a" * 300, "b" * 100_000, "é" * 5000,
    "published", "baseline", "imagenet", "photographs", "torchvision:alexnet", "timm:", ":",
    "a:b:c", "2026-01-01", "=SUM(A1)", "|", ";", "%s", "\\", "'\"", "CON", "a/b",
    "\r\n", "\N{ZERO WIDTH SPACE}",
)  # fmt: skip

NUMBERS = (
    0, 1, -1, 2, 255, 256, 1000, 65536, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0,
    1e-300, 1e300, 1e-7, math.nan, math.inf, -math.inf, True, False,
)  # fmt: skip

TOML = (
    "1e999999999", "-1e999999999", "0x" + "f" * 5000, "9" * 5000, "[" * 2000, "[" * 40 + "]" * 40,
    "{a=" * 300, "{}", "[]", "[[]]", "{a = {b = {c = 1}}}", "1979-05-27", "1979-05-27T07:32:00Z",
    "07:32:00", '"""', "'''", '"\\u0000"', '"\\ud800"', "true", "nan", "-inf", '["x"] ', "[1, 'a']",
    "[" + ", ".join(map(str, range(2000))) + "]", "[60000, 60000]", "[1, 1]", "[0, 0]", "[-1, 5]",
    '{ of = "published", minus = 5 }', '{ of = "baseline" }', '{ of = "", plus = nan }', '"1/3"',
    '[{ metric = "top1_accuracy", at_least = 0.5 }]', '{ resize = 1, crop = "none" }', "1_0", "+1",
)  # fmt: skip
"""Values of TOML, right and wrong ones."""


def data(rng: Random, content: bytes) -> bytes:
    """Return bytes of which some were changed, cut out, put in, or said twice."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 5)):
        at, length = rng.randrange(len(changed) + 1), int(2 ** rng.uniform(0, 10))
        match rng.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[at : at + length] = b""
            case 2:
                changed[at:at] = rng.randbytes(length)
            case 3:
                changed[at:at] = changed[at : at + length]
            case 4:
                changed[at:] = b""
            case 5:
                number = rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1])
                changed[at : at + 4] = number.to_bytes(4, rng.choice(["little", "big"]))
            case 6:
                changed[at : at + length] = changed[:length]
    return bytes(changed)


def tree(rng: Random, content: Any) -> Any:
    """Return a tree of JSON of which some nodes are gone, doubled, or others."""
    root = [json.loads(json.dumps(content))]
    for _ in range(rng.randint(1, 4)):
        holder, key = _node(rng, root)
        value = holder[key]
        match rng.randrange(10):
            case 0 | 1 | 2 | 3 | 4:  # of the same type, so that what reads it goes on
                holder[key] = _like(rng, value)
            case 5:
                holder[key] = rng.choice([None, [], {}, *TEXTS, *NUMBERS])
            case 6 if holder is not root:
                del holder[key]
            case 7 if isinstance(holder, dict):
                holder[rng.choice(TEXTS)] = value
            case 7 | 8 if isinstance(holder, list) and holder is not root:
                holder.insert(key, json.loads(json.dumps(value)))
            case _:
                other, name = _node(rng, root)
                holder[key] = json.loads(json.dumps(other[name]))
    return root[0]


def _like(rng: Random, value: Any) -> Any:
    if isinstance(value, list):
        return rng.choice([[], value[:1], value * 2, value[::-1]])
    if isinstance(value, dict):
        return rng.choice(
            [{}, dict(list(value.items())[:1]), {f"{key} ": value[key] for key in value}]
        )
    return rng.choice(NUMBERS if isinstance(value, int | float) else TEXTS)


def _node(rng: Random, root: Any) -> tuple[Any, Any]:
    """Return a place in a tree, found from its root: one of a long list is no likelier."""
    holder, key = root, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.9:
        holder = holder[key]
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    return holder, key


def toml(rng: Random, content: str) -> str:
    """Return a text of TOML with other values, keys, tables and lines."""
    lines = content.split("\n")
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(lines))
        match rng.randrange(9):
            case 0 | 1:
                lines[at] = re.sub(r"=.*", lambda _: f"= {_value(rng)}", lines[at], count=1)
            case 2 | 3:
                lines[at] = VALUES.sub(
                    lambda old: rng.choice([old[0], _other(rng, old)]), lines[at]
                )
            case 4:
                lines.insert(at, rng.choice(lines))
            case 5:
                del lines[at : at + rng.randint(1, 3)]
                lines.append("")
            case 6:
                lines[at] = re.sub(r"^\s*[\w-]+", lambda _: _key(rng, content), lines[at])
            case 7:
                lines.insert(at, f"{_key(rng, content)} = {_value(rng)}")
            case 8:
                lines.insert(at, "\n" * 10 ** rng.randint(0, 5))
    text = "\n".join(lines)
    return text if rng.random() < 0.9 else data(rng, text.encode()).decode("utf-8", "replace")


VALUES = re.compile(r"""("[^"]*"|'[^']*')|(?<![\w"'-])-?\d[\d./e]*""")
"""Texts, and numbers."""


def _other(rng: Random, value: re.Match[str]) -> str:
    """Return another value of the same type, or of any."""
    if rng.random() < 0.2:
        return _value(rng)
    return _text(rng) if value[1] else str(rng.choice(NUMBERS)).lower()


def _text(rng: Random) -> str:
    return json.dumps(rng.choice(TEXTS).encode("utf-8", "replace").decode())


def _value(rng: Random) -> str:
    return rng.choice(TOML) if rng.random() < 0.5 else _text(rng)


def _key(rng: Random, content: str) -> str:
    if rng.random() < 0.7:
        words: list[str] = re.findall(r"[\w-]+", content)
        return rng.choice(words)
    deep = ".".join("a" * rng.choice([1, 10, 40, 3000]))
    return rng.choice(
        ["evals", "check", '"a b"', "''", deep, "[models.x]", "[[check]]", "for", "at"]
    )
