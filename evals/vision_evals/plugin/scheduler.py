"""Scheduling of suites under pytest-xdist: all checks on a classifier run in one process.

Imported only for pytest-xdist.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScheduling, LoadScopeScheduling
from xdist.workermanage import WorkerController

CHECK_ID = re.compile(r".*\.toml::[A-Za-z0-9._-]+(\[[^\[\]]+\])", re.DOTALL)
"""Id of a check on a classifier."""


MAX_DEATHS = 3
"""Processes that one classifier may crash."""


def scope(item: str) -> str | None:
    """Return the classifier in the bracket of a check's id; None for any other test's."""
    match = CHECK_ID.fullmatch(item)
    return match.group(1) if match else None


class ByClassifier(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all checks on a classifier to one process, and other tests one by one.

    A network that crashes its process loses the check that was running: the others are given to the
    next process, which runs one pass per check of that network.
    """

    def __init__(
        self, config: pytest.Config, log: Producer | None, lose: Callable[[str], None]
    ) -> None:
        super().__init__(config, log)
        self._lose = lose
        self._deaths: Counter[str] = Counter()

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid) or nodeid

    def _reschedule(self, node: WorkerController) -> None:
        """Give a process at least two tests: it starts one only when it knows the next."""
        if node not in self.registered_collections:
            return  # a new one, which gets work when it has collected
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down:
            if self._pending_of(self.assigned_work[node]) > 1:
                return
            self._assign_work_unit(node)
        if not node.shutting_down and not self.workqueue:
            node.shutdown()

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back the unfinished work of a process, without the check at which it died.

        A classifier that crashed several processes is given up: pytest-xdist replaces a limited
        number of processes, which the other classifiers need.
        """
        unfinished: list[tuple[dict[str, bool], str]] = [
            (unit, item)
            for unit in self.assigned_work[node].values()
            for item, finished in unit.items()
            if not finished
        ]
        if not unfinished:
            super().remove_node(node)
            return None
        unit, item = unfinished[0]
        unit[item] = True
        if (classifier := scope(item)) is not None:
            self._lose(item)
            self._deaths[classifier] += 1
            if self._deaths[classifier] >= MAX_DEATHS:
                unit.update(dict.fromkeys(unit, True))
        work = self.assigned_work.pop(node)
        self.workqueue.update({name: unit for name, unit in work.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return item


class Waiting:
    """xdist's own scheduler until the first collection shows whether there are suites."""

    def __init__(
        self, config: pytest.Config, log: Producer | None, lose: Callable[[str], None]
    ) -> None:
        self._chosen: Any = LoadScheduling(config, log)
        self._suites: Callable[[], Any] = lambda: ByClassifier(config, log, lose)
        self._first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # xdist shows its name
        return type(self._chosen)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Choose by the first collection; the others are the same."""
        if self._first and any(map(scope, collection)):
            nodes = self._chosen.nodes
            self._chosen = self._suites()
            for earlier in nodes:
                self._chosen.add_node(earlier)
        self._first = False
        self._chosen.add_node_collection(node, collection)
