"""Where the time of a run went."""

from __future__ import annotations

from vision_evals.log.record import Record


class Stage(Record):
    """One kind of work."""

    name: str
    """``load``, ``wait``, ``forward``, ``backward``, ``attack``, ``measure``, ``rows``, ``cache``,
    ``validity``, ``pictures``, ``report``, or in threads ``read``, ``decode``, ``preprocess``."""
    seconds: float
    """Without the stages inside it, which have their own."""
    calls: int
    """How often it started."""
    beside: bool = False
    """Whether threads did it, with their seconds added up: it is not a part of the total."""


class Profile(Record):
    """``--evals-profile``."""

    seconds: float
    """Of the whole run."""
    stages: tuple[Stage, ...]
    """The costliest first, those of threads last."""
    synchronised: bool
    """Whether each stage waited for the device: exact times of a slower run."""
    trace: tuple[str, ...] = ()
    """Files that torch's profiler wrote, of the first batches of each pass."""

    @property
    def rest(self) -> float:
        """Seconds that no stage accounts for."""
        return self.seconds - sum(stage.seconds for stage in self.stages if not stage.beside)
