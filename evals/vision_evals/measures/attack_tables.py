"""Attacks in suites: a name, or a table of a name and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from vision_evals.attacks.defaults import (
    APGD_STEPS,
    LOSS,
    PGD_REL_STEPSIZE,
    PGD_STEPS,
    RANDOM_START,
    RESTARTS,
)
from vision_evals.core.errors import UserError, did_you_mean
from vision_evals.core.tables import Table

if TYPE_CHECKING:
    from vision_evals.attacks.attack import Attack

Steps = Annotated[int, Field(ge=1)]
Loss = Literal["cross_entropy", "dlr"]

OURS = ("apgd", "pgd")
FOREIGN = "foolbox."


class Pgd(Table):
    """Projected gradient descent (Madry et al. 2018)."""

    name: Literal["pgd"]
    steps: Steps = PGD_STEPS
    """Largest number of gradient steps of each restart."""
    rel_stepsize: Annotated[float, Field(gt=0)] = PGD_REL_STEPSIZE
    """Length of a step as a share of epsilon."""
    restarts: Steps = RESTARTS
    """Number of starts; the next start is only for images that are not broken yet."""
    random_start: bool = RANDOM_START
    """Whether the first start is a random point of the ball, too."""
    loss: Loss = LOSS
    """Loss that the attack increases."""


class Apgd(Table):
    """Auto-PGD, which finds its own step size (Croce & Hein 2020)."""

    name: Literal["apgd"]
    steps: Steps = APGD_STEPS
    """Largest number of gradient steps of each restart."""
    restarts: Steps = RESTARTS
    """Number of starts; the next start is only for images that are not broken yet."""
    loss: Loss = LOSS
    """Loss that the attack increases."""


class Foolbox(Table):
    """An attack of foolbox by the name of its class; further keys are its parameters."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(pattern=r"^foolbox\.\w+$")]
    """Such as ``foolbox.L2CarliniWagnerAttack``."""


AnyTable: TypeAlias = Pgd | Apgd | Foolbox


def _table(entry: object) -> object:
    """Turn a name into a table, and refuse names that are not attacks."""
    if isinstance(entry, AnyTable):
        return entry
    table = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(table, Mapping):  # pydantic turns only a ValueError into a message
        raise ValueError(  # noqa: TRY004
            'must be a name, or a table such as { name = "pgd", steps = 40 }'
        )
    name = table.get("name")
    if name not in OURS and not str(name).startswith(FOREIGN):
        raise ValueError(
            f'there is no attack "{name}"{did_you_mean(str(name), OURS)}; '
            'one of foolbox is written "foolbox.NAME"'
        )
    return table


def _tag(table: Any) -> str:
    name = str(table["name"] if isinstance(table, Mapping) else table.name)
    return "foolbox" if name.startswith(FOREIGN) else name


AttackTable: TypeAlias = Annotated[
    Annotated[Pgd, Tag("pgd")] | Annotated[Apgd, Tag("apgd")] | Annotated[Foolbox, Tag("foolbox")],
    Discriminator(_tag),
    BeforeValidator(_table),
]
"""``"pgd"``, ``{ name = "apgd", loss = "dlr" }``, ``{ name = "foolbox.L2PGD", steps = 40 }``."""


def _distinct(tables: tuple[AnyTable, ...]) -> tuple[AnyTable, ...]:
    if not tables:
        raise ValueError('must name at least 1 attack, such as "pgd"')
    for number, table in enumerate(tables):
        if table in tables[:number]:
            raise ValueError(f"the attack {title(table)} is listed twice")
    return tables


AttackTables = Annotated[tuple[AttackTable, ...], AfterValidator(_distinct)]
"""Attacks, in the order in which they run."""


def attack_of(table: AnyTable) -> Attack:
    """Return the attack that a table describes.

    Raises:
        UserError: foolbox has no such attack, or the attack has no such parameter.
    """
    match table:
        case Pgd():
            from vision_evals.attacks.pgd import ProjectedGradientDescent

            return ProjectedGradientDescent(**table.model_dump(exclude={"name"}))
        case Apgd():
            from vision_evals.attacks.apgd import AutoPGD

            return AutoPGD(**table.model_dump(exclude={"name"}))
    from vision_evals.attacks.foolbox_names import foolbox_attack

    return foolbox_attack(table.name.removeprefix(FOREIGN), dict(table.model_extra or {}))


def hold_norm(tables: tuple[AnyTable, ...], norm: str) -> None:
    """Refuse attacks of foolbox that do not exist or do not support a norm.

    The package's own attacks support every norm: nothing is imported for them.

    Raises:
        ValueError: with the remedy.
    """
    from vision_evals.attacks.attack import check_norm

    for table in tables:
        if isinstance(table, Foolbox):
            try:
                check_norm(attack_of(table), norm)
            except UserError as error:
                raise ValueError(str(error)) from None


def title(table: AnyTable) -> str:
    """Return a short title that differs for each attack of a set: ``pgd, loss dlr, steps 20``."""
    keys = table.model_dump(exclude={"name"}, exclude_defaults=True)
    if not isinstance(table, Foolbox):
        keys["steps"] = table.steps
    return ", ".join([table.name, *(f"{key} {value}" for key, value in keys.items())])
