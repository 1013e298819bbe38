"""From a suite to jobs: the classifiers and images of each check. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vision_evals.core.errors import UnavailableError, UserError, did_you_mean
from vision_evals.core.tables import toml_text
from vision_evals.engine.requests import Requests
from vision_evals.engine.roles import sources
from vision_evals.measures import lookup
from vision_evals.models.card import Card
from vision_evals.models.registry import Registry
from vision_evals.models.request import Request, parse_request
from vision_evals.suite.expectation import Reference
from vision_evals.suite.options import Options, require_own_table
from vision_evals.suite.parse import parse
from vision_evals.suite.suite import Check, Suite
from vision_evals.verdict.job import Job

DEFAULTS = ("squeezenet1_1_caffe", "efficientnet_lite0")
"""Classifiers that are judged if none is named."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be selected from: options, model cards, and the command line's classifiers."""

    options: Options
    registry: Registry
    named: Requests
    """The classifiers that the command line names."""

    @classmethod
    def read(cls, options: Options) -> Catalog:
        """Read cards and requests.

        Raises:
            UserError: a card, a name or an alias is wrong.
        """
        registry = Registry.read(
            options.table.models, options.cards, options.root, options.pyproject
        )
        return cls(options, registry, Requests.read(options.models, registry))

    @property
    def requests(self) -> tuple[Request, ...]:
        """The classifiers that the command line names."""
        return self.named.ordered

    def suite(self, file: Path, path: str) -> Suite:
        """Read a suite, and check every name in it."""
        text = toml_text(file)
        try:
            require_own_table(self.options, file.absolute())
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        suite = parse(text, path, lambda name: lookup(name, file.parent))
        suite = self.named.with_series_members(suite)
        self._check_classifiers(suite)
        return suite

    def _check_classifiers(self, suite: Suite) -> None:
        """Check every classifier that a suite names against model cards and command line.

        Raises:
            UserError: one of them does not exist, or is a recipe that cannot be trained.
        """
        referenced = {alias for check in suite.checks for alias in check.references(None)}
        typed = self.named.by_alias.keys() | (self.named.series.keys() - referenced)
        for name in sorted({*suite.models, *suite.references()} - typed):
            self._check_classifier(name, suite.path)
        for check in suite.checks:
            where = f'{suite.path}:{check.line}, check "{check.name}"'
            for name in check.table.models or ():
                self._check_classifier(name, where)
            self._check_held(suite, check, where)

    def _check_held(self, suite: Suite, check: Check, where: str) -> None:
        """Refuse an expectation that none of the check's own classifiers has to meet.

        Raises:
            UserError: ``for`` names none of them, or the only one is compared with itself.
        """
        if check.spec.subject is not None or not (
            check.table.models or (suite.models and not self.requests)
        ):
            return
        judged = [request.alias for request, _ in self._requests_of(suite, check)]
        for number, expectation in enumerate(check.table.expect, 1):
            needs = check.spec.metric(expectation.metric).needs
            listed = getattr(check.parameters, needs or "", judged)
            held = [a for a in judged if a in (expectation.for_ or judged) and a in listed]
            if not held:
                raise UserError(
                    f"{where}, expect {number}: holds none of {', '.join(judged)}, which are "
                    f"judged here; name one of them in `for`{f' and `{needs}`' if needs else ''}"
                )
            if any(isinstance(b, Reference) and held == [b.of] for _, b in expectation.bounds):
                raise UserError(
                    f"{where}, expect {number}: {held[0]} is only compared with itself, which "
                    "nothing can fail; name another classifier in `models` or `of`"
                )

    def _check_classifier(self, name: str, where: str) -> None:
        try:
            card, base = self.registry.card(name)
        except UserError as error:
            hint = did_you_mean(name, self.named.by_alias)
            if members := self.named.series.get(name):
                hint = f"; it is a series: name one of its checkpoints, such as {members[-1]}"
            first, *more = error.args
            raise UserError(f'{where}: classifier "{name}": {first}{hint}', *more) from None
        if card.recipe is not None:
            try:
                self._check_recipe(card, name, base)
            except UnavailableError:
                return  # missing data is reported when it is needed
            except UserError as error:
                raise UserError(f'{where}: classifier "{name}": {error}') from None

    def _check_recipe(self, card: Card, name: str, base: Path) -> None:
        """Check a recipe, and the network that it starts from."""
        from vision_evals.models.training.checks import check_recipe

        if card.start is not None:
            start, _ = self.registry.card(parse_request(card.start, base).name)
            if start.recipe is not None:
                raise UserError(
                    f'start = "{card.start}" is a recipe itself; start from a network that has '
                    "weights, or save what it trained as a checkpoint and give that a card"
                )
        check_recipe(card, name, base)

    def jobs(self, suite: Suite, folder: Path) -> Iterator[Job]:
        """Yield a job for each check and classifier of a suite in ``folder``."""
        for check in suite.checks:
            images = sources(self.options, suite, check, folder)
            for request, named in self._requests_of(suite, check):
                name = f"{suite.path}::{check.name}[{request.alias}]"
                formula = check.spec.subject is not None
                trained = formula or self.registry.card(request.name)[0].recipe is not None
                yield Job(name, suite, check, request, named, trained, *images)

    def _requests_of(self, suite: Suite, check: Check) -> tuple[tuple[Request, bool], ...]:
        """Return the classifiers of a check, and whether the check or the command names them."""
        if check.spec.subject is not None:
            return ((Request(check.spec.subject, "", None), False),)
        if check.table.models is not None:
            names, named = check.table.models, True
        elif self.requests:
            return tuple((request, True) for request in self.requests)
        else:
            names, named = suite.models or DEFAULTS, False
        return tuple((request, named) for name in names for request in self.named.matching(name))

    def left_out(self, job: Job) -> bool:
        """Return whether a job is left out because the command line names classifiers.

        A gate on a checkpoint must not train sixteen recipes, nor pass because of their checks.
        """
        if not self.requests or self.options.table.recipes or not job.trained:
            return False
        return job.request not in self.requests

    def refuse_unused_roles(self, suites: Iterable[Suite]) -> None:
        """Refuse a role on the command line that no collected check uses."""
        roles = {role for suite in suites for role in suite.roles()}
        for role in sorted(self.options.typed - roles):
            raise UserError(
                f'--evals-images {role}=...: no check uses "{role}"{did_you_mean(role, roles)}'
            )

    def request(self, alias: str) -> Request:
        """Return the classifier that a threshold names."""
        return self.named.one(alias)
