"""Words from elsewhere (names, sentences, file names), made safe for where they are shown."""

from __future__ import annotations

import re

from vision_evals.core.errors import REPLACED, cut

GAP = "&#8203;"
"""A space without width: what follows it is no longer a user's name."""

_MARKUP = re.compile(r"[\\`*_\[\]|~#]")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
_LINKS = (("://", ":&#47;/"), ("::", ":&#58;"), ("@", f"@{GAP}"), ("\\#", f"\\#{GAP}"))
_WWW = re.compile(r"(?i)\bwww\.")


def markdown(text: str, most: int = 500) -> str:
    """Return text that GitHub's Markdown shows as it is, on one line, also in a table.

    No markup, HTML, formula, link, mention (``@somebody``), reference (``#12``) or workflow command
    (``::error``) comes of it. It must not begin a line: there a number or a dash would be a list.

    Args:
        text: any text.
        most: characters after which it is cut.
    """
    line = cut(_one_line(text), most)
    safe = "".join(_ENTITIES.get(c, c) for c in _MARKUP.sub(_escaped, line))
    safe = _WWW.sub(lambda www: www[0][:-1] + "&#46;", safe)
    for pattern, instead in _LINKS:
        safe = safe.replace(pattern, instead)
    return safe


def fenced(text: str, language: str = "sh") -> str:
    """Return one line of code as a block, whose fence the code cannot close."""
    line = _one_line(text)
    longest = max((len(ticks) for ticks in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{line}\n{fence}"


def message(text: str) -> str:
    """Return text as the message of one of GitHub's workflow commands."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def attribute(text: str) -> str:
    """Return text as the value of a property of one of GitHub's workflow commands."""
    return message(text).replace(":", "%3A").replace(",", "%2C")


def without_password(text: str) -> str:
    """Return text with the user and password of every address in it left out.

    A password may hold ``/`` and ``@``, so all up to the last ``@`` goes, and some paths with it.
    """
    return re.sub(r"(?<=://)(?!/)\S*@", "***@", text)


def _escaped(mark: re.Match[str]) -> str:
    return "\\" + mark[0]


def _one_line(text: str) -> str:
    spaced = re.sub(r"\s+", " ", text)
    return "".join(c if c.isprintable() else REPLACED for c in spaced).strip()
