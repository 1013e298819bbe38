"""A self-test: what was broken on purpose, and what noticed."""

from __future__ import annotations

from vision_evals.log.record import Record


class Notice(Record):
    """What noticed a mutant."""

    item: str
    """Id of the item."""
    check: str
    """Name of its check."""
    classifier: str
    """Alias of its classifier."""
    name: str
    """Metric, or validity check."""
    sentence: str
    """What it said, numbers first."""

    @property
    def noticed(self) -> str:
        """What noticed, in words: ``photographs[alexnet]: top1_accuracy``."""
        return f"{self.check}[{self.classifier}]: {self.name}"


class Mutant(Record):
    """A classifier broken on purpose, and whether the suites noticed."""

    name: str
    """Such as ``bgr``."""
    about: str
    """What was broken, in words."""
    classifier: str
    """Alias of the classifier that was broken."""
    inapplicable: str | None = None
    """Why it cannot be broken this way, if it cannot: the mutant then leaves the rate."""
    behaviour: Notice | None = None
    """An expectation of a metric that held before and fell, every validity check set aside."""
    structure: Notice | None = None
    """A validity check that held before and fell."""
    suites: tuple[str, ...] = ()
    """Which were asked, in this order, until both had noticed."""
    excuse: str | None = None
    """Why it is known to survive."""
    required: bool = False
    """Whether ``suites/mutants.toml`` says that it must not survive."""
    seconds: float = 0.0
    """Spent on it."""

    @property
    def killed(self) -> bool:
        """Whether anything noticed."""
        return self.behaviour is not None or self.structure is not None
