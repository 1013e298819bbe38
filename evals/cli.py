"""``evals``: what is not a test run."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evals import __version__
from evals.errors import UserError
from evals.paths import data_folder

if TYPE_CHECKING:
    from evals.options import Options
    from evals.selection import Catalog


_SELFTEST = {
    "cards": "FILE",
    "device": "NAME",
    "limit": "N",
    "seed": "N",
    "run-dir": "FOLDER",
    "report": "PATH",
    "validity": "DEPTH",
}
"""Options that mean what they mean to pytest, in a self-test."""

_NOISE = {"cards": "FILE", "cache": "FOLDER"}
"""And where noise is measured."""

_MERGE = {"run-dir": "FOLDER", "report": "PATH", "cache": "FOLDER", "inconclusive": "fail|skip",
          "baseline": "RUN[:ALIAS]", "same": "fail|skip", "markdown": "PATH"}  # fmt: skip
"""And where parts of a run are joined."""

FEW = 5
"""Classifiers for which a listing says why they are not here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0, or 1 with one clear sentence on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except UserError as error:
        print(f"evals: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"evals: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evals", description="pytest for vision networks; checks run with `pytest SUITE`"
    )
    parser.add_argument("--version", action="version", version=f"vision-evals {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    models = commands.add_parser("models", help="list classifiers, and whether they are here")
    models.add_argument("name", nargs="*", help="show only names that contain one of these")
    models.add_argument("--cards", help="TOML file with model cards of your own")
    models.set_defaults(run=_models)

    suites = commands.add_parser("suites", help="print where the shipped suites are")
    suites.set_defaults(run=_suites)

    predict = commands.add_parser("predict", help="what a network sees in a picture: its top-5")
    predict.add_argument("picture", nargs="+", help="picture, or folder of pictures")
    predict.add_argument(
        "--model", action="append", metavar="[ALIAS=]NAME[@PATH]", help="may be given several times"
    )
    predict.add_argument("--cards", help="TOML file with model cards of your own")
    predict.add_argument("--device", default="auto", help="auto, cpu, cuda:1, mps, ...")
    predict.set_defaults(run=_predict)

    fool = commands.add_parser("fool", help="turn a picture into a class of your choice")
    fool.add_argument("picture", type=Path, help="one picture")
    fool.add_argument(
        "--model", action="append", metavar="[ALIAS=]NAME[@PATH]", help="may be given several times"
    )
    fool.add_argument("--target", required=True, help="class by exact name, synset or index")
    fool.add_argument("--out", type=Path, default=Path(), help="folder for the pictures")
    fool.add_argument("--budget", default="4/255", help="pixel scale [0, 1] (default: 4/255)")
    fool.add_argument("--steps", default=20, type=int, help="at most so many (default: 20)")
    fool.add_argument("--until", default=0.9, type=float, help="confidence wanted (default: 0.9)")
    fool.add_argument("--cards", help="TOML file with model cards of your own")
    fool.add_argument("--device", default="auto", help="auto, cpu, cuda:1, mps, ...")
    fool.set_defaults(run=_fool)

    check_file = commands.add_parser(
        "check-file", help="look into a file of weights, without running anything in it"
    )
    check_file.add_argument("path", nargs="+", type=Path, help="file of weights")
    check_file.add_argument("--cards", help="TOML file with model cards of your own")
    check_file.add_argument("--json", action="store_true", help="one JSON list, for programs")
    check_file.set_defaults(run=_check_file)

    selftest = commands.add_parser(
        "selftest", help="break a network on purpose, and see which checks of the suites notice"
    )
    _judge_by(selftest, "default: accuracy, art, fgsm and airplane as shipped", _SELFTEST)
    selftest.set_defaults(run=_selftest)

    schema = commands.add_parser("schema", help="print the JSON Schema of suites, or of run.json")
    schema.add_argument("of", nargs="?", choices=("suite", "run"), default="suite")
    schema.set_defaults(run=_schema)

    init = commands.add_parser("init", help="write a first suite, card and CI job for a network")
    init.add_argument("folder", nargs="?", type=Path, default=Path(), help="your repository")
    init.add_argument("--network", help="torchvision:resnet50 or my_pkg.nets:build", required=True)
    init.add_argument("--checkpoint", type=Path, metavar="PATH", help="your weights")
    init.add_argument("--images", type=Path, metavar="DIR", help="class folders or a manifest")
    init.add_argument("--classes", help="imagenet, or a file with one class name a line")
    init.set_defaults(run=_init)

    mlflow = commands.add_parser("mlflow", help="log a finished run to MLflow")
    mlflow.add_argument("run_dir", type=Path, metavar="RUN", help="folder that holds run.json")
    mlflow.add_argument("--to", metavar="URI", help="default: $MLFLOW_TRACKING_URI")
    mlflow.add_argument("--report", type=Path, help="default: report.html in that folder")
    mlflow.set_defaults(run=_mlflow)

    noise = commands.add_parser("noise", help="measure by how much numbers move on this machine")
    _judge_by(noise, "default: shipped accuracy and fgsm", _NOISE)
    noise.set_defaults(run=_noise)

    compare = commands.add_parser("compare", help="what changed between two runs, image by image")
    compare.add_argument("before", metavar="RUN[:ALIAS]", help="compared with")
    compare.add_argument("now", metavar="RUN[:ALIAS]", help="compared")
    compare.add_argument("--out", type=Path, default=Path("compare.html"), help="the page")
    compare.set_defaults(run=_compare)

    accept = commands.add_parser("accept", help="store a run as the baseline of later ones")
    accept.add_argument("run_dir", type=Path, metavar="RUN", help="folder that holds run.json")
    accept.add_argument("--to", type=Path, help="folder of the baseline (default: baseline)")
    accept.add_argument("--force", action="store_true", help="also if some check did not pass")
    accept.set_defaults(run=_accept)
    merge = commands.add_parser("merge", help="join the parts of a run (pytest --evals-shard K/N)")
    merge.add_argument("run_dir", type=Path, metavar="RUN", nargs="+", help="folder of a part")
    merge.add_argument("--out", type=Path, help="folder of the joined run (default: a new run)")
    for name, shown in _MERGE.items():
        merge.add_argument(f"--evals-{name}", metavar=shown, help="as for pytest")
    merge.set_defaults(run=_merge)

    cache = commands.add_parser("cache", help="what is kept of earlier runs, and how much")
    cache.add_argument("action", nargs="?", choices=["prune"], help="remove what is not needed")
    cache.add_argument("--evals-cache", metavar="FOLDER", help="as for pytest")
    cache.add_argument("--older-than", metavar="30d", help="prune what was not used for so long")
    cache.add_argument("--larger-than", metavar="5GB", help="prune down to this size")
    cache.add_argument("--all", action="store_true", help="prune everything")
    cache.set_defaults(run=_cache)

    report = commands.add_parser("report", help="render a run's report again")
    report.add_argument("run_dir", type=Path, metavar="RUN", help="folder that holds run.json")
    report.add_argument("--out", type=Path, help="default: report.html in that folder")
    report.set_defaults(run=_report)
    return parser


def _judge_by(command: argparse.ArgumentParser, suites: str, options: Mapping[str, str]) -> None:
    """Let a command take suites, and options of pytest's by their names there."""
    command.add_argument("suite", nargs="*", type=Path, help=suites)
    command.add_argument(
        "--evals-model", action="append", metavar="[ALIAS=]NAME[@PATH]", help="as for pytest"
    )
    command.add_argument(
        "--evals-images", action="append", metavar="[ROLE=]SOURCE", help="as for pytest"
    )
    for name, shown in options.items():
        command.add_argument(f"--evals-{name}", metavar=shown, help="as for pytest")


def _judged_by(options: argparse.Namespace) -> Catalog:
    from evals.selection import Catalog

    return Catalog.read(_told(options))


def _told(options: argparse.Namespace) -> Options:
    from evals.options import read

    given = {
        key.removeprefix("evals_"): tuple(value) if isinstance(value, list) else value
        for key, value in vars(options).items()
        if key.startswith("evals_") and value is not None
    }
    return read(given, Path.cwd())


def _catalog(options: argparse.Namespace, models: Sequence[str] = ()) -> Catalog:
    from evals.options import read
    from evals.selection import Catalog

    given = {"model": tuple(models), "cards": options.cards}
    return Catalog.read(read({key: value for key, value in given.items() if value}, Path.cwd()))


def _models(options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.table import Table

    from evals.classifiers.listing import listing

    wanted = options.name or [""]
    rows = [
        row
        for row in listing(_catalog(options).registry)
        if any(part in row.name for part in wanted)
    ]
    if not rows:
        raise UserError(f"no classifier's name contains {' or '.join(wanted)}; try evals models")
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("name", "here", "top-1", "top-5", "input"):
        shown.add_column(name, overflow="fold")
    for row in rows:
        percent = ["" if value is None else f"{value:.1%}" for value in (row.top1, row.top5)]
        shown.add_row(row.name, "no" if row.unavailable else "yes", *percent, row.input)
    console = Console()
    console.print(shown)
    missing = [row for row in rows if row.unavailable]
    for row in missing[:FEW]:
        console.print(f"{row.name}: {row.unavailable}", style="dim", highlight=False, markup=False)
    if len(missing) > FEW:
        console.print(
            f"{len(missing)} are not here; `evals models NAME` says why", style="dim", markup=False
        )


def _suites(options: argparse.Namespace) -> None:
    del options
    print(data_folder("suites"))


def _schema(options: argparse.Namespace) -> None:
    if options.of == "run":
        from evals import log

        print(json.dumps(log.json_schema(), indent=2))
        return
    from evals.measures import MEASURES, lookup
    from evals.suite import json_schema

    print(json.dumps(json_schema([lookup(name, Path()) for name in MEASURES]), indent=2))


def _noise(options: argparse.Namespace) -> None:
    from evals.noise.screen import noise

    noise(_judged_by(options), options.suite)


def _selftest(options: argparse.Namespace) -> int:
    from evals.selftest.command import command

    return command(_judged_by(options), options.suite, shlex.join(["evals", *sys.argv[1:]]))


def _check_file(options: argparse.Namespace) -> int:
    from evals.check_file.look import look
    from evals.check_file.screen import text

    cards = _catalog(options).registry.cards
    found = [look(path, cards) for path in options.path]
    print(text(found, as_json=options.json))
    return 0 if all(one.judged for one in found) else 1


def _merge(options: argparse.Namespace) -> int:
    from evals.merge.command import command, exit_code
    from evals.results.files import tell
    from evals.summary import counts, remarks, table

    told = _told(options)
    typed = shlex.join(["evals", *sys.argv[1:]])
    run, report = command(told, options.run_dir, options.out, typed)
    print(table(run.log.items, color=sys.stdout.isatty()), end="")
    print(*remarks(run.log), counts(run.log), f"log: {run.directory / 'run.json'}", sep="\n")
    if report is not None:
        print(f"report: {report}")
    for trouble in tell(run.log, run.directory, report, told.markdown, os.environ):
        print(f"warning: {trouble}", file=sys.stderr)
    return exit_code(run.log, skip=told.table.inconclusive == "skip")


def _init(options: argparse.Namespace) -> int:
    from evals.init import Wish, init

    wish = Wish(options.network, options.checkpoint, options.images, options.classes)
    return init(options.folder, wish)


def _mlflow(options: argparse.Namespace) -> None:
    from evals import log
    from evals.results.mlflow import record
    from evals.results.tracking import settled

    os.environ.update(settled(os.environ))  # this process does nothing else
    uri = options.to or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise UserError("nothing says where MLflow is; give --to URI, or set MLFLOW_TRACKING_URI")
    run = log.read(options.run_dir)
    directory = options.run_dir if options.run_dir.is_dir() else options.run_dir.parent
    report = options.report or directory / "report.html"
    print(record(run, directory, report if report.is_file() else None, uri))


def _cache(options: argparse.Namespace) -> None:
    from rich.console import Console

    from evals.cache import screen, shelves

    folder = _told(options).cache
    limits = [options.older_than, options.larger_than]
    if options.action is None:
        if options.all or any(limits):
            raise UserError("write `evals cache prune` to remove something")
        screen.show(folder, Console(width=None if sys.stdout.isatty() else 160))
        return
    if options.all == any(limits):
        raise UserError("say what to prune: --older-than 30d, --larger-than 5GB, or --all")
    older, larger = options.older_than, options.larger_than
    found = shelves.prune(
        list(shelves.kept(folder)),
        older_than=None if older is None else shelves.seconds(older),
        larger_than=None if larger is None else shelves.size(larger),
    )
    freed = screen.size(sum(one.size for one in found))
    print(f"{folder}: {len(found):,} entries removed, {freed}")


def _report(options: argparse.Namespace) -> None:
    from evals import log, report

    run = log.read(options.run_dir)
    directory = options.run_dir if options.run_dir.is_dir() else options.run_dir.parent
    print(report.write(run, directory, options.out or directory / "report.html"))


def _compare(options: argparse.Namespace) -> None:
    from rich.console import Console

    from evals.compare.command import compare
    from evals.compare.screen import show
    from evals.compare.stored import load

    sides = load(options.before, Path()), load(options.now, Path())
    console = Console(width=None if sys.stdout.isatty() else 200)
    show(compare(*sides, options.out), console)
    console.print(f"page: {options.out}", markup=False, highlight=False)


def _accept(options: argparse.Namespace) -> None:
    from evals.compare.accept import FOLDER, accept

    folder = options.to or Path(FOLDER)
    run = accept(options.run_dir, folder, force=options.force)
    print(f"{folder}: holds run {run.id} now; name it with --evals-baseline {folder}")


def _fool(options: argparse.Namespace) -> None:
    from evals.fool import Wish, fool
    from evals.measures.targeted import Parameters
    from evals.schema import validate
    from evals.selection import DEFAULTS

    asked = {"target": options.target, "budgets": (options.budget,)}
    asked |= {"steps": options.steps, "until": options.until}
    wish = Wish(options.picture, validate(Parameters, asked, "evals fool"), options.out)
    fool(_catalog(options, options.model or DEFAULTS), wish, options.device)


def _predict(options: argparse.Namespace) -> None:
    from evals.predict import predict
    from evals.selection import DEFAULTS

    predict(_catalog(options, options.model or DEFAULTS), options.picture, options.device)
