"""Which mutants of a network must be killed or may survive: ``suites/mutants.toml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field

from vision_evals import log
from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table, read_toml, validate


class Expected(Table):
    """What is expected of one network's mutants, with the shipped suites."""

    must_kill: tuple[str, ...] = ()
    """Mutants that must not survive."""
    survives: dict[str, str] = Field(default_factory=dict)
    """Mutants that are known to survive, and why."""


def read(file: Path, network: str, mutants: Sequence[str]) -> Expected:
    """Return what is expected of a network's mutants; nothing for an unknown network.

    Args:
        file: tables by network.
        network: name of the network.
        mutants: names of all mutants.

    Raises:
        UserError: the file cannot be read, or names what does not exist.
    """
    tables = _tables(file)
    if network not in tables:
        return Expected()
    where = f"{file}, [{network}]"
    expected = validate(Expected, tables[network], where)
    for name in (*expected.must_kill, *expected.survives):
        if name not in mutants:
            raise UserError(f'{where}: there is no mutant "{name}"{did_you_mean(name, mutants)}')
    both = set(expected.must_kill) & set(expected.survives)
    if both:
        raise UserError(f"{where}: {min(both)} cannot both be killed and survive; keep one")
    return expected


def with_expectation(mutant: log.Mutant, expected: Expected) -> log.Mutant:
    """Return the entry of a mutant with what is expected of it."""
    return mutant.model_copy(
        update={
            "required": mutant.name in expected.must_kill,
            "excuse": expected.survives.get(mutant.name),
        }
    )


def broken(mutants: Sequence[log.Mutant]) -> tuple[str, ...]:
    """Return a sentence for each mutant that must be killed and was not."""
    return tuple(
        f"{m.name} must be killed and "
        + (f"cannot be tried: {m.inapplicable}" if m.inapplicable else "survives: no check noticed")
        for m in mutants
        if m.required and not m.killed
    )


def outdated(mutants: Sequence[log.Mutant]) -> tuple[str, ...]:
    """Return a sentence for each mutant that is known to survive and did not."""
    return tuple(
        f"{m.name} is listed as surviving and was killed: remove it from survives"
        for m in mutants
        if m.excuse is not None and m.killed
    )


def _tables(file: Path) -> Mapping[str, Mapping[str, object]]:
    tables = read_toml(file)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UserError(f"{file}: {name} = {table!r}: must be a table [NETWORK]")
    return tables
