"""A run as MLflow knows runs: a parent for the run, a child for each classifier.

The child is what people compare in MLflow's interface: names of metrics say nothing of the
classifier, so checkpoints share their columns. By ``MlflowClient`` with an address of its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vision_evals.core.errors import UserError
from vision_evals.log import Run
from vision_evals.report.export.escape import without_password
from vision_evals.report.export.mlflow_values import metrics, parameters, settings, tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
