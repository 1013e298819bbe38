"""One check on one classifier: what is selected, computed and judged. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from vision_evals.measures.measure import Measure
from vision_evals.models.request import Request
from vision_evals.suite.options import Source
from vision_evals.suite.suite import Check, Suite


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
    """Whether the user names this classifier; a default may be missing."""
    trained: bool
    """Whether a recipe trains it, or the check needs no classifier: no pretrained weights."""
    source: Source | None
    """Which images; None for measures without images."""
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
    def measure(self) -> Measure:
        """What is measured."""
        assert isinstance(self.check.spec, Measure)
        return self.check.spec

    @property
    def sources(self) -> tuple[Source, ...]:
        """Its image sets: the images, and those to compare with."""
        return tuple(source for source, _ in self.roles)

    @property
    def roles(self) -> tuple[tuple[Source, str], ...]:
        """Each of its sources, with the name that the suite gives it."""
        table = self.check.table
        named = (self.source, table.images), (self.against, table.against)
        return tuple((source, role or "") for source, role in named if source is not None)

    @property
    def missing(self) -> str | None:
        """Why there are no pictures yet; None where there are."""
        return next((source.missing for source in self.sources if source.missing), None)
