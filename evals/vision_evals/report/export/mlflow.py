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

from vision_evals.core.errors import UserError
from vision_evals.log import Classifier, Item, Metric, Run, Verdict
from vision_evals.report.export.escape import without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient


T = TypeVar("T")

FACTS = {"network", "weights", "sha256", "fingerprint", "input", "classes", "parameters"}
"""Fields of a classifier that are parameters."""

MAX_NAME_CHARS, MAX_VALUE_CHARS = 250, 6000
"""MLflow's limits: characters of a name and of a parameter."""


def settings(run: Run) -> dict[str, str]:
    """Return what changes every number of a run, for its parent."""
    values = run.settings.model_dump() | {
        "torch": run.environment.versions.get("torch"),
        "baseline": None if run.baseline is None else run.baseline.id,
        "command": run.command,
    }
    images = {f"images.{i.role}": f"{i.source}, n = {i.n}" for i in run.image_sets}
    return named(
        {key: _text(value) for key, value in (values | images).items() if value is not None}
    )


def parameters(classifier: Classifier | None, items: Sequence[Item]) -> dict[str, str]:
    """Return what a classifier is, and the parameters of its checks."""
    facts = {} if classifier is None else classifier.model_dump(include=FACTS)
    values = {key: _text(value) for key, value in facts.items() if value is not None}
    for item in items:
        values |= {f"{_check(item)}/{k}": _text(v) for k, v in item.parameters.items()}
    return named(values)


def metrics(items: Sequence[Item]) -> dict[str, float]:
    """Return every number of a classifier: ``SUITE/CHECK/METRIC at POINT``, its n and interval."""
    return named({name: value for item in items for name, value in _numbers(item)})


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


def tags(run: Run, items: Sequence[Item] | None = None) -> dict[str, str]:
    """Return how many of each verdict; of a classifier, the verdict of each check, too."""
    judged = run.items if items is None else items
    counts = Counter(item.verdict for item in judged)
    values = {f"evals.{verdict}": str(counts[verdict]) for verdict in Verdict if counts[verdict]}
    values["mlflow.source.name"] = "vision-evals"
    values |= {"evals.run": run.id, "evals.status": run.status}
    if run.environment.commit is not None:
        values["mlflow.source.git.commit"] = run.environment.commit
    if items is not None:
        worst = min((i.verdict for i in items), key=list(Verdict).index, default=None)
        values |= {} if worst is None else {"evals.verdict": str(worst)}
        values |= {f"evals.check/{_check(item)}": str(item.verdict) for item in items}
    return named(values)


def _check(item: Item) -> str:
    return f"{item.suite.removesuffix('.toml')}/{item.check}"


def named(values: Mapping[str, T]) -> dict[str, T]:
    """Return values under names that MLflow takes: one for each, whatever had to be replaced."""
    by_key: dict[str, T] = {}
    for name, value in values.items():
        key = _key(name)
        if key in by_key or len(key) > MAX_NAME_CHARS:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            key = f"{key[: MAX_NAME_CHARS - 9]}-{digest}"
        by_key[key] = value
    return by_key


def _key(name: str) -> str:
    """Return a name of letters, digits, ``_-. /`` that is no path out of a store's folder."""
    parts = re.sub(r"[^A-Za-z0-9_\-. /]", "_", name).split("/")
    return "/".join(part.lstrip(".") for part in parts if part.strip(". ")) or "_"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 3] + "..."


EXPERIMENT = "vision-evals"
"""Where runs go unless ``MLFLOW_EXPERIMENT_NAME`` says otherwise."""

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of stores that ``mlflow-skinny`` comes without."""

MAX_BATCH_ENTRIES = 100
"""Entries of a request, MLflow's limit."""


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
    entry = client.get_experiment_by_name(name)
    experiment = client.create_experiment(name) if entry is None else entry.experiment_id
    started = _milliseconds(run.started)
    ended = started + round(1000 * run.seconds)
    parent = client.create_run(experiment, started, tags(run), run.id).info.run_id
    with _ending(client, parent, "FINISHED" if run.status == "finished" else "KILLED", ended):
        _log(client, parent, settings(run), {})
        classifiers = {classifier.alias: classifier for classifier in run.classifiers}
        for alias in dict.fromkeys([*classifiers, *(item.classifier for item in run.items)]):
            items = [item for item in run.items if item.classifier == alias]
            about = tags(run, items) | {"mlflow.parentRunId": parent}
            child = client.create_run(experiment, started, about, alias).info.run_id
            with _ending(client, child, "FINISHED", ended):
                _log(client, child, parameters(classifiers.get(alias), items), metrics(items))
        files = [directory / "run.json", *([] if report is None else [report])]
        for file in files:
            client.log_artifact(parent, os.fspath(file))
    return str(parent)


def _log(
    client: MlflowClient, run_id: str, values: Mapping[str, str], numbers: Mapping[str, float]
) -> None:
    from mlflow.entities import Metric as Point
    from mlflow.entities import Param

    params = [Param(key, value) for key, value in values.items()]
    now = round(1000 * time.time())
    points = [Point(key, value, now, 0) for key, value in numbers.items()]
    for first in range(0, len(params), MAX_BATCH_ENTRIES):
        client.log_batch(run_id, params=params[first : first + MAX_BATCH_ENTRIES])
    for first in range(0, len(points), MAX_BATCH_ENTRIES):
        client.log_batch(run_id, metrics=points[first : first + MAX_BATCH_ENTRIES])


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
