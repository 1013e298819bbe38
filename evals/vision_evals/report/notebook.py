"""A run as a notebook shows it, in a few rows and pictures, and as a few lines of a terminal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import quote

from vision_evals.core.errors import printable
from vision_evals.log import Item, Judgement, Run, Verdict
from vision_evals.log.outcome import verdict_counts
from vision_evals.report import checks, files, first, rounding, words
from vision_evals.report.addresses import Inline
from vision_evals.report.checks import CheckLine
from vision_evals.report.colours import coloured
from vision_evals.report.page import without_controls
from vision_evals.report.picked import PickedPicture, picked_pictures
from vision_evals.report.picture_budget import Wanted, in_turns
from vision_evals.report.sentences import Sentence, sentences
from vision_evals.report.templates import environment

MAX_ROWS = 24
"""Rows of the table: what was judged, and as many other numbers as there is place for."""

MAX_PICTURES = 8
"""Pictures below it."""

MAX_PICTURE_BYTES = 200_000
"""Bytes that they take of the notebook, all together."""

THUMBNAIL_EXTENT = (420, 140)
"""Width and height in pixels of the largest thumbnail: three panels side by side."""

WEBP_QUALITY = 55

MAX_SENTENCES = 3
"""Failures that a terminal shows in words."""


@dataclass(frozen=True, slots=True)
class Row:
    """One number, and what was expected of it."""

    item: Item
    line: CheckLine


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture."""

    address: str
    image: str
    seen: tuple[str, ...]
    """What each network saw in it."""


def html(run: Run, directory: Path, report: Path | None) -> str:
    """Return a run as a part of a notebook: verdict, numbers and thumbnails; no script.

    What was judged comes first. Tables are not read, and pictures may be missing.

    Args:
        run: the log.
        directory: the run's.
        report: its page; None where there is none.
    """
    judged, recorded = _rows(run.items)
    rows = [*judged, *recorded]
    colours = coloured([*(c.alias for c in run.classifiers), *(i.classifier for i in run.items)])
    counts = Counter(item.verdict for item in run.items)
    template = environment().get_template("notebook.html.jinja")
    return without_controls(
        template.render(
            headline=words.headline(run, counts),
            alert=words.alert(run),
            failures=first.folded(_failures(run)),
            rows=rows[:MAX_ROWS],
            more=len(rows) - MAX_ROWS,
            unjudged=first.unjudged(run, colours),
            thumbnails=tuple(_thumbnails(run, directory)),
            directory=directory,
            report=report,
            address=None if report is None else _address(report),
        )
    )


def text(run: Run, directory: Path, report: Path | None, exit_code: int) -> str:
    """Return a run in a few lines of plain text: verdict, the first failures, where it is."""
    failures = first.folded(_failures(run), MAX_SENTENCES)
    verdicts = verdict_counts(run) or "nothing selected"
    lines = [f"<Run {directory}: {verdicts}, exit code {exit_code}>"]
    lines += [f"  {words.alert(run)}"] if run.status != "finished" else []
    lines += [f"  {f.verdict.upper()} {f.subject}: {f.text}" for f in failures.open]
    lines += [f"  and {words.plural(len(failures.more), 'more failure')}"] * bool(failures.more)
    lines += [] if report is None else [f"  report: {report}"]
    return "\n".join(map(printable, lines))


def _failures(run: Run) -> list[Sentence]:
    bad = (item for item in run.items if item.verdict in words.BAD)
    return sorted(
        (sentence for item in bad for sentence in sentences(item)),
        key=lambda sentence: words.BAD.index(sentence.verdict),
    )


def _rows(items: Sequence[Item]) -> tuple[list[Row], list[Row]]:
    """Return the rows that were judged, the worst first, and those of numbers without a point."""
    rows = [Row(item, line) for item in items for line in _lines(item)]
    judged = [row for row in rows if row.line.wanted is not None]
    plain = [row for row in rows if row.line.wanted is None and row.line.at is None]
    recorded = [row for row in plain if row.line.verdict is not Verdict.NOT_APPLICABLE]
    return sorted(judged, key=lambda row: list(Verdict).index(row.line.verdict)), recorded


def _lines(item: Item) -> Iterator[CheckLine]:
    for metric in item.metrics:
        yield from checks.lines_of(metric, item)
    for judgement in item.judgements:
        if checks.metric_of(judgement, item) is None:
            yield _line_without_metric(judgement)


def _line_without_metric(judgement: Judgement) -> CheckLine:
    value = "none" if judgement.value is None else rounding.brief(judgement.value)
    reading = rounding.Reading(value, "", None, "0", judgement.sentence)
    excuse = words.excuse(judgement)
    wanted, verdict = judgement.wanted, judgement.verdict
    return CheckLine(judgement.metric, judgement.at, reading, "", wanted, verdict, excuse)


def _thumbnails(run: Run, directory: Path) -> Iterator[Thumbnail]:
    """Yield the first pictures, of each check in turns; those that are missing are left out."""
    subjects = {_wanted(subject): subject for subject in picked_pictures(run.items)}
    inline, left = Inline(), MAX_PICTURE_BYTES
    for wish in islice(in_turns([*subjects]), MAX_PICTURES):
        try:
            small = _smaller(files.picture(directory, wish.file).content)
        except files.Missing:
            continue
        left -= inline.cost(small)
        if left < 0:
            return
        picks = subjects[wish].picks
        seen = tuple(f"{item.classifier}, {item.check}: {pick.caption}" for item, pick in picks)
        yield Thumbnail(inline.address(small, wish.file), wish.name, seen)


def _wanted(subject: PickedPicture) -> Wanted:
    return Wanted(subject.picture.file, subject.picture.image, subject.item.id, subject.fair)


def _smaller(content: bytes) -> bytes:
    """Return a smaller copy of a WebP picture.

    Raises:
        files.Missing: it cannot be decoded.
    """
    from PIL import Image

    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content), formats=("WEBP",)) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        raise files.Missing("it cannot be decoded") from None
    small.thumbnail(THUMBNAIL_EXTENT)
    small.save(out, "WEBP", quality=WEBP_QUALITY)
    return out.getvalue()


def _address(report: Path) -> str:
    """Return a link: as a notebook in the current folder needs it, else as a file's."""
    try:
        return quote(report.resolve().relative_to(Path.cwd()).as_posix())
    except (OSError, ValueError):
        return report.absolute().as_uri()
