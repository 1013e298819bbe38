"""What the page says in words: the headline, dates, and the command that reproduces a check."""

from __future__ import annotations

import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, count

from vision_evals.log import Judgement, Run, Verdict

BAD = (Verdict.INVALID, Verdict.FAILED, Verdict.INCONCLUSIVE)
"""Verdicts that need attention, worst first."""

MAX_LIST_LINES = 200
"""Lines of a list that images or warnings make long; the page says how many follow."""

SYMBOLS = {
    Verdict.INVALID: "!",
    Verdict.FAILED: "\N{MULTIPLICATION X}",
    Verdict.INCONCLUSIVE: "?",
    Verdict.PASSED: "\N{CHECK MARK}",
    Verdict.RECORDED: "\N{BULLET}",
    Verdict.NOT_APPLICABLE: "\N{EN DASH}",
    Verdict.UNAVAILABLE: "\N{EMPTY SET}",
}
"""Beside the word, so that colour is never the only sign."""

_ENDED = {
    "running": ", and the run has not finished",
    "interrupted": ", then the run was interrupted",
}

_ALERTS = {
    "running": (
        "This run has not finished: it is still running, or it was killed. This page shows only "
        "what was judged before its log was last written."
    ),
    "interrupted": ("This run was interrupted. This page shows only what was judged before that."),
}

# Of the run's own options: they say where results go, and change none.
_ELSEWHERE = {
    "--evals-run-dir",
    "--evals-run-id",
    "--evals-report",
    "--evals-report-dir",
    "--evals-templates",
    "--evals-pictures",
    "--evals-markdown",
    "--evals-mlflow",
}
# Of the run's own: these take no value.
_FLAGS = {"--evals-keep-adversarials", "--evals-no-cache", "--evals-recipes"}
# Of pytest's: without them the node id or the settings mean something else.
_PYTEST = {"-c", "--config-file", "--rootdir"}


def headline(run: Run, counts: Mapping[Verdict, int]) -> str:
    """Return the verdict over the whole run in one sentence without a full stop."""
    sentence = _judged(counts) + _ENDED.get(run.status, "")
    if run.not_run and run.status == "finished":
        sentence += f", and {len(run.not_run):,} did not run"
    return sentence


def alert(run: Run) -> str | None:
    """Return the alert of a run that did not finish."""
    return _ALERTS.get(run.status)


def _judged(counts: Mapping[Verdict, int]) -> str:
    judged = sum(n for verdict, n in counts.items() if verdict.judged)
    bad = {verdict: counts[verdict] for verdict in BAD if counts[verdict]}
    if not judged:
        return "Nothing was judged"
    if not bad:
        short_sentences = {1: "The one judged check passed", 2: "Both judged checks passed"}
        return short_sentences.get(judged, f"All {judged} judged checks passed")
    total = sum(bad.values())
    of = f"{total} of {judged} judged checks" if judged > 1 else "The one judged check"
    if len(bad) > 1:
        return f"{of} did not pass"
    (verdict,) = bad
    if verdict is Verdict.FAILED:
        return f"{of} failed"
    return f"{of} {'is' if total == 1 else 'are'} {verdict}"


def excuse(judgement: Judgement) -> str | None:
    """Return why a failed expectation fails no check; None where it does or nothing failed."""
    if not judgement.excused:
        return None
    if judgement.known is not None:
        return f"known: {judgement.known}"
    return "only a warning"


def plain(name: str) -> str:
    """Return the name of a metric as words: ``robust accuracy``, ``top-5 accuracy``."""
    return re.sub(r"\btop(?=\d)", "top-", name.replace("_", " "))


def with_point(name: str, at: str | None) -> str:
    """Return the name of a metric with the point of its axis: ``robust_accuracy at 1/255``."""
    return name if at is None else f"{name} at {at}"


def plural(number: int, singular: str, plural_form: str | None = None) -> str:
    """Return ``1 picture``, ``1,500 pictures``."""
    return f"{number:,} {singular if number == 1 else plural_form or singular + 's'}"


def listed(words: list[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def unique(words: Iterable[str]) -> list[str]:
    """Return each word once, in their order."""
    return list(dict.fromkeys(words))


def first_free(name: str, taken: Container[str], joint: str) -> str:
    """Return a name, or where it is taken the first with a number behind it: ``name-2``."""
    candidates = chain([name], (f"{name}{joint}{number}" for number in count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def named(names: Iterable[str], most: int = 5) -> str:
    """Return `listed` of names, each once, and how many more there are than ``most``."""
    all_names = unique(names)
    more = [f"{len(all_names) - most} more"] if len(all_names) > most else []
    return listed(all_names[:most] + more)


def date(iso: str) -> str:
    """Return ``23 November 2026, 08:17 UTC``, or the text itself when it is no date."""
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    zone = moment.tzname() or "UTC"
    return f"{moment.day} {moment:%B %Y, %H:%M} {zone}"


def reproduce(node_id: str, command: str) -> str:
    """Return the command that judges one check again as this run did.

    Args:
        node_id: pytest's, of the check.
        command: what was typed; its options that change a number are kept.
    """
    return shlex.join(["pytest", node_id, *_kept(command)])


def _kept(command: str) -> Iterator[str]:
    try:
        words = shlex.split(command)
    except ValueError:  # an open quote: better no options than wrong ones
        return
    remaining = iter(words)
    for word in remaining:
        name, equals, _ = word.partition("=")
        if not (name.startswith("--evals-") or name in _PYTEST):
            continue
        alone = equals or name in _FLAGS
        values = [] if alone else [value for value in [next(remaining, None)] if value is not None]
        if name not in _ELSEWHERE:
            yield word
            yield from values
