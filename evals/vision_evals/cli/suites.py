"""Commands about suites: list, describe, begin and self-test them, and measure their noise."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from vision_evals.cli.args import add_options, catalog_from_args
from vision_evals.core.paths import data_folder


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    suites = commands.add_parser("suites", help="print where the shipped suites are")
    suites.set_defaults(run=_suites)

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

    selftest = commands.add_parser("selftest", help="break a network, and see which checks notice")
    shipped = "default: accuracy, art, fgsm and airplane"
    selftest.add_argument("suite", nargs="*", type=Path, help=shipped)
    add_options(selftest, "selftest")
    selftest.set_defaults(run=_selftest)

    noise = commands.add_parser("noise", help="measure how much numbers vary on this machine")
    noise.add_argument("suite", nargs="*", type=Path, help="default: shipped accuracy and fgsm")
    add_options(noise, "noise")
    noise.set_defaults(run=_noise)


def _suites(options: argparse.Namespace) -> None:
    del options
    print(data_folder("suites"))


def _schema(options: argparse.Namespace) -> None:
    if options.of == "run":
        from vision_evals import log

        print(json.dumps(log.json_schema(), indent=2))
        return
    from vision_evals.measures import MEASURES, lookup
    from vision_evals.suite.suite import json_schema

    print(json.dumps(json_schema([lookup(name, Path()) for name in MEASURES]), indent=2))


def _init(options: argparse.Namespace) -> int:
    from vision_evals.cli.init import NewSuite, init

    new = NewSuite(options.network, options.checkpoint, options.images, options.classes)
    return init(options.folder, new)


def _selftest(options: argparse.Namespace) -> int:
    from vision_evals.cli.selftest.command import command

    return command(catalog_from_args(options), options.suite, shlex.join(["evals", *sys.argv[1:]]))


def _noise(options: argparse.Namespace) -> None:
    from vision_evals.cli.noise.screen import noise

    noise(catalog_from_args(options), options.suite)
