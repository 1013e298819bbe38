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
    "\x9b31m", "\u202egpj", "\ud800", "\udcfc", "\ufeff", "..", "../../x", "/etc/passwd", "~nosuch/x",
    "~", "-", "nan", "inf", "1e999999999", "1e-999999999", "1/0", "0/1", "8/255", "-1", CANARY,
    "{{ 7 * 7 }}", "<script>alert(1)</script>", "a" * 300, "b" * 100_000, "é" * 5000, "published",
    "baseline", "imagenet", "photographs", "torchvision:alexnet", "timm:", ":", "a:b:c", "2026-01-01",
    "=SUM(A1)", "|", ";", "%s", "\\", "'\"", "CON", "a/b", "\r\n", "\N{ZERO WIDTH SPACE}",
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
    for _ in range(rng.randint(1, 5)):
        holder, key = rng.choice(list(_nodes(root)))
        value = holder[key]
        match rng.randrange(8):
            case 0 | 1:
                holder[key] = rng.choice(TEXTS)
            case 2 | 3:
                holder[key] = rng.choice(NUMBERS)
            case 4:
                holder[key] = rng.choice([None, [], {}, [None], {"": 0}, [[]]])
            case 5 if holder is not root:
                del holder[key]
            case 6 if isinstance(holder, dict):
                holder[rng.choice(TEXTS)] = value
            case 6 if holder is not root:
                holder.insert(key, json.loads(json.dumps(value)))
            case _:
                other, name = rng.choice(list(_nodes(root)))
                holder[key] = json.loads(json.dumps(other[name]))
    return root[0]


def _nodes(holder: Any) -> Any:
    for key in holder if isinstance(holder, dict) else range(len(holder)):
        yield holder, key
        if isinstance(holder[key], dict | list):
            yield from _nodes(holder[key])


def toml(rng: Random, content: str) -> str:
    """Return a text of TOML with other values, keys, tables and lines."""
    lines = content.split("\n")
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(lines))
        match rng.randrange(9):
            case 0 | 1 | 2:
                lines[at] = re.sub(r"=.*", lambda _: f"= {_value(rng)}", lines[at], count=1)
            case 3:
                values = re.compile(r"""("[^"]*"|'[^']*'|-?\d[\d./e]*)""")
                lines[at] = values.sub(lambda old: rng.choice([old[0], _value(rng)]), lines[at])
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


def _value(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(TOML)
    return json.dumps(rng.choice(TEXTS).encode("utf-8", "replace").decode())


def _key(rng: Random, content: str) -> str:
    if rng.random() < 0.7:
        return rng.choice(re.findall(r"[\w-]+", content))
    deep = ".".join("a" * rng.choice([1, 10, 40, 3000]))
    return rng.choice(["evals", "check", '"a b"', "''", deep, "[models.x]", "[[check]]", "for", "at"])
