"""The verdicts of a run as one exit code, with the codes of pytest."""

from __future__ import annotations

from collections import Counter

from vision_evals.log.run import Run
from vision_evals.log.verdicts import Verdict

PASSED, FAILED, INTERRUPTED, NOTHING_JUDGED = 0, 1, 2, 5
"""Exit codes."""


def fails(verdict: Verdict, *, lenient: bool = False) -> bool:
    """Return whether a check with this verdict fails its run.

    Args:
        verdict: of a check on a classifier.
        lenient: whether an inconclusive verdict fails nothing.
    """
    return verdict in {Verdict.INVALID, Verdict.FAILED} or (
        verdict is Verdict.INCONCLUSIVE and not lenient
    )


def unfinished(run: Run) -> str | None:
    """Return why a log is not that of a whole run, in words that follow its name; None if it is.

    What the run judged is not asked: a finished run may have failed.
    """
    missing = set(run.selected) - {item.id for item in run.items} | set(run.not_run)
    judged = f"{len(run.selected) - len(missing)} of {len(run.selected)} selected checks are in it"
    if run.status != "finished":
        killed = "it still runs, or was killed" if run.status == "running" else "it was interrupted"
        return f"{run.status}; {killed}, and {judged}"
    if run.settings.shard is not None:
        return f"part {run.settings.shard} of a run; join the parts with `evals merge`"
    if missing:
        checks = "check" if len(missing) == 1 else "checks"
        return f"without {len(missing)} {checks}, first {min(missing)}; {judged}"
    whole = run.selected or run.items  # logs of older versions name no selection
    return None if whole else "without any check: none was selected"


def nothing_judged(run: Run) -> bool:
    """Return whether no expectation was judged, though some should have been.

    A part of a run leaves that to `evals merge`, and a change that touches no checkpoint has
    nothing to judge.
    """
    judged = any(item.verdict.judged for item in run.items)
    return not (judged or run.settings.shard is not None or run.compares_with_itself)


def exit_code(run: Run, *, lenient: bool = False) -> int:
    """Return what pytest would: 0, 1 where a check fails, 5 where nothing was judged.

    2 stands for a run that was interrupted. In pytest, a classifier that was named and is
    unavailable fails, too; the log does not hold which ones were named.

    Args:
        run: its log.
        lenient: whether an inconclusive verdict fails nothing.
    """
    if run.status != "finished":
        return INTERRUPTED
    if any(fails(item.verdict, lenient=lenient) for item in run.items):
        return FAILED
    return NOTHING_JUDGED if nothing_judged(run) else PASSED


def verdict_counts(run: Run) -> str:
    """Return how many items got each verdict, worst first: ``1 failed, 3 passed``."""
    counted = Counter(item.verdict for item in run.items)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])
