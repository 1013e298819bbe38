"""The inspection of a file as lines on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from vision_evals.core.errors import printable
from vision_evals.models.inspection.code import Code
from vision_evals.models.inspection.inspect_file import FileInspection

MAX_LISTED = 8
"""How many names a line shows; ``--json`` has all."""


def text(inspections: Iterable[FileInspection], *, as_json: bool) -> str:
    """Return lines for people, or a JSON list of ``FileInspection`` for programs."""
    if as_json:
        records = [inspection.model_dump(mode="json") for inspection in inspections]
        return json.dumps(records, indent=2, allow_nan=False)  # ASCII: no name moves the terminal
    return "\n\n".join("\n".join(lines(inspection)) for inspection in inspections)


def lines(inspection: FileInspection) -> Iterator[str]:
    """Yield the file's path, and an aligned line for each fact, without control characters."""
    yield _safe(inspection.path)
    for name, fact in _facts(inspection):
        yield f"  {name:<10} {_safe(fact)}"


def _facts(inspection: FileInspection) -> Iterator[tuple[str, str]]:
    yield "judged", "yes" if inspection.judged else f"no: {inspection.refused}"
    if inspection.format is not None:
        yield "format", inspection.format
    if inspection.size is not None:
        yield "size", f"{inspection.size:,} bytes"
        yield "sha256", inspection.sha256 or "unknown"
    if inspection.code is not None:
        yield "code", _code(inspection.code)
    if inspection.tensors is None:
        return
    kinds = ", ".join(f"{count:,} {dtype}" for dtype, count in inspection.dtypes.items())
    yield "tensors", f"{inspection.tensors:,} with {inspection.numbers:,} numbers: {kinds}"
    yield "parameters", f"{inspection.parameters:,}"
    bad = [f"{count:,} in {name}" for name, count in inspection.not_finite.items()]
    yield "NaN, Inf", _shortened(bad) or "none"
    taken = [f'key "{key}"' for key in inspection.wrappers]
    taken += [f'prefix "{prefix}"' for prefix in inspection.prefixes]
    if taken:
        yield "taken off", ", ".join(taken)
    yield "network", _network(inspection)
    if inspection.head is not None:
        yield "classes", f"{inspection.classes:,} ({inspection.head})"


def _code(code: Code) -> str:
    if code.could_run == "no":
        return "cannot run any"
    calls = [f"it calls {_shortened(list(code.calls))}"] if code.calls else []
    why = "; ".join([*calls, *code.reasons[:MAX_LISTED]])
    if code.could_run == "yes":
        return f"COULD RUN CODE when it is read by plain pickle: {why}"
    return f"cannot tell: {why}"


def _network(inspection: FileInspection) -> str:
    if not inspection.fits:
        return "near no known network; with --evals-cards your own are compared, too"
    if inspection.fits[0].exact:
        return f"fits {', '.join(fit.name for fit in inspection.fits)}"
    return f"{inspection.fits[0].name} except for {'; '.join(inspection.fits[0].differs)}"


def _shortened(words: list[str]) -> str:
    more = f", and {len(words) - MAX_LISTED} more" if len(words) > MAX_LISTED else ""
    return ", ".join(words[:MAX_LISTED]) + more


def _safe(text: str) -> str:
    return printable(text)
