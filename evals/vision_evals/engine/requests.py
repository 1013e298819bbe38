"""The classifiers that a command line names, and the series that its checkpoints form. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from vision_evals.core.errors import UserError
from vision_evals.models.registry import Registry
from vision_evals.models.request import Request, parse_requests, unique
from vision_evals.suite.expectation import RESERVED, Expectation, Reference
from vision_evals.suite.suite import Suite


@dataclass(frozen=True)
class Requests:
    """All classifiers that somebody asked for, in order."""

    every: tuple[Request, ...]

    @classmethod
    def read(cls, models: Sequence[tuple[str, Path]], registry: Registry) -> Requests:
        """Parse what was typed, and hold it against the model cards.

        Args:
            models: each with the folder that its paths are relative to.
            registry: of cards.

        Raises:
            UserError: a name or an alias is wrong, or a recipe is given a checkpoint.
        """
        asked = [parse_requests(text, base) for text, base in models]
        _refuse_equal_series(asked)
        every = tuple(request for some in asked for request in some)
        unique(every)
        for request in every:
            if request.alias in RESERVED:
                raise UserError(
                    f'no classifier can be called "{request.alias}": thresholds name something '
                    f"else by it; write another alias, such as mine={request.name}"
                )
        for request in every:
            card, _ = registry.card(request.name)
            if card.recipe is not None and request.checkpoint is not None:
                raise UserError(
                    f"{request.name} is trained here by a recipe, and {request.checkpoint} has no "
                    'place in it; give the card of a network, or start = "NAME@PATH" in the recipe'
                )
        return cls(every)

    @cached_property
    def by_alias(self) -> Mapping[str, Request]:
        """Each by its alias."""
        return {request.alias: request for request in self.every}

    @cached_property
    def series(self) -> Mapping[str, tuple[str, ...]]:
        """The aliases of every series by its name."""
        found: dict[str, tuple[str, ...]] = {}
        for request in self.every:
            if request.series is not None:
                found[request.series] = (*found.get(request.series, ()), request.alias)
        return found

    def called(self, name: str) -> tuple[Request, ...]:
        """Return the classifier of that alias and the series of that name, else the card's."""
        found = (request for request in self.every if name in {request.alias, request.series})
        return tuple(found) or (Request(name, name, None),)

    def one(self, alias: str) -> Request:
        """Return the classifier that a threshold names."""
        return self.by_alias.get(alias) or Request(alias, alias, None)

    def with_members(self, suite: Suite) -> Suite:
        """Let ``for = ["alexnet"]`` mean every checkpoint of the series ``alexnet``, too."""
        if not self.series:
            return suite
        checks = []
        for check in suite.checks:
            expect = tuple(_widened(expectation, self.series) for expectation in check.table.expect)
            table = check.table.model_copy(update={"expect": expect})
            checks.append(replace(check, table=table))
        return replace(suite, checks=tuple(checks))


def _widened(expectation: Expectation, series: Mapping[str, Sequence[str]]) -> Expectation:
    """Return an expectation whose ``for`` names the members of each series that it names.

    The member that its threshold is taken from is left out: nothing is asked of it.
    """
    if expectation.for_ is None:
        return expectation
    of = {bound.of for _, bound in expectation.bounds if isinstance(bound, Reference)}
    members = [a for name in expectation.for_ for a in series.get(name, ()) if a not in of]
    aliases = tuple(dict.fromkeys([*expectation.for_, *members]))
    return expectation.model_copy(update={"for_": aliases})


def _refuse_equal_series(asked: Sequence[Sequence[Request]]) -> None:
    """Refuse two patterns whose files would share a line of the report."""
    seen: set[str] = set()
    for request in (some[0] for some in asked):
        if request.series in seen:
            raise UserError(
                f'two series of checkpoints are called "{request.series}"; name one of them, '
                f"as in other={request.name}@PATTERN"
            )
        seen |= {request.series} if request.series is not None else set()
