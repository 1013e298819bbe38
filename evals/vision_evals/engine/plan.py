"""What a job needs to be loaded, and who is asked what on a walk over images."""

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
            raise NotApplicableError(
                f"{source} has no labels, and {measure.name} means nothing without"
            )
        resources.answers(classifier, source)
    image_set = resources.image_set(job.source)
    measure.prepare(image_set, classifier.classes, job.alias, job.check.parameters)


def groups(
    jobs: Iterable[Job], source: Source, catalog: Catalog, resources: Resources
) -> dict[str, TaskGroup]:
    """Return every classifier that can be loaded, by name, with all that the jobs ask of it.

    A classifier that a threshold names is asked too, whether or not its own item was selected.
    """
    found: dict[str, TaskGroup] = {}
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
                continue  # said where its own item is prepared, or where a threshold names it
            for classifier in classifiers:
                name = classifier.name
                task = task_of(job, name, source)
                group = found.setdefault(name, TaskGroup(classifier, answers, ()))
                found[name] = replace(group, tasks=_with(group.tasks, task))
    return found


def _with(tasks: tuple[Task, ...], task: Task) -> tuple[Task, ...]:
    """Add a task; of two that ask the same, the deeper validity checks remain."""
    same = [other for other in tasks if other.table == task.table]
    if not same:
        return (*tasks, task)
    if task.depth == "thorough":
        return tuple(task if other.table == task.table else other for other in tasks)
    return tasks
