"""From a suite to jobs: which classifiers and images each check is about. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vision_evals.core.errors import UnavailableError, UserError, did_you_mean
from vision_evals.images.sources import BUILT_IN
from vision_evals.measures import lookup
from vision_evals.models.card import Card
from vision_evals.models.registry import Registry, Request, parse_request, parse_requests, unique
from vision_evals.suite.expectation import RESERVED, Expectation, Reference
from vision_evals.suite.options import DEFAULT_ROLE, Options, Source
from vision_evals.suite.parse import parse
from vision_evals.suite.suite import Check, Suite

DEFAULTS = ("squeezenet1_1_caffe", "efficientnet_lite0")
"""Judged when nobody says otherwise."""

ROLES = {DEFAULT_ROLE: "imagenet_samples", "art": "art_samples"}
"""What a role stands for when nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Job:
    """One check on one classifier: one pytest item."""

    id: str
    """pytest's node id."""
    suite: Suite
    check: Check
    request: Request
    """Which classifier."""
    named: bool
    """Whether somebody asked for this classifier; a default may be missing."""
    trained: bool
    """Whether a recipe trains this classifier, or it is none at all: nothing that came trained."""
    source: Source | None
    """Which images; none for measures that look at none."""
    against: Source | None
    """Which images to compare with."""

    @property
    def name(self) -> str:
        """The part of its id that names check and classifier."""
        return self.id.removeprefix(f"{self.suite.path}::")

    @property
    def alias(self) -> str:
        """Of the classifier."""
        return self.request.alias

    @property
    def missing(self) -> str | None:
        """Why there are no pictures, until somebody names them."""
        named = [source for source in (self.source, self.against) if source is not None]
        return next((source.missing for source in named if source.missing), None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """What can be selected from: options, model cards, and the command line's classifiers."""

    options: Options
    registry: Registry
    requests: tuple[Request, ...]

    @classmethod
    def read(cls, options: Options) -> Catalog:
        """Read cards and requests.

        Raises:
            UserError: a card, a name or an alias is wrong.
        """
        cards = options.cards
        registry = Registry.read(options.table.models, cards, options.root)
        asked = [parse_requests(text, base) for text, base in options.models]
        _one_series_a_name(asked)
        requests = tuple(request for some in asked for request in some)
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
        return cls(options, registry, requests)

    def suite(self, file: Path, path: str) -> Suite:
        """Read a suite, and hold every name in it against what there is."""
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as UTF-8: {error}; save it as UTF-8") from None
        suite = parse(text, path, lambda name: lookup(name, file.parent))
        suite = self._with_members(suite)
        aliases = {request.alias for request in self.requests}
        named = {alias for check in suite.checks for alias in check.references(None)}
        series = self._series().keys() - named
        for name in sorted({*suite.models, *suite.references()}):
            if name not in aliases | series:
                self._known(name, path, aliases)
        for check in suite.checks:
            for name in check.table.models or ():
                self._known(name, f'{path}:{check.line}, check "{check.name}"', aliases)
        return suite

    def jobs(self, suite: Suite, folder: Path) -> Iterator[Job]:
        """Yield a job for each check and classifier of a suite that lies in ``folder``."""
        for check in suite.checks:
            images = self.sources(suite, check, folder)
            for request, named in self.requests_of(suite, check):
                name = f"{suite.path}::{check.name}[{request.alias}]"
                trained = self.trained(check, request)
                yield Job(name, suite, check, request, named, trained, *images)

    def requests_of(self, suite: Suite, check: Check) -> tuple[tuple[Request, bool], ...]:
        """Return the classifiers of a check, and whether somebody named them."""
        if check.spec.subject is not None:
            return ((Request(check.spec.subject, "", None), False),)
        if check.table.models is not None:
            names, named = check.table.models, True
        elif self.requests:
            return tuple((request, True) for request in self.requests)
        else:
            names, named = suite.models or DEFAULTS, False
        return tuple((request, named) for name in names for request in self._called(name))

    def _called(self, name: str) -> tuple[Request, ...]:
        """Return the classifier of that alias and the series of that name, else the card's."""
        found = (request for request in self.requests if name in {request.alias, request.series})
        return tuple(found) or (Request(name, name, None),)

    def _series(self) -> dict[str, tuple[str, ...]]:
        """Return the aliases of every series by its name."""
        found: dict[str, tuple[str, ...]] = {}
        for request in self.requests:
            if request.series is not None:
                found[request.series] = (*found.get(request.series, ()), request.alias)
        return found

    def _with_members(self, suite: Suite) -> Suite:
        """Let ``for = ["alexnet"]`` mean every checkpoint of the series ``alexnet``, too."""
        series = self._series()
        if not series:
            return suite
        checks = []
        for check in suite.checks:
            expect = tuple(_widened(expectation, series) for expectation in check.table.expect)
            table = check.table.model_copy(update={"expect": expect})
            checks.append(replace(check, table=table))
        return replace(suite, checks=tuple(checks))

    def trained(self, check: Check, request: Request) -> bool:
        """Return whether a check is about nothing that came trained: a recipe, or a formula."""
        if check.spec.subject is not None:
            return True
        return self.registry.card(request.name)[0].recipe is not None

    def aside(self, job: Job) -> bool:
        """Return whether a job is left out while the command line names classifiers.

        Who gates a checkpoint does not want to train sixteen networks beside it, nor to be told
        that something passed when nothing of it was asked.
        """
        if not self.requests or self.options.table.recipes or not job.trained:
            return False
        return job.request not in self.requests

    def sources(
        self, suite: Suite, check: Check, folder: Path
    ) -> tuple[Source | None, Source | None]:
        """Return what the check's roles stand for: the images, and those to compare with."""
        where = f'{suite.path}:{check.line}, check "{check.name}"'
        images, against = (
            None if role is None else self._source(suite, role, folder, where)
            for role in (check.table.images, check.table.against)
        )
        return images, against

    def _source(self, suite: Suite, role: str, folder: Path, where: str) -> Source:
        """Look a role up: command line or options, suite, default, in this order.

        A role of none of them may be one that the suite calls unavailable.
        """
        if role in self.options.images:
            return source_of(*self.options.images[role])
        if role in suite.images:
            return source_of(suite.images[role], folder)
        if role in ROLES:
            return source_of(ROLES[role], folder)
        if role in suite.unavailable:
            reason = f"{suite.unavailable[role]}; name the picture with --evals-images {role}=FILE"
            return Source(role, "", missing=reason)
        known = {*self.options.images, *suite.images, *ROLES}
        raise UserError(
            f'{where}: nothing says what images "{role}" are{did_you_mean(role, known)}; '
            f'write {role} = "FOLDER" under [images], or --evals-images {role}=FOLDER'
        )

    def unused_roles(self, suites: Iterable[Suite]) -> None:
        """Refuse a role on the command line that no collected check is about."""
        roles = {role for suite in suites for role in suite.roles()}
        for role in sorted(self.options.typed - roles):
            raise UserError(
                f'--evals-images {role}=...: no check is about "{role}"{did_you_mean(role, roles)}'
            )

    def request(self, alias: str) -> Request:
        """Return the classifier that a threshold names."""
        by_alias = {request.alias: request for request in self.requests}
        return by_alias.get(alias) or Request(alias, alias, None)

    def _known(self, name: str, where: str, aliases: Sequence[str] | set[str]) -> None:
        try:
            card, base = self.registry.card(name)
        except UserError as error:
            near = did_you_mean(name, aliases) if aliases else ""
            if members := self._series().get(name):
                near = f"; it is a series: name one of its checkpoints, such as {members[-1]}"
            raise UserError(f'{where}: classifier "{name}": {error}{near}') from None
        if card.recipe is not None:
            self._trainable(card, name, base, where)

    def _has_weights(self, start: str, base: Path) -> None:
        card, _ = self.registry.card(parse_request(start, base).name)
        if card.recipe is not None:
            raise UserError(
                f'start = "{start}" is a recipe itself; start from a network that has weights, or '
                "save what it trained as a checkpoint and give that a card"
            )

    def _trainable(self, card: Card, name: str, base: Path, where: str) -> None:
        """Hold a recipe against what there is; data that is not here is said when it is needed."""
        from vision_evals.models import training

        try:
            if card.start is not None:
                self._has_weights(card.start, base)
            training.check(card, name, base)
        except UnavailableError:
            return
        except UserError as error:
            raise UserError(f'{where}: classifier "{name}": {error}') from None


def source_of(text: str, base: Path) -> Source:
    """Return the place a source is written for; whether it is there is seen when it is loaded."""
    if text in BUILT_IN:
        return Source(text, text)
    return Source(text, os.path.normpath(base / Path(text).expanduser()))


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


def _one_series_a_name(asked: Iterable[Sequence[Request]]) -> None:
    """Refuse two patterns whose files would share a line of the report."""
    seen: set[str] = set()
    for request in (some[0] for some in asked):
        if request.series in seen:
            raise UserError(
                f'two series of checkpoints are called "{request.series}"; name one of them, '
                f"as in other={request.name}@PATTERN"
            )
        seen |= {request.series} if request.series is not None else set()
