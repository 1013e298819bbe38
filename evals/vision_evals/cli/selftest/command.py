"""``evals selftest``: what it asks, shows and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vision_evals import log, report
from vision_evals.cli.selftest.expected import Expected, broken, outdated, read
from vision_evals.cli.selftest.matrix import verdict
from vision_evals.cli.selftest.mutants import MUTANTS
from vision_evals.cli.selftest.selftest import Plan, Selftest, rounds
from vision_evals.core import progress
from vision_evals.core.errors import UserError, printable
from vision_evals.core.paths import data_folder
from vision_evals.core.progress import Progress
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.publish import publish
from vision_evals.models.request import Request

UNHELD = (
    "no mutant had to be killed: suites/mutants.toml knows the packaged networks, with their own "
    "weights, on the shipped suites and all of their pictures"
)


def plan(catalog: Catalog, files: Sequence[Path], expectations: Path) -> Plan:
    """Return what to try: the mutants of the one classifier named, on suites.

    What must be killed is known of the shipped suites alone, and of all their pictures.

    Args:
        catalog: with one request.
        files: suites; none for the shipped ones.
        expectations: what is known of mutants, by network.

    Raises:
        UserError: several classifiers were named, or a suite cannot be used.
    """
    if len(catalog.requests) != 1:
        raise UserError(
            "a self-test is about one network: evals selftest --evals-model NAME [SUITE ...]"
        )
    (request,) = catalog.requests
    chosen = rounds(catalog, request, files)
    shipped = not files and catalog.options.table.limit is None and not catalog.options.images
    names = tuple(mutant.name for mutant in MUTANTS)
    return Plan(
        request,
        chosen,
        MUTANTS,
        read(expectations, _network(request), names) if shipped else Expected(),
    )


def _network(request: Request) -> str:
    # weights of one's own make another network
    return "" if request.checkpoint else request.name.removeprefix("packaged:")


def command(catalog: Catalog, files: Sequence[Path], typed: str) -> int:
    """Try every mutant, show and keep what noticed it; 1 where one survives that must not.

    Raises:
        UserError: the network does not pass its suites as it is, or cannot be had.
    """
    options = catalog.options
    remarks = () if options.templates is None else report.check(options.templates)
    planned = plan(catalog, files, data_folder("suites") / "mutants.toml")
    out, shown = Console(), Console(stderr=True)
    selftest = Selftest(catalog, planned, typed, _progress(shown))

    def warn(said: str) -> None:
        shown.print(f"warning: {printable(said)}", highlight=False, markup=False, soft_wrap=True)

    for said in remarks:
        warn(said)
    try:
        selftest.run(lambda line: shown.print(line, style="dim", highlight=False, markup=False))
    finally:
        if selftest.log.mutants:
            show(selftest.log.mutants, out, len(planned.mutants) - len(selftest.log.mutants))
            published = publish(selftest.log, selftest.directory, options, warn)
            for place in filter(None, (published.page, published.folder)):
                out.print(place, soft_wrap=True)
    if not (planned.expected.must_kill or planned.expected.survives):
        shown.print(UNHELD, style="dim", highlight=False, markup=False, soft_wrap=True)
    survivors = broken(selftest.log.mutants)
    for sentence in (*outdated(selftest.log.mutants), *survivors):
        shown.print(f"evals: {sentence}", highlight=False, markup=False, soft_wrap=True)
    return 1 if survivors else 0


def show(mutants: Sequence[log.Mutant], console: Console, untried: int = 0) -> None:
    """Print the kill matrix and the line that sums it up."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("mutant", "behaviour", "structure"):
        table.add_column(name, overflow="fold")
    for mutant in mutants:
        if mutant.inapplicable is not None:
            table.add_row(mutant.name, f"does not apply: {mutant.inapplicable}", "", style="dim")
        else:
            table.add_row(mutant.name, _said(mutant.behaviour), _said(mutant.structure))
    console.print(table)
    console.print(verdict(mutants, untried), highlight=False, markup=False, soft_wrap=True)


def _said(notice: log.Notice | None) -> str:
    if notice is None:
        return "-"
    return escape(f"{notice.noticed}: {notice.sentence}")


def _progress(console: Console) -> Progress:
    if console.is_terminal:
        return progress.bar
    return progress.lines(lambda _: None)  # a line a mutant is news enough
