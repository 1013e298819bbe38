"""Who gets which test: the scheduler without processes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdist.scheduler import LoadScheduling

from vision_evals.plugin.scheduler import MAX_DEATHS, ByClassifier, Waiting, scope


class Node:
    """A worker that keeps what it is given."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name, spec=name)
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def config(workers: int) -> Any:
    """Return what the schedulers ask of pytest's configuration."""
    values = {"tx": ["popen"] * workers, "maxschedchunk": None}
    return SimpleNamespace(
        getvalue=values.get,
        getoption=values.get,
        option=SimpleNamespace(loadscopereorder=True),
        hook=None,
    )


def started(ids: list[str], workers: int) -> tuple[Any, list[Node], list[str]]:
    lost: list[str] = []
    scheduler: Any = Waiting(config(workers), None, lost.append)
    nodes = [Node(f"gw{i}") for i in range(workers)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, ids)
    scheduler.schedule()
    return scheduler, nodes, lost


def run(scheduler: Any, nodes: list[Node]) -> dict[str, list[int]]:
    """Let all nodes work until nobody is left with anything, and return who ran what."""
    ran: dict[str, list[int]] = {node.gateway.id: [] for node in nodes}
    going = True
    while going:
        going = False
        for node in nodes:
            # a worker begins a test when it knows the next one, or that there is none
            if len(node.given) > 1 or (node.given and node.shutting_down):
                index = node.given.pop(0)
                ran[node.gateway.id].append(index)
                scheduler.mark_test_complete(node, index)
                going = True
            elif node.given and scheduler.tests_finished:
                node.shutdown()
                going = True
    return ran


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("suites/fgsm.toml::one-step[alexnet]", "[alexnet]"),
        ("fgsm.toml::a[my-net.2]", "[my-net.2]"),
        ("tests/test_it.py::test_it[alexnet]", None),
        ("tests/test_it.py::test_it", None),
        ("a.toml::b", None),
        ("a.toml::b[c][d]", None),
        ("a.toml::b[]", None),
    ],
)
def test_the_classifier_in_an_id(item: str, found: str | None) -> None:
    assert scope(item) == found


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 9), st.integers(1, 5))
def test_a_classifier_stays_on_one_worker(sizes: list[int], plain: int, workers: int) -> None:
    ids = [f"s.toml::c{i}[net{n}]" for n, size in enumerate(sizes) for i in range(size)]
    ids += [f"t.py::test[{i}]" for i in range(plain)]
    scheduler, nodes, _ = started(ids, workers)
    assert isinstance(scheduler, ByClassifier)
    ran = run(scheduler, nodes)
    assert sorted(index for done in ran.values() for index in done) == list(range(len(ids)))
    where: dict[str, set[str]] = {}
    for node, done in ran.items():
        for index in done:
            where.setdefault(scope(ids[index]) or ids[index], set()).add(node)
    assert all(len(nodes) == 1 for nodes in where.values())


@given(st.integers(0, 30), st.integers(1, 4))
def test_without_suites_it_is_xdists_own(plain: int, workers: int) -> None:
    ids = [f"t.py::test[{i}]" for i in range(plain)]
    scheduler, nodes, _ = started(ids, workers)
    assert scheduler.__class__ is LoadScheduling
    own: Any = LoadScheduling(config(workers))
    others = [Node(f"gw{i}") for i in range(workers)]
    for node in others:
        own.add_node(node)
    for node in others:
        own.add_node_collection(node, ids)
    own.schedule()
    assert [node.given for node in nodes] == [node.given for node in others]


def replaced(scheduler: Any, nodes: list[Node], dead: Node, ids: list[str]) -> str | None:
    """Let a worker die, and put a new one in its place."""
    crashed: str | None = scheduler.remove_node(dead)
    nodes.remove(dead)
    new = Node(f"{dead.gateway.id}'")
    nodes.append(new)
    scheduler.add_node(new)
    scheduler.schedule()  # another worker may have collected in between
    assert not new.given
    scheduler.add_node_collection(new, ids)
    scheduler.schedule()
    return crashed


def test_a_worker_that_dies_loses_one_item() -> None:
    ids = [f"s.toml::c{i}[{net}]" for net in ("a", "b") for i in range(3)]
    scheduler, nodes, lost = started(ids, 2)
    victim = nodes[0]
    assert replaced(scheduler, nodes, victim, ids) == "s.toml::c0[a]"
    assert lost == ["s.toml::c0[a]"]
    ran = run(scheduler, nodes)
    assert sorted(index for done in ran.values() for index in done) == [1, 2, 3, 4, 5]


def test_a_classifier_that_always_dies_is_given_up() -> None:
    ids = [f"s.toml::c{i}[bad]" for i in range(9)] + ["s.toml::c[good]", "s.toml::d[fine]"]
    scheduler, nodes, lost = started(ids, 1)
    done = []
    for _ in range(MAX_DEATHS):
        (node,) = nodes
        while scope(ids[node.given[0]]) != "[bad]":
            done.append(node.given.pop(0))
            scheduler.mark_test_complete(node, done[-1])
        replaced(scheduler, nodes, node, ids)
    assert lost == [f"s.toml::c{i}[bad]" for i in range(MAX_DEATHS)]
    ran = run(scheduler, nodes)
    assert sorted([*done, *(index for some in ran.values() for index in some)]) == [9, 10]
