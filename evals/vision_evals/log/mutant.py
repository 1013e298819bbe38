"""A self-test: mutants, and the checks that noticed them."""

from __future__ import annotations

from vision_evals.log.record import Record


class Notice(Record):
    """The check that noticed a mutant."""

    item: str
    """Id of the item."""
    check: str
    """Name of its check."""
    classifier: str
    """Alias of its classifier."""
    name: str
    """Metric, or validity check."""
    sentence: str
    """Its sentence, numbers first."""

    @property
    def noticed(self) -> str:
        """The check in words: ``photographs[alexnet]: top1_accuracy``."""
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
    """Why it cannot be broken this way, if so: the mutant then does not count in the rate."""
    behaviour: Notice | None = None
    """An expectation of a metric that passed before and now fails, without validity checks."""
    structure: Notice | None = None
    """A validity check that passed before and now fails."""
    suites: tuple[str, ...] = ()
    """Suites that ran, in this order, until both had noticed."""
    excuse: str | None = None
    """Why it is known to survive."""
    required: bool = False
    """Whether ``suites/mutants.toml`` says that it must not survive."""
    seconds: float = 0.0
    """Spent on it."""

    @property
    def killed(self) -> bool:
        """Whether any check noticed."""
        return self.behaviour is not None or self.structure is not None
