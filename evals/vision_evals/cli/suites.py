"""Commands about suites: list, describe, begin and self-test them, and measure their noise."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from vision_evals.cli.args import add_options, catalog_from_args
from vision_evals.core.first_import import first_import_of
from vision_evals.core.paths import data_folder

INIT_FLAGS = (
    ("network", "NAME", "torchvision:resnet50, timm:NAME, or my_pkg.nets:build"),
    ("checkpoint", "PATH", "your weights"),
    ("images", "DIR", "class folders or a manifest (default: data/val)"),
    ("classes", "FILE", "one class name a line in the order of the outputs; imagenet; or folders: "
     "the class folders, sorted by name"),
    ("size", "PIXELS", "side that your network is fed (default: that of the images, if all are "
     "equal squares)"),
    ("mean", "R,G,B", "that your network's pixels, 0 to 1, are normalised with"),
    ("std", "R,G,B", "likewise"),
    ("discordance", "SHARE", "of images that only one of two equally good networks answers "
     "rightly; the margin rests on it (default: 0.1)"),
)  # fmt: skip
"""Flags of `evals init`: name, what a value looks like, help."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add these commands to the parser."""
    suites = commands.add_parser("suites", help="print where the shipped suites are")
    suites.set_defaults(run=_suites)

    schema = commands.add_parser("schema", help="print the JSON Schema of suites, or of run.json")
    schema.add_argument("of", nargs="?", choices=("suite", "run"), default="suite")
    schema.set_defaults(run=_schema)

    init = commands.add_parser(
        "init",
        help="write a gate for a network, with its CI job, and run it once",
        description="Look at a network and its images, write a suite, a card and a CI job, and run "
        "the suite once. On a terminal it asks for what no flag says.",
    )
    init.add_argument("folder", nargs="?", type=Path, default=Path(), help="your repository")
    for flag, metavar, text in INIT_FLAGS:
        init.add_argument(f"--{flag}", metavar=metavar, help=text)
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
    from vision_evals.cli.init.answers import from_flags
    from vision_evals.cli.init.command import init

    answers = from_flags({flag: getattr(options, flag) for flag, _, _ in INIT_FLAGS})
    return init(options.folder, answers)


def _selftest(options: argparse.Namespace) -> int:
    with first_import_of("torch"):
        from vision_evals.cli.selftest.command import command

    return command(catalog_from_args(options), options.suite, shlex.join(["evals", *sys.argv[1:]]))


def _noise(options: argparse.Namespace) -> None:
    with first_import_of("torch"):
        from vision_evals.cli.noise.screen import noise

    noise(catalog_from_args(options), options.suite)
