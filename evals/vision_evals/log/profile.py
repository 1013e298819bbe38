"""Where the time of a run went."""

from __future__ import annotations

from vision_evals.log.record import Record


class Stage(Record):
    """One kind of work."""

    name: str
    """``load``, ``wait``, ``forward``, ``backward``, ``attack``, ``measure``, ``rows``, ``cache``,
    ``validity``, ``pictures``, ``report``, or beside them ``read``, ``decode``, ``preprocess``."""
    seconds: float
    """Of its own: what another stage did within it is that one's."""
    calls: int
    """How often it began."""
    beside: bool = False
    """Whether threads did it, their seconds added up: then it is no part of the total."""


class Profile(Record):
    """``--evals-profile``."""

    seconds: float
    """Of the whole run; what no stage accounts for is the rest."""
    stages: tuple[Stage, ...]
    """The costliest first, those of threads last."""
    synchronised: bool
    """Whether the device was waited for at every border: honest times of a slower run."""
    trace: tuple[str, ...] = ()
    """Files that torch's profiler wrote, of the first batches of each pass."""

    @property
    def rest(self) -> float:
        """Seconds that no stage accounts for."""
        return self.seconds - sum(stage.seconds for stage in self.stages if not stage.beside)
