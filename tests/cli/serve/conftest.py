"""Folders of runs, and a real server over them."""

from __future__ import annotations

import http.client
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vision_evals import log
from vision_evals.cli.serve.folder import Folder
from vision_evals.cli.serve.pages import Pages
from vision_evals.cli.serve.server import Server
from vision_evals.log import Verdict


def metric(value: float | None, name: str = "top1_accuracy", **more: Any) -> log.Metric:
    fields: dict[str, Any] = {
        "name": name, "value": value, "unit": "fraction", "n": 20, "denominator": "images",
        "about": "Share of images.", "method": "wilson", "confidence": 0.95,
        "low": None if value is None else value - 0.1,
        "high": None if value is None else value + 0.1,
    }  # fmt: skip
    return log.Metric(**fields | more)


def item(alias: str, *metrics: log.Metric, **more: Any) -> log.Item:
    """An item whose first metric an expectation is about."""
    judged = tuple(
        log.Judgement(
            metric=one.name, at=one.at, side="at_least", threshold=0.1, value=one.value,
            verdict=Verdict.PASSED, sentence="s",
        )
        for one in metrics[:1]
    )  # fmt: skip
    fields: dict[str, Any] = {
        "id": f"a.toml::c[{alias}]", "suite": "a.toml", "check": "c", "classifier": alias,
        "measure": "accuracy", "images": "photographs", "verdict": Verdict.PASSED,
        "sentence": "s", "metrics": metrics, "judgements": judged, "parameters": {"steps": 10},
    }  # fmt: skip
    return log.Item(**fields | more)


def images(**more: Any) -> log.ImageSet:
    fields: dict[str, Any] = {
        "role": "photographs", "source": "s", "n": 20, "total": 20, "fingerprint": "f" * 64,
    }  # fmt: skip
    return log.ImageSet(**fields | more)


def run(day: int, *items: log.Item, **more: Any) -> log.Run:
    fields: dict[str, Any] = {
        "id": f"202611{day:02}T081720-7f3a", "status": "finished",
        "started": f"2026-11-{day:02}T08:17:20+00:00", "seconds": 83.0,
        "command": "pytest suites/",
        "settings": log.Settings(device="cpu", device_name="p", batch_size=1),
        "environment": log.Environment(
            versions={}, platform="Linux", threads=1, commit="54ecae2" + "0" * 33, dirty=True
        ),
        "suites": (log.Suite(path="a.toml", title="Accuracy"),),
        "items": items, "image_sets": (images(),),
    }  # fmt: skip
    return log.Run(**fields | more)


def keep(folder: Path, *runs: log.Run) -> Path:
    """Write runs as sessions do."""
    for one in runs:
        (folder / one.id).mkdir(parents=True)
        log.write(one, folder / one.id)
    return folder


class Client:
    """Requests to a server, byte for byte as they are written."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, path: str, method: str = "GET", host: str | None = "localhost", **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {**({} if host is None else {"Host": host}), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        connection.close()
        return answer, text


@pytest.fixture
def made() -> ModuleType:
    """This module: with importlib mode a test cannot import its conftest by name."""
    return sys.modules[__name__]


@pytest.fixture
def serving() -> Iterator[Callable[..., Client]]:
    servers: list[Server] = []

    def serve(folder: Path, templates: Path | None = None) -> Client:
        server = Server(Pages(Folder(folder), templates), 0)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return Client(server.server_port)

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
