"""Validity checks of what the log records: denominators that add up, and a full description."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from vision_evals.core.tables import rational
from vision_evals.log import Metric
from vision_evals.log.environment import versions
from vision_evals.measures.measure import Measure, Subject
from vision_evals.validity.check import (
    CheckResult,
    Evidence,
    ValidityCheck,
    every,
    failed,
    passed,
    undecided,
)


def _of_images(measure: Measure) -> bool:
    return measure.images and "image" in measure.keys


def denominators(evidence: Evidence) -> CheckResult:
    """S25: summarise again, and count independently of the summary."""
    subject = Subject(
        evidence.classifier.alias,
        evidence.classifier.classes,
        evidence.probe.seed,
        len(evidence.image_set.images),
    )
    metrics = evidence.measure.summarise(evidence.rows, evidence.parameters, subject)
    wrong = [error for metric in metrics for error in _errors(metric, evidence)]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return failed("; ".join(wrong[:3]) + more)
    counted = sum(metric.method == "wilson" for metric in metrics)
    return passed(f"{len(metrics)} metrics, {counted} of them counts of at most {subject.images}")


def _errors(metric: Metric, evidence: Evidence) -> Iterator[str]:
    """Yield the errors of a metric."""
    name = metric.name + (f" at {metric.at}" if metric.at is not None else "")
    if metric.low is None and metric.reason is None:
        yield f"{name} has neither interval nor reason"
    if metric.unit != "fraction" or metric.method != "wilson" or metric.value is None:
        return
    hits = metric.value * metric.n
    if abs(hits - round(hits)) > 1e-6:
        yield f"{name}: {metric.value:.6g} of {metric.n} is no whole number"
    low, high = metric.low, metric.high
    if low is None or high is None or not 0 <= low <= metric.value <= high <= 1:
        yield f"{name}: {low} <= {metric.value} <= {high} is not true within [0, 1]"
    total = len(evidence.image_set.images)
    if metric.n > total:
        yield f"{name}: n = {metric.n} of {total} images"
    rows, counts = evidence.rows, evidence.measure.metric(metric.name).counts
    if counts is not None:
        counted = rows["image"][rows[counts].astype(bool)].nunique()
        if metric.n != counted:
            yield f"{name}: n = {metric.n}, and there are {counted} {metric.denominator}"


def full_description(evidence: Evidence) -> CheckResult:
    """S27: parameters survive JSON, budgets are exact, and the log has the hash of the weights."""
    parameters, classifier = evidence.parameters, evidence.classifier
    written = parameters.model_dump(mode="json")
    missing = sorted(set(type(parameters).model_fields) - set(written))
    if missing:
        return failed(f"the log would lack {', '.join(missing)}")
    if type(parameters).model_validate(json.loads(json.dumps(written))) != parameters:
        return failed("the parameters read back from JSON differ")
    axis = evidence.measure.axis
    budgets = written.get(axis[1], ()) if axis else ()
    inexact = [str(size) for size in budgets if not _exact(size)]
    if inexact:
        return failed(f"{', '.join(inexact)} of {axis and axis[1]} are no exact numbers")
    if not classifier.fingerprint.strip():
        return failed("the classifier has no fingerprint")
    description = "; ".join(_described(evidence, written))
    if classifier.sha256 is None:
        return undecided(f"the weights have no file whose hash is known; {description}")
    return passed(description)


def _exact(size: object) -> bool:
    try:
        return rational(size) >= 0
    except ValueError:
        return False


def _described(evidence: Evidence, written: dict[str, Any]) -> Iterator[str]:
    """Yield what is needed to compute the same numbers again."""
    measure = evidence.measure
    yield (
        ", ".join(f"{key} = {json.dumps(item)}" for key, item in written.items()) or "no parameters"
    )
    if measure.attack is not None:
        attack = measure.attack(evidence.parameters)
        about = {"norm": written.get("norm", "linf"), **_numbers(attack)}
        yield f"{attack.name}: " + ", ".join(f"{key} {item}" for key, item in about.items())
    yield f"seed {evidence.probe.seed}"
    installed, libraries = versions(), ("torch", "torchvision")
    yield ", ".join(f"{name} {installed.get(name, 'is not installed')}" for name in libraries)
    yield f"classifier {evidence.classifier.fingerprint[:12]}"


def _numbers(attack: Any) -> dict[str, object]:
    """Return the plain fields of an attack: steps, restarts, loss."""
    if not dataclasses.is_dataclass(attack):
        return {}
    fields = ((field.name, getattr(attack, field.name)) for field in dataclasses.fields(attack))
    return {name: item for name, item in fields if isinstance(item, str | int | float)}


CHECKS = (
    ValidityCheck(
        id="S25", name="denominators add up",
        meaning="A fraction without its denominator cannot be checked, and a success rate must not "
        "count images that were wrong before the attack.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 4",
        guards=_of_images, run=denominators,
    ),
    ValidityCheck(
        id="S27", name="fully described",
        meaning="A number without a full description cannot be reproduced.",
        source="Carlini et al. 2019, On Evaluating Adversarial Robustness, section 3",
        severity="warn", guards=every, run=full_description,
    ),
)  # fmt: skip
