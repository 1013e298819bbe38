"""Loads what a job needs, and groups the tasks of a pass by classifier."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vision_evals.core.errors import NotApplicableError, UserError
from vision_evals.engine.jobs import Catalog
from vision_evals.engine.resources import Resources
from vision_evals.engine.tasks import Task, TaskGroup, task_of
from vision_evals.suite.options import Source
from vision_evals.verdict.job import Job


def prepare(job: Job, resources: Resources) -> None:
    """Load what a job about images needs.

    Raises:
        UnavailableError, NotApplicableError, UserError: as their classes say.
    """
    measure, classifier = job.measure, resources.classifier(job.request)
    if job.source is None:
        return
    for source in job.sources:
        if measure.labels and not resources.image_set(source).labelled:
            raise NotApplicableError(f"{source} has no labels, and {measure.name} needs them")
        resources.answers(classifier, source)
    image_set = resources.image_set(job.source)
    measure.prepare(image_set, classifier.classes, job.alias, job.check.parameters)


def task_groups_of(
    jobs: Iterable[Job], source: Source, catalog: Catalog, resources: Resources
) -> dict[str, TaskGroup]:
    """Return every classifier that can be loaded, by name, with the tasks of all jobs.

    A classifier that a threshold names has the task too, whether or not its own check is selected.
    """
    task_groups: dict[str, TaskGroup] = {}
    image_set = resources.image_set(source)
    for job in jobs:
        if job.measure.labels and not image_set.labelled:
            continue
        others = map(catalog.request, sorted(job.check.references(job.alias)))
        for request in (job.request, *others):
            try:
                classifiers = resources.classifiers(request)
                answers = resources.answers(classifiers[0], source)
            except UserError:
                continue  # reported where its own job is prepared, or where a threshold names it
            for classifier in classifiers:
                name = classifier.name
                task = task_of(job, name, source)
                group = task_groups.setdefault(name, TaskGroup(classifier, answers, ()))
                task_groups[name] = replace(group, tasks=_with_task(group.tasks, task))
    return task_groups


def _with_task(tasks: tuple[Task, ...], task: Task) -> tuple[Task, ...]:
    """Add a task; of two that share a table, the one with the deeper validity checks stays."""
    by_table = {other.table: other for other in tasks}
    if task.table not in by_table or task.depth == "thorough":
        by_table[task.table] = task
    return tuple(by_table.values())
