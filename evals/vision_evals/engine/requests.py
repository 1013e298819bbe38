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
    """The classifiers that the command line names, in order."""

    ordered: tuple[Request, ...]

    @classmethod
    def read(cls, models: Sequence[tuple[str, Path]], registry: Registry) -> Requests:
        """Parse what was typed, and check it against the model cards.

        Args:
            models: each with the folder that its paths are relative to.
            registry: of cards.

        Raises:
            UserError: a name or an alias is wrong, or a recipe is given a checkpoint.
        """
        request_groups = [parse_requests(text, base) for text, base in models]
        _refuse_equal_series(request_groups)
        requests = tuple(request for group in request_groups for request in group)
        unique(requests)
        for request in requests:
            if request.alias in RESERVED:
                raise UserError(
                    f'no classifier can be called "{request.alias}": thresholds name something '
                    f"else by it; write another alias, such as mine={request.name}"
                )
        for request in requests:
            card, _ = registry.card(request.name)
            if card.recipe is not None and request.checkpoint is not None:
                raise UserError(
                    f"{request.name} is trained here by a recipe, and {request.checkpoint} has no "
                    'place in it; give the card of a network, or start = "NAME@PATH" in the recipe'
                )
        return cls(requests)

    @cached_property
    def by_alias(self) -> Mapping[str, Request]:
        """Each by its alias."""
        return {request.alias: request for request in self.ordered}

    @cached_property
    def series(self) -> Mapping[str, tuple[str, ...]]:
        """The aliases of every series by its name."""
        aliases: dict[str, tuple[str, ...]] = {}
        for request in self.ordered:
            if request.series is not None:
                aliases[request.series] = (*aliases.get(request.series, ()), request.alias)
        return aliases

    def matching(self, name: str) -> tuple[Request, ...]:
        """Return the classifier of that alias and the series of that name, else of the card."""
        matches = (request for request in self.ordered if name in {request.alias, request.series})
        return tuple(matches) or (Request(name, name, None),)

    def one(self, alias: str) -> Request:
        """Return the classifier that a threshold names."""
        return self.by_alias.get(alias) or Request(alias, alias, None)

    def with_series_members(self, suite: Suite) -> Suite:
        """Let ``for = ["alexnet"]`` also mean every checkpoint of the series ``alexnet``."""
        if not self.series:
            return suite
        checks = []
        for check in suite.checks:
            expect = tuple(map(self._with_members, check.table.expect))
            table = check.table.model_copy(update={"expect": expect})
            checks.append(replace(check, table=table))
        return replace(suite, checks=tuple(checks))

    def _with_members(self, expectation: Expectation) -> Expectation:
        """Return an expectation whose ``for`` names the members of each series that it names.

        The member that its threshold is taken from is left out: it is not judged.
        """
        names = expectation.for_
        if names is None:
            return expectation
        references = {bound.of for _, bound in expectation.bounds if isinstance(bound, Reference)}
        members = (alias for name in names for alias in self.series.get(name, ()))
        judged = [alias for alias in members if alias not in references]
        aliases = tuple(dict.fromkeys([*names, *judged]))
        return expectation.model_copy(update={"for_": aliases})


def _refuse_equal_series(request_groups: Sequence[Sequence[Request]]) -> None:
    """Refuse two series of one name: they would share a line of the report."""
    names: set[str] = set()
    for request in (group[0] for group in request_groups):
        if request.series in names:
            raise UserError(
                f'two series of checkpoints are called "{request.series}"; name one of them, '
                f"as in other={request.name}@PATTERN"
            )
        names |= {request.series} if request.series is not None else set()
