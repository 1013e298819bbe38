"""Commands that show runs: the report of one, the comparison of two, a folder of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from vision_evals.cli.args import add_options, options_from_args
from vision_evals.core.errors import UserError, printable
from vision_evals.core.paths import REPORT

PORT = 8765


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    report = commands.add_parser("report", help="render reports of runs again")
    report.add_argument(
        "run_dir", type=Path, metavar="RUN", nargs="+", help="folder that holds run.json"
    )
    report.add_argument("--out", type=Path, help=f"for one run; default: {REPORT} in its folder")
    add_options(report, "report")
    report.set_defaults(run=_report)

    compare = commands.add_parser("compare", help="compare two runs, image by image")
    compare.add_argument("before", metavar="RUN[:ALIAS]", help="the run compared with")
    compare.add_argument("now", metavar="RUN[:ALIAS]", help="the run compared")
    compare.add_argument("--out", type=Path, default=Path("compare.html"), help="the page")
    add_options(compare, "compare")
    compare.set_defaults(run=_compare)

    serve = commands.add_parser(
        "serve",
        help="show a folder of runs, and each metric over time",
        description="Show the runs of a folder in the browser: the report of each, and every "
        "metric over time. It writes nothing, and only this machine can read it.",
    )
    serve.add_argument("folder", type=Path, metavar="DIR", help="folder that holds runs")
    serve.add_argument("--port", type=_port, default=PORT, help=f"default: {PORT}; 0: any free one")
    serve.add_argument("--open", action="store_true", help="open the page in the browser")
    add_options(serve, "serve")
    serve.set_defaults(run=_serve)


def _report(options: argparse.Namespace) -> int:
    single = {"--out": options.out, "--evals-report-dir": options.evals_report_dir}
    typed = [name for name, value in single.items() if value is not None]
    if len(options.run_dir) > 1 and typed:
        raise UserError(f"{' and '.join(typed)}: for one run only; leave it out, or name one RUN")
    templates = _templates(options)
    failed = False
    for run_dir in options.run_dir:
        try:
            for page in _pages(run_dir, options, templates):
                print(printable(str(page)))
        except (UserError, OSError) as error:
            failed = True
            print(f"evals: {_sentence(run_dir, error)}", file=sys.stderr)
    return int(failed)


def _pages(run_dir: Path, options: argparse.Namespace, templates: Path | None) -> Iterator[Path]:
    from vision_evals import log, report

    run = log.read(run_dir)
    directory = run_dir if run_dir.is_dir() else run_dir.parent
    yield report.write(run, directory, options.out or directory / REPORT, templates)
    # only where it was typed: [tool.evals] names the folder of later runs
    if options.evals_report_dir is not None:
        yield report.write_folder(run, directory, Path(options.evals_report_dir), templates)


def _sentence(run_dir: Path, error: UserError | OSError) -> str:
    """Return what went wrong with a run, in a line that names the run."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename or 'its report'} cannot be written ({error.strerror})"
    return printable(text if text.startswith(str(run_dir)) else f"{run_dir}: {text}")


def _compare(options: argparse.Namespace) -> None:
    from rich.console import Console

    from vision_evals.cli.compare import compare, show, write_page
    from vision_evals.verdict.baseline.stored import load

    templates = _templates(options)
    sides = load(options.before, Path()), load(options.now, Path())
    console = Console(width=None if sys.stdout.isatty() else 200)
    run = compare(*sides)
    show(run, console)  # before the page: it needs no place to write to
    write_page(run, options.out, templates)
    console.print(f"page: {options.out}", markup=False, highlight=False)


def _serve(options: argparse.Namespace) -> None:
    import contextlib
    import webbrowser

    from vision_evals.cli.serve.folder import Folder
    from vision_evals.cli.serve.pages import Pages
    from vision_evals.cli.serve.server import Server

    pages = Pages(Folder(options.folder), _templates(options))
    with Server(pages, options.port) as server, contextlib.suppress(KeyboardInterrupt):
        print(printable(f"{server.address} shows {options.folder}; Ctrl-C ends it"), flush=True)
        if options.open:
            webbrowser.open(server.address)
        server.serve_forever()


def _templates(options: argparse.Namespace) -> Path | None:
    """Return the folder of the user's templates, if there is one, after warnings about them."""
    templates = options_from_args(options).templates
    if templates is not None:
        from vision_evals import report

        for warning in report.check(templates):
            print(f"warning: {printable(warning)}", file=sys.stderr)
    return templates


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return number
