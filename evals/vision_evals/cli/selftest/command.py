"""``evals selftest``: its plan, its output and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vision_evals import log, report
from vision_evals.cli.selftest.expected import Expected, broken, outdated, read
from vision_evals.cli.selftest.matrix import verdict
from vision_evals.cli.selftest.mutants import MUTANTS
from vision_evals.cli.selftest.selftest import Selftest, SelftestPlan, rounds
from vision_evals.cli.terminal import plain_table
from vision_evals.core import progress
from vision_evals.core.errors import UserError, printable
from vision_evals.core.paths import data_folder
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.publish import publish

NOTHING_REQUIRED = (
    "no mutant had to be killed: suites/mutants.toml knows the packaged networks, with their own "
    "weights, on the shipped suites and all of their pictures"
)


def plan(catalog: Catalog, files: Sequence[Path], expectations: Path) -> SelftestPlan:
    """Return what to try: every mutant of the one classifier named, on the suites.

    Which mutants must be killed is known only for the shipped suites on all of their pictures.

    Args:
        catalog: with one request.
        files: suites; none for the shipped ones.
        expectations: file with what is known of mutants, by network.

    Raises:
        UserError: several classifiers were named, or a suite cannot be used.
    """
    if len(catalog.requests) != 1:
        raise UserError(
            "a self-test is about one network: evals selftest --evals-model NAME [SUITE ...]"
        )
    (request,) = catalog.requests
    shipped = not files and catalog.options.table.limit is None and not catalog.options.images
    names = tuple(mutant.name for mutant in MUTANTS)
    # a network with the user's weights is another one
    network = "" if request.checkpoint else request.name.removeprefix("packaged:")
    suite_rounds = rounds(catalog, request, files)
    expected = read(expectations, network, names) if shipped else Expected()
    return SelftestPlan(request, suite_rounds, MUTANTS, expected)


def command(catalog: Catalog, files: Sequence[Path], typed: str) -> int:
    """Try every mutant, print and store what noticed it.

    Args:
        catalog: with one request.
        files: suites; none for the shipped ones.
        typed: the command line.

    Returns:
        1 where a mutant survives that must be killed, else 0.

    Raises:
        UserError: the network does not pass its suites unbroken, or is unavailable.
    """
    options = catalog.options
    warnings = () if options.templates is None else report.check(options.templates)
    selftest_plan = plan(catalog, files, data_folder("suites") / "mutants.toml")
    out, err = Console(), Console(stderr=True, highlight=False, markup=False)
    # elsewhere than on a terminal a line for each mutant is enough
    shown = progress.bar if err.is_terminal else progress.lines(lambda _: None)

    def warn(warning: str) -> None:
        err.print(f"warning: {printable(warning)}", soft_wrap=True)

    selftest = Selftest(catalog, selftest_plan, typed, shown, warn)
    for warning in warnings:
        warn(warning)
    try:
        selftest.run(lambda line: err.print(line, style="dim"))
    finally:
        tried = selftest.log.mutants
        if tried:
            show(tried, out, len(selftest_plan.mutants) - len(tried))
            published = publish(selftest.log, selftest.directory, options, warn)
            for path in filter(None, (published.page, published.folder)):
                out.print(path, soft_wrap=True)
    if not (selftest_plan.expected.must_kill or selftest_plan.expected.survives):
        err.print(NOTHING_REQUIRED, style="dim", soft_wrap=True)
    survivors = broken(selftest.log.mutants)
    for sentence in (*outdated(selftest.log.mutants), *survivors):
        err.print(f"evals: {sentence}", soft_wrap=True)
    return 1 if survivors else 0


def show(mutants: Sequence[log.Mutant], console: Console, untried: int = 0) -> None:
    """Print which check noticed each mutant, and the line that sums it up."""
    table = plain_table(("mutant", "behaviour", "structure"))
    for mutant in mutants:
        if mutant.inapplicable is not None:
            table.add_row(mutant.name, f"does not apply: {mutant.inapplicable}", "", style="dim")
        else:
            table.add_row(
                mutant.name, _notice_text(mutant.behaviour), _notice_text(mutant.structure)
            )
    console.print(table)
    console.print(verdict(mutants, untried), highlight=False, markup=False, soft_wrap=True)


def _notice_text(notice: log.Notice | None) -> str:
    return "-" if notice is None else escape(f"{notice.noticed}: {notice.sentence}")
