"""Suites under pytest-xdist: one classifier stays in one process, and all of them keep one log.

Imported only where pytest-xdist asks.
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

CHECK = re.compile(r".*\.toml::[A-Za-z0-9._-]+(\[[^\[\]]+\])", re.DOTALL)
"""Id of a check on a classifier."""


DEATHS = 3
"""Processes that one classifier may end."""


def scope(item: str) -> str | None:
    """Return the classifier in the bracket of a check's id; None for any other test's."""
    found = CHECK.fullmatch(item)
    return found.group(1) if found else None


class ByClassifier(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all checks on a classifier to one process, and other tests one by one.

    A network that ends its process loses the check at which it did: the others are given to the
    next one, which asks that network one check at a time.
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
        """Give a process enough to go on: it starts a test when it knows which is next."""
        if node not in self.registered_collections:
            return  # a new one, still collecting: it is given work when it has
        super()._reschedule(node)
        while self.workqueue and not node.shutting_down:
            if self._pending_of(self.assigned_work[node]) > 1:
                return
            self._assign_work_unit(node)
        if not node.shutting_down and not self.workqueue:
            node.shutdown()

    def remove_node(self, node: WorkerController) -> str | None:
        """Take back what a process left, but the check at which it died.

        A classifier at which several died is given up: pytest-xdist replaces so many and no more,
        and the others would lose theirs.
        """
        left: list[tuple[dict[str, bool], str]] = [
            (unit, item)
            for unit in self.assigned_work[node].values()
            for item, done in unit.items()
            if not done
        ]
        if not left:
            super().remove_node(node)
            return None
        unit, item = left[0]
        unit[item] = True
        if (classifier := scope(item)) is not None:
            self._lose(item)
            self._deaths[classifier] += 1
            if self._deaths[classifier] >= DEATHS:
                unit.update(dict.fromkeys(unit, True))
        work = self.assigned_work.pop(node)
        self.workqueue.update({name: unit for name, unit in work.items() if not all(unit.values())})
        for other in self.assigned_work:
            self._reschedule(other)
        return item


class Waiting:
    """xdist's own scheduler until the first collection tells whether there are suites."""

    def __init__(
        self, config: pytest.Config, log: Producer | None, lose: Callable[[str], None]
    ) -> None:
        self._chosen: Any = LoadScheduling(config, log)
        self._suites: Callable[[], Any] = lambda: ByClassifier(config, log, lose)
        self._first = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chosen, name)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # xdist tells people its name
        return type(self._chosen)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Choose by the first collection; the others are the same."""
        if self._first and any(map(scope, collection)):
            nodes = self._chosen.nodes
            self._chosen = self._suites()
            for known in nodes:
                self._chosen.add_node(known)
        self._first = False
        self._chosen.add_node_collection(node, collection)
