"""Which pictures a section of the page shows: the worst of every check first, until it is full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

from vision_evals.report import files
from vision_evals.report.addresses import Addresses
from vision_evals.report.groups import grouped

PAGE_BYTES = 5_000_000
"""Bytes of a page of some twenty judged checks, all in all."""

SCRIPT_BYTES = 1_000_000
"""Of them for scripts and style."""

BYTES_PER_CHECK = 55_000
"""Of them for the words and charts of each judged check on a network, about."""

MAX_GALLERY_BYTES = 2_600_000
"""Bytes for the pictures of its gallery, as text, at most: some sixty."""

MIN_GALLERY_BYTES = 1_000_000
"""Bytes for them on a page of many checks, which then is longer than ``PAGE_BYTES``."""

MAX_FLIP_BYTES = 250_000
"""The same for the thumbnails of images that flipped: some twenty photographs."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture that a section would like to show."""

    file: str
    """Below the run directory."""
    name: str
    """By which a reader finds it where it is left out."""
    check: str
    """Whose it is: checks take turns."""
    fair: bool
    """Whether no answer picked it: these come last."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture on the page."""

    address: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What became of the pictures that were wanted."""

    shown: Mapping[Wanted, Shown]
    missing: Mapping[Wanted, str]
    left_out: tuple[Wanted, ...]


def gallery_bytes(judged: int) -> int:
    """Return the bytes for a gallery: what so many judged checks leave of a page."""
    left = PAGE_BYTES - SCRIPT_BYTES - MAX_FLIP_BYTES - BYTES_PER_CHECK * judged
    return min(MAX_GALLERY_BYTES, max(left, MIN_GALLERY_BYTES))


def select(
    wanted: Sequence[Wanted], directory: Path, addresses: Addresses, budget: int
) -> Selection:
    """Take pictures from the run directory until a section is full.

    Args:
        wanted: in the order of the page.
        directory: the run's.
        addresses: how they reach the reader.
        budget: bytes that they may take of the page.
    """
    shown: dict[Wanted, Shown] = {}
    missing: dict[Wanted, str] = {}
    left_out: set[Wanted] = set()
    for wish in in_turns(wanted):
        try:
            picture = files.picture(directory, wish.file)
        except files.Missing as error:
            missing[wish] = str(error)
            continue
        cost = addresses.cost(picture.content)
        if cost > budget:
            left_out.add(wish)
            continue
        budget -= cost
        address = addresses.address(picture.content, wish.file)
        shown[wish] = Shown(address, picture.width, picture.height)
    in_order = tuple(wish for wish in dict.fromkeys(wanted) if wish in left_out)
    return Selection(shown, missing, in_order)


def in_turns(wanted: Sequence[Wanted]) -> Iterator[Wanted]:
    """Yield each once: all that an answer picked before any other, one of each check at a time."""
    checks = grouped(((wish.fair, wish.check), wish) for wish in dict.fromkeys(wanted))
    for fair in (False, True):
        rows = [queue for (is_fair, _), queue in checks.items() if is_fair is fair]
        yield from filter(None, chain.from_iterable(zip_longest(*rows)))
