"""What was found in a file, as lines on a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from vision_evals.core.errors import printable
from vision_evals.models.inspection.code import Code
from vision_evals.models.inspection.inspect_file import FileInspection

MAX_LISTED = 8
"""Names that are shown of many; ``--json`` has all."""


def text(found: Iterable[FileInspection], *, as_json: bool) -> str:
    """Return what files are: lines for people, or one JSON list of ``FileInspection`` for programs."""
    if as_json:
        listed = [one.model_dump(mode="json") for one in found]
        return json.dumps(listed, indent=2, allow_nan=False)  # ASCII: no name moves the terminal
    return "\n\n".join("\n".join(lines(one)) for one in found)


def lines(found: FileInspection) -> Iterator[str]:
    """Yield the file's path, and a line for each fact, aligned; nothing a terminal would obey."""
    yield _safe(found.path)
    for name, said in _facts(found):
        yield f"  {name:<10} {_safe(said)}"


def _facts(found: FileInspection) -> Iterator[tuple[str, str]]:
    yield "judged", "yes" if found.judged else f"no: {found.refused}"
    if found.format is not None:
        yield "format", found.format
    if found.size is not None:
        yield "size", f"{found.size:,} bytes"
        yield "sha256", found.sha256 or "unknown"
    if found.code is not None:
        yield "code", _code(found.code)
    if found.tensors is None:
        return
    kinds = ", ".join(f"{count:,} {dtype}" for dtype, count in found.dtypes.items())
    yield "tensors", f"{found.tensors:,} with {found.numbers:,} numbers: {kinds}"
    yield "parameters", f"{found.parameters:,}"
    yield "NaN, Inf", _few([f"{n:,} in {name}" for name, n in found.not_finite.items()]) or "none"
    taken = [f'key "{key}"' for key in found.wrappers]
    taken += [f'prefix "{prefix}"' for prefix in found.prefixes]
    if taken:
        yield "taken off", ", ".join(taken)
    yield "network", _network(found)
    if found.head is not None:
        yield "classes", f"{found.classes:,} ({found.head})"


def _code(code: Code) -> str:
    if code.could_run == "no":
        return "cannot run any"
    calls = [f"it calls {_few(list(code.calls))}"] if code.calls else []
    why = "; ".join([*calls, *code.reasons[:MAX_LISTED]])
    if code.could_run == "yes":
        return f"COULD RUN CODE when it is read by plain pickle: {why}"
    return f"cannot tell: {why}"


def _network(found: FileInspection) -> str:
    if not found.fits:
        return "near none that is known here; with --cards your own are tried, too"
    if found.fits[0].exact:
        return f"fits {', '.join(fit.name for fit in found.fits)}"
    return f"{found.fits[0].name} but for {'; '.join(found.fits[0].differs)}"


def _few(words: list[str]) -> str:
    more = f", and {len(words) - MAX_LISTED} more" if len(words) > MAX_LISTED else ""
    return ", ".join(words[:MAX_LISTED]) + more


def _safe(text: str) -> str:
    return printable(text.replace("\n", " "))
