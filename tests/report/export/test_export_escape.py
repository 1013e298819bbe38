"""Hostile words, read back as GitHub reads them."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vision_evals.report.export.escape import attribute, fenced, markdown, message

HOSTILE = [
    "<script>alert(1)</script>", "a|b|c", "`code`", "``` \n fence", "line\nbreak\r\nmore",
    "@octocat", "::error file=x::pwned", "#12", "[x]", "[link](javascript:alert(1))", "![x](http://evil/x.png)",
    "**bold** _it_ ~~gone~~", "&lt;b&gt; &amp;", "https://evil.example www.evil.example", "$x$",
    "1. list", "- list", "# head", "\\", "\\|", "a\\", "<!-- c", "]]>", "\x1b[31m", "\ud800",
]  # fmt: skip
WORDS = st.one_of(st.text(), st.sampled_from(HOSTILE), st.text("|`<>&*_[]()!@#:\\~$ \nw.h/1-"))
READ = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Text(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.tags.append(tag)
        if tag in {"td", "p"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:  # noqa: ARG002
        self.tags.append("comment")


def seen(text: str) -> str:
    """Return what a person should see of a text."""
    line = re.sub(r"\s+", " ", text)
    return "".join(c if c.isprintable() else "\ufffd" for c in line).strip()


def shown(page: str) -> Text:
    found = Text()
    found.feed(READ.render(page))
    found.close()
    return found


@given(WORDS, WORDS)
def test_a_table_shows_the_words_and_nothing_comes_of_them(one: str, two: str) -> None:
    page = f"| a | b |\n|---|---|\n| x{markdown(one)} | x{markdown(two)} |\n"
    found = shown(page)
    assert [
        tag for tag in found.tags if tag not in {"table", "thead", "tbody", "tr", "th", "td"}
    ] == []
    cells = [cell.strip().replace("\u200b", "") for cell in found.cells]
    wanted = [f"x{seen(text)}".replace("\u200b", "") for text in (one, two)]
    assert cells == wanted


@given(WORDS)
def test_a_paragraph_and_a_heading_show_the_words(text: str) -> None:
    for before in ("<b></b>", "- <b>x</b> ", "### ! <b>x</b> "):
        found = shown(f"{before}{markdown(text)}.\n\nend")
        assert set(found.tags) <= {"p", "b", "ul", "li", "h3"}
        assert found.cells[-1].strip() == "end"


@given(WORDS)
def test_no_mention_reference_link_or_command_comes_of_them(text: str) -> None:
    safe = markdown(text)
    assert "\n" not in safe
    assert "::" not in safe
    assert "://" not in safe
    assert not re.search(r"@\w", safe)
    assert not re.search(r"(?<!&)#\d", safe)
    assert not re.search(r"(?i)\bwww\.", safe)
    assert "<" not in safe
    assert "$" not in safe


def test_long_words_are_cut() -> None:
    assert markdown("a" * 600) == "a" * 499 + "\N{HORIZONTAL ELLIPSIS}"


@given(WORDS)
def test_a_fence_cannot_be_closed_from_within(text: str) -> None:
    tokens = READ.parse(f"{fenced('pytest ' + text)}\n\nend")
    assert [token.type for token in tokens] == [
        "fence",
        "paragraph_open",
        "inline",
        "paragraph_close",
    ]
    assert tokens[0].content.strip() == seen(f"pytest {text}")


def read_command(line: str) -> tuple[str, dict[str, str], str]:
    """Return a workflow command as GitHub's runner reads one: the reverse of its escaping."""

    def plain(text: str, marks: dict[str, str]) -> str:
        for code, mark in marks.items():
            text = text.replace(code, mark)
        return text.replace("%25", "%")

    data = {"%0D": "\r", "%0A": "\n"}
    head, _, said = line.removeprefix("::").partition("::")
    level, _, properties = head.partition(" ")
    pairs = (pair.split("=", 1) for pair in properties.split(","))
    marks = data | {"%3A": ":", "%2C": ","}
    return level, {key: plain(value, marks) for key, value in pairs}, plain(said, data)


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")))
def test_a_command_is_one_line_and_reads_back(title: str, text: str) -> None:
    line = f"::error title={attribute(title)}::{message(text)}"
    assert not set("\r\n") & set(line)
    assert read_command(line) == ("error", {"title": title}, text)


@pytest.mark.parametrize("text", ["x%0A::error::y", "a,b=c", "a::b", "100 %"])
def test_what_looks_like_a_command_inside_a_command(text: str) -> None:
    assert read_command(f"::error title={attribute(text)}::{message(text)}") == (
        "error",
        {"title": text},
        text,
    )
