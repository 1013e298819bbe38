"""From a suite to jobs: which classifiers and images each check is about. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.classifiers.registry import Registry, Request, parse_request, unique
from evals.errors import UserError, did_you_mean
from evals.images.sources import BUILT_IN
from evals.measures import lookup
from evals.options import DEFAULT_ROLE, Options, Source
from evals.suite import Check, Suite, parse

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
    source: Source
    """Which images."""
    against: Source | None
    """Which images to compare with."""

    @property
    def alias(self) -> str:
        """Of the classifier."""
        return self.request.alias

    @property
    def missing(self) -> str | None:
        """Why there are no pictures, until somebody names them."""
        return self.source.missing or (self.against.missing if self.against else None)


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
        requests = tuple(parse_request(text, base) for text, base in options.models)
        unique(requests)
        for request in requests:
            registry.card(request.name)
        return cls(options, registry, requests)

    def suite(self, file: Path, path: str) -> Suite:
        """Read a suite, and hold every name in it against what there is."""
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: cannot be read as UTF-8: {error}; save it as UTF-8") from None
        suite = parse(text, path, lambda name: lookup(name, file.parent))
        aliases = {request.alias for request in self.requests}
        for name in sorted({*suite.models, *suite.references()}):
            if name not in aliases:
                self._known(name, path, aliases)
        for check in suite.checks:
            for name in check.table.models or ():
                self._known(name, f'{path}:{check.line}, check "{check.name}"', aliases)
        return suite

    def requests_of(self, suite: Suite, check: Check) -> tuple[tuple[Request, bool], ...]:
        """Return the classifiers of a check, and whether somebody named them."""
        by_alias = {request.alias: request for request in self.requests}
        if check.table.models is not None:
            names, named = check.table.models, True
        elif self.requests:
            return tuple((request, True) for request in self.requests)
        else:
            names, named = suite.models or DEFAULTS, False
        return tuple((by_alias.get(name) or Request(name, name, None), named) for name in names)

    def sources(self, suite: Suite, check: Check, folder: Path) -> tuple[Source, Source | None]:
        """Return what the check's roles stand for: the images, and those to compare with."""
        against = check.table.against
        where = f'{suite.path}:{check.line}, check "{check.name}"'
        return (
            self._source(suite, check.table.images, folder, where),
            None if against is None else self._source(suite, against, folder, where),
        )

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
            self.registry.card(name)
        except UserError as error:
            near = did_you_mean(name, aliases) if aliases else ""
            raise UserError(f'{where}: classifier "{name}": {error}{near}') from None


def source_of(text: str, base: Path) -> Source:
    """Return the place a source is written for; whether it is there is seen when it is loaded."""
    if text in BUILT_IN:
        return Source(text, text)
    return Source(text, os.path.normpath(base / Path(text).expanduser()))
