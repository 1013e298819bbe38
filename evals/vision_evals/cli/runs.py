"""Commands about runs: accept, join and send them."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import sys
from pathlib import Path

from vision_evals.cli.args import add_options, options_from_args
from vision_evals.core.errors import UserError, did_you_mean, printable
from vision_evals.core.paths import LATEST, REPORT, run_name

TABLE_LINES = 25
"""Lines of the table of a joined run, without what did not pass."""

BASELINE = Path("baseline")
"""Where `evals accept` keeps a run."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    accept = commands.add_parser("accept", help="store a run as the baseline of later ones")
    accept.add_argument("run_dir", metavar="RUN", help="id of a run, or folder with run.json")
    accept.add_argument(
        "--to", type=Path, default=BASELINE, help=f"folder of the baseline (default: {BASELINE})"
    )
    accept.add_argument("--force", action="store_true", help="even if a check did not pass")
    add_options(accept, "accept")
    accept.set_defaults(run=_accept)

    finished = commands.add_parser(
        "finished",
        help="exit 1 unless a run is finished and has every selected check",
        description="Ask whether a run is finished and has every check that was selected. A "
        "network that ends the process ends pytest, too, perhaps with exit code 0: a CI job asks "
        "after pytest with the id that it gave (--evals-run-id).",
    )
    finished.add_argument("run_dir", metavar="RUN", help="id of a run, or folder with run.json")
    add_options(finished, "finished")
    finished.set_defaults(run=_finished)

    merge = commands.add_parser("merge", help="join the parts of a run (pytest --evals-shard K/N)")
    merge.add_argument("run_dir", type=Path, metavar="RUN", nargs="+", help="folder of a part")
    merge.add_argument("--out", type=Path, help="folder of the joined run (default: a new run)")
    add_options(merge, "merge")
    merge.set_defaults(run=_merge)

    mlflow = commands.add_parser("mlflow", help="log a finished run to MLflow")
    mlflow.add_argument("run_dir", type=Path, metavar="RUN", help="folder that holds run.json")
    mlflow.add_argument("--to", metavar="URI", help="default: $MLFLOW_TRACKING_URI")
    mlflow.add_argument("--report", type=Path, help=f"default: {REPORT} in that folder")
    mlflow.set_defaults(run=_mlflow)


def _place(options: argparse.Namespace) -> Path:
    """Return the folder of a run that is named by its id or its path.

    Raises:
        UserError: there is neither.
    """
    name: str = options.run_dir
    runs = options_from_args(options).run_dir
    with contextlib.suppress(ValueError):  # a path
        if (runs / (name if name == LATEST else run_name(name))).exists():
            return runs / name
    if "\0" not in name and Path(name).exists():
        return Path(name)
    ids = [folder.name for folder in runs.iterdir()] if runs.is_dir() else []
    raise UserError(f"{printable(name)}: no such run in {runs}{did_you_mean(name, ids)}")


def _finished(options: argparse.Namespace) -> None:
    from vision_evals import log
    from vision_evals.log.outcome import unfinished, verdict_counts

    place = _place(options)
    run = log.read(place)
    if (reason := unfinished(run)) is not None:
        raise UserError(printable(f"{place}: {reason}"))
    print(printable(f"{place}: finished, {verdict_counts(run)}"))


def _accept(options: argparse.Namespace) -> None:
    from vision_evals.verdict.baseline.accept import accept

    run = accept(_place(options), options.to, force=options.force)
    named = f"name it with --evals-baseline {options.to}"
    print(printable(f"{options.to}: holds run {run.id} now; {named}"))


def _merge(options: argparse.Namespace) -> int:
    from rich.console import Console

    from vision_evals.cli.merge import command
    from vision_evals.log.outcome import exit_code
    from vision_evals.report.export.files import write_markdown
    from vision_evals.report.remarks import remarks
    from vision_evals.report.terminal import FILE_WIDTH, counts, table

    checked = options_from_args(options)
    typed = shlex.join(["evals", *sys.argv[1:]])
    warnings: list[str] = []
    run, published = command(checked, options.run_dir, options.out, typed, warnings.append)
    console = Console()
    color, width = console.is_terminal and not console.no_color, console.width
    if not console.is_terminal and "COLUMNS" not in os.environ:
        width = FILE_WIDTH
    print(table(run.log.items, color=color, width=width, lines=TABLE_LINES), end="")
    places = [f"log: {run.directory / 'run.json'}"]
    places += [f"report: {path}" for path in (published.page, published.folder) if path]
    print(*remarks(run.log), counts(run.log), *map(printable, places), sep="\n")
    warnings += write_markdown(
        run.log, run.directory, published.where, checked.markdown, os.environ
    )
    for warning in warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    return exit_code(run.log, lenient=checked.table.inconclusive == "skip")


def _mlflow(options: argparse.Namespace) -> None:
    from vision_evals import log
    from vision_evals.report.export.mlflow import record
    from vision_evals.report.export.tracking import settled

    os.environ.update(settled(os.environ))  # this process does nothing else
    uri = options.to or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise UserError(
            "the address of MLflow is missing; give --to URI, or set MLFLOW_TRACKING_URI"
        )
    run = log.read(options.run_dir)
    directory = options.run_dir if options.run_dir.is_dir() else options.run_dir.parent
    report = options.report or directory / REPORT
    print(printable(record(run, directory, report if report.is_file() else None, uri)))
