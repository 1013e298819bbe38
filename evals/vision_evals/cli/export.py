"""``evals export``: the numbers of a run as CSV, Parquet or JSON, for other programs."""

from __future__ import annotations

import argparse
import io
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vision_evals.core.errors import UserError, printable

if TYPE_CHECKING:
    import pandas as pd

    from vision_evals.report.result import Run

FORMATS = ("csv", "parquet", "json")
TABLES = ("metrics", "images", "rows")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command to the parser."""
    export = commands.add_parser(
        "export",
        help="write metrics, images and rows of a run as CSV, Parquet or JSON",
        description="Write the tables of a run: metrics (one row for each metric and threshold), "
        "images (one row for each image), and rows (the values of each check on each image, with "
        "the names of classes). A folder receives all of them, a file or the screen one. These are "
        "the frames of vision_evals.read(RUN).",
    )
    export.add_argument("run_dir", metavar="RUN", help="run directory, run.json or baseline")
    how = export.add_mutually_exclusive_group()
    for name, text in zip(FORMATS, ("CSV", "Parquet", "a JSON list of rows"), strict=True):
        default = " (default, unless the name of a file says otherwise)" if name == "csv" else ""
        how.add_argument(
            f"--{name}", dest="format", action="store_const", const=name, help=text + default
        )
    export.add_argument(
        "--out", metavar="PATH", help="folder, file or - (default: -, which is standard output)"
    )
    export.add_argument("--table", choices=TABLES, help="only this one (default: metrics, or all)")
    export.add_argument("--check", metavar="NAME", help="only rows of this check")
    export.add_argument("--model", metavar="ALIAS", help="only rows of this classifier")
    export.add_argument("--suite", metavar="FILE", help="where several have a check of that name")
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from vision_evals.report.result import read

    for name in ("model", "suite"):
        if getattr(options, name) and not options.check:
            raise UserError(f"--{name}: name the check, too, with --check")
    if options.check and options.table in {"metrics", "images"}:
        raise UserError(
            f"--check: chooses rows; leave it out, or write --table rows, not {options.table}"
        )
    table = options.table or ("rows" if options.check else None)
    run, out = read(options.run_dir), options.out or "-"
    suffix = Path(out).suffix.removeprefix(".")
    form = options.format or (suffix if suffix in FORMATS else "csv")
    if suffix in FORMATS and suffix != form:
        raise UserError(f"--out {out}: its name says {suffix}, and --{form} another format")
    if out != "-" and suffix not in FORMATS:
        _write_folder(run, Path(out), form, table, options)
        return
    frame = _frame(run, table or "metrics", options)
    if out != "-":
        _write_file(frame, Path(out), form)
    elif form == "parquet":
        raise UserError("Parquet is not text; name a file or a folder with --out")
    else:
        text = _text(frame, form)
        if sys.stdout.isatty():
            text = "".join(f"{printable(line)}\n" for line in text.splitlines())
        print(text, end="")


def _write_folder(
    run: Run, folder: Path, form: str, table: str | None, options: argparse.Namespace
) -> None:
    """Write one file for each table, and of rows one for each check and classifier."""
    for name in TABLES if table is None else (table,):
        frames = _rows(run, options) if name == "rows" else [(name, _frame(run, name, options))]
        for stem, frame in frames:
            _write_file(frame, folder / f"{stem}.{form}", form)


def _frame(run: Run, table: str, options: argparse.Namespace) -> pd.DataFrame:
    if table == "metrics":
        return run.metrics
    if table == "images":
        return run.images
    checks = list(dict.fromkeys(item.check for item in run.items if item.table is not None))
    if options.check is None and len(checks) != 1:
        raise UserError(
            f"{run.path}: rows of {len(checks)} checks do not fit into one table; name one with "
            f"--check ({', '.join(checks)}), or a folder with --out"
        )
    return run.rows(options.check or checks[0], options.model, suite=options.suite)


def _rows(run: Run, options: argparse.Namespace) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each check and classifier that has rows, with the name of their file."""
    from vision_evals.log import frames

    items = run.items
    if options.check is not None:
        items = run.select(options.check, options.model, suite=options.suite)
    names: set[str] = set()
    for item in items:
        if item.table is None:
            continue
        words = (Path(item.suite).stem, item.check, item.classifier)
        stem = name = re.sub(r"[^\w.-]+", "_", "-".join(words)).lstrip(".")
        while name.casefold() in names:
            name = f"{stem}-{len(names)}"
        names.add(name.casefold())
        yield f"rows/{name}", frames.rows(run.log, run.path, item)


def _write_file(frame: pd.DataFrame, path: Path, form: str) -> None:
    from vision_evals.core.paths import whole_file

    with whole_file(path) as partial:
        if form == "parquet":
            frame.to_parquet(partial, index=False)
        else:
            partial.write_text(_text(frame, form), encoding="utf-8", newline="")
    print(printable(str(path)))


def _text(frame: pd.DataFrame, form: str) -> str:
    """Return a table with every digit of its numbers; an absent value is empty, in JSON null."""
    if form == "json":
        records = [{k: _plain(v) for k, v in row.items()} for row in frame.to_dict("records")]
        return json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    lists = {
        str(name): frame[name].map(_list_text) for name in frame if frame[name].dtype == object
    }
    text = io.StringIO()
    frame.assign(**lists).to_csv(text, index=False)
    return text.getvalue()


def _list_text(value: Any) -> Any:
    """Return a cell of CSV: a list as JSON, any other value as it is."""
    return json.dumps(_plain(value), ensure_ascii=False) if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list) or (hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0)


def _plain(value: Any) -> Any:
    """Return a cell as JSON has it: an absent value and a number that is not finite are null."""
    import pandas as pd

    if _is_list(value):
        return [_plain(part) for part in value]
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, bool | int | float | str) else str(value)
