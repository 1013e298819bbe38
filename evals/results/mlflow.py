"""A run as MLflow knows runs: a parent for the run, a child for each classifier.

The child is what people compare in MLflow's interface: names of metrics say nothing of the
classifier, so checkpoints share their columns. By ``MlflowClient`` with an address of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from evals.errors import UserError
from evals.log import Classifier, Item, Metric, Run, Verdict
from evals.results.escape import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

T = TypeVar("T")

EXPERIMENT = "vision-evals"
"""Where runs go unless ``MLFLOW_EXPERIMENT_NAME`` says otherwise."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of stores that ``mlflow-skinny`` comes without."""

KEY, VALUE, BATCH = 250, 6000, 100
"""MLflow's limits: characters of a name and of a parameter, entries of a request."""


def record(run: Run, directory: Path, report: Path | None, uri: str) -> str:
    """Log a run, and return the id of its parent.

    Raises:
        UserError: MLflow is missing, or refused, in its words.
    """
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(
            f"MLflow is not installed ({error}); pip install 'vision-evals[mlflow]'"
        ) from None
    if uri.partition(":")[0].partition("+")[0] in DATABASES and find_spec("sqlalchemy") is None:
        raise UserError("a database needs SQLAlchemy; pip install 'vision-evals[mlflow]'")
    try:
        client = MlflowClient(tracking_uri=uri)
        return _record(client, run, directory, report)
    except Exception as error:  # noqa: BLE001 - MLflow, store and transport each raise their own
        lines = str(error).strip().splitlines() or [""]
        raise UserError(without_password(f"{type(error).__name__}: {lines[0]}")) from None


def _record(client: MlflowClient, run: Run, directory: Path, report: Path | None) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    known = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if known is None else known.experiment_id
    started = _milliseconds(run.started)
    ended = started + round(1000 * run.seconds)
    parent = client.create_run(experiment, started, _tags(run), run.id).info.run_id
    with _ending(client, parent, "FINISHED" if run.status == "finished" else "KILLED", ended):
        _log(client, parent, settings(run), {})
        for classifier in run.classifiers:
            items = [item for item in run.items if item.classifier == classifier.alias]
            tags = _tags(run, items) | {"mlflow.parentRunId": parent}
            child = client.create_run(experiment, started, tags, classifier.alias).info.run_id
            with _ending(client, child, "FINISHED", ended):
                _log(client, child, parameters(classifier, items), metrics(items))
        files = [directory / "run.json", *([] if report is None else [report])]
        for file in files:
            client.log_artifact(parent, os.fspath(file))
    return str(parent)


def settings(run: Run) -> dict[str, str]:
    """Return what changes every number of a run, for its parent."""
    known = run.settings.model_dump() | {
        "torch": run.environment.versions.get("torch"),
        "baseline": None if run.baseline is None else run.baseline.id,
        "command": run.command,
    }
    images = {f"images.{i.role}": f"{i.source}, n = {i.n}" for i in run.image_sets}
    return _named(
        {key: _text(value) for key, value in (known | images).items() if value is not None}
    )


def parameters(classifier: Classifier, items: Sequence[Item]) -> dict[str, str]:
    """Return what a classifier is, and what its checks were asked with."""
    facts = classifier.model_dump(
        include={"network", "weights", "sha256", "fingerprint", "input", "classes", "parameters"}
    )
    known = {key: _text(value) for key, value in facts.items() if value is not None}
    for item in items:
        known |= {f"{_check(item)}/{k}": _text(v) for k, v in item.parameters.items()}
    return _named(known)


def metrics(items: Sequence[Item]) -> dict[str, float]:
    """Return every number of a classifier: ``SUITE/CHECK/METRIC at POINT``, its n and interval."""
    return _named({name: value for item in items for name, value in _numbers(item)})


def _numbers(item: Item) -> Iterator[tuple[str, float]]:
    for metric in item.metrics:
        for ending, value in _ends(metric):
            yield f"{_check(item)}/{_point(metric.name, metric.at)}{ending}", value
    for judgement in item.judgements:
        if judgement.gate is not None:
            paired = judgement.gate.paired
            name = f"{_check(item)}/{_point(judgement.metric, judgement.at)}.difference"
            yield name, paired.difference
            yield f"{name}.low", paired.low
            yield f"{name}.high", paired.high


def _point(metric: str, at: str | None) -> str:
    return metric if at is None else f"{metric} at {at.replace('/', '_')}"


def _ends(metric: Metric) -> Iterator[tuple[str, float]]:
    if metric.value is None:
        return
    yield "", metric.value
    yield ".n", float(metric.n)
    if metric.low is not None and metric.high is not None:
        yield ".low", metric.low
        yield ".high", metric.high


def _tags(run: Run, items: Sequence[Item] | None = None) -> dict[str, str]:
    """Return how many of each verdict; of a classifier, the verdict of each check, too."""
    every = run.items if items is None else items
    counts = Counter(item.verdict for item in every)
    tags = {f"evals.{verdict}": str(counts[verdict]) for verdict in Verdict if counts[verdict]}
    tags |= {"evals.run": run.id, "evals.status": run.status, "mlflow.source.name": "vision-evals"}
    if run.environment.commit is not None:
        tags["mlflow.source.git.commit"] = run.environment.commit
    if items is not None:
        worst = min((i.verdict for i in items), key=list(Verdict).index, default=None)
        tags |= {} if worst is None else {"evals.verdict": str(worst)}
        tags |= {f"evals.check/{_check(item)}": str(item.verdict) for item in items}
    return _named(tags)


def _check(item: Item) -> str:
    return f"{item.suite.removesuffix('.toml')}/{item.check}"


def _named(values: Mapping[str, T]) -> dict[str, T]:
    """Return values under names that MLflow takes: one for each, whatever had to be replaced."""
    named: dict[str, T] = {}
    for name, value in values.items():
        key = _key(name)
        if key in named or len(key) > KEY:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            key = f"{key[: KEY - 9]}-{digest}"
        named[key] = value
    return named


def _key(name: str) -> str:
    """Return a name of letters, digits, ``_-. /`` that is no path out of a store's folder."""
    parts = re.sub(r"[^A-Za-z0-9_\-. /]", "_", name).split("/")
    return "/".join(part.lstrip(".") for part in parts if part.strip(". ")) or "_"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= VALUE else text[: VALUE - 3] + "..."


def _log(
    client: MlflowClient, run_id: str, values: Mapping[str, str], numbers: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric as Point
    from mlflow.entities import Param

    params = [Param(key, value) for key, value in values.items()]
    now = round(1000 * time.time())
    points = [Point(key, value, now, 0) for key, value in numbers.items()]
    for first in range(0, len(params), BATCH):
        client.log_batch(run_id, params=params[first : first + BATCH])
    for first in range(0, len(points), BATCH):
        client.log_batch(run_id, metrics=points[first : first + BATCH])


@contextlib.contextmanager
def _ending(client: MlflowClient, run_id: str, status: str, ended: int) -> Iterator[None]:
    """End a run of MLflow's, as failed when logging it broke: else it would seem to go on."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            client.set_terminated(run_id, "FAILED", ended)
        raise
    client.set_terminated(run_id, status, ended)


def _milliseconds(iso: str) -> int:
    return round(1000 * datetime.fromisoformat(iso).timestamp())
