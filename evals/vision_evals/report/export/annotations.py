"""GitHub's annotations: each failed check as a remark on its line in the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from vision_evals.core.errors import printable
from vision_evals.log import Item, Run, Verdict
from vision_evals.report.export.escape import attribute, message

MAX_MESSAGE_CHARS = 4000
"""Characters of a message: GitHub shows a remark, not a log."""


def commands(
    run: Run, root: Path, environment: Mapping[str, str], *, lenient: bool
) -> tuple[str, ...]:
    """Return workflow commands, worst first; none where no GitHub job listens.

    Args:
        run: the log.
        root: folder that the paths of suites are relative to.
        environment: of the process: ``GITHUB_ACTIONS`` says whether anybody listens.
        lenient: whether inconclusive verdicts were skipped and so are warnings.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return ()
    workspace = Path(environment.get("GITHUB_WORKSPACE") or root)
    remarks = [
        (level, _command(level, item, title, text, _file(root / item.suite, workspace)))
        for item in sorted(run.items, key=lambda item: list(Verdict).index(item.verdict))
        for level, title, text in _remarks(item, lenient=lenient)
    ]
    remarks.sort(key=lambda remark: remark[0])  # errors before warnings
    return tuple(command for _, command in remarks)


def _remarks(item: Item, *, lenient: bool) -> Iterator[tuple[str, str, str]]:
    """Yield level, title and message of what an item has to say."""
    match item.verdict:
        case Verdict.INVALID | Verdict.FAILED:
            yield "error", str(item.verdict), item.headline
        case Verdict.INCONCLUSIVE:
            yield "warning" if lenient else "error", str(item.verdict), item.headline
    for judgement in item.judgements:
        if judgement.severity == "warn" and judgement.known is None and judgement.excused:
            yield "warning", f"warning, {judgement.verdict}", judgement.sentence


def _command(level: str, item: Item, title: str, text: str, file: str | None) -> str:
    properties = {
        "file": file,
        "line": None if file is None or item.line is None else str(item.line),
        "title": f"{item.check}[{item.classifier}]: {title}",
    }
    fields = (f"{k}={attribute(printable(v))}" for k, v in properties.items() if v is not None)
    return f"::{level} {','.join(fields)}::{message(printable(text)[:MAX_MESSAGE_CHARS])}"


def _file(suite: Path, workspace: Path) -> str | None:
    """Return the path of a suite as GitHub knows it; None for one that lies elsewhere."""
    try:
        return suite.resolve().relative_to(workspace.resolve()).as_posix()
    except ValueError:
        return None
