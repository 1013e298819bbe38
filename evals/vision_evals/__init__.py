"""pytest for vision networks: declare in TOML what a pretrained CNN must do, and get verdicts.

What people import is named here and loaded when it is first used: importing the package costs
nothing, and torch and pandas come with what needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vision_evals.attacks.attack import Attack as Attack
    from vision_evals.attacks.balls import L2Ball as L2Ball
    from vision_evals.attacks.balls import LinfBall as LinfBall
    from vision_evals.attacks.fgsm import FastGradientSign as FastGradientSign
    from vision_evals.attacks.pgd import ProjectedGradientDescent as ProjectedGradientDescent
    from vision_evals.core.errors import InvalidError as InvalidError
    from vision_evals.core.errors import NotApplicableError as NotApplicableError
    from vision_evals.core.errors import UserError as UserError
    from vision_evals.core.tables import Table as Table
    from vision_evals.engine.run import run as run
    from vision_evals.images.image_set import ImageSet as ImageSet
    from vision_evals.images.labels import ClassMap as ClassMap
    from vision_evals.log import Headline as Headline
    from vision_evals.log import Line as Line
    from vision_evals.log import Mark as Mark
    from vision_evals.log import Metric as Metric
    from vision_evals.log import Panel as Panel
    from vision_evals.log import Plot as Plot
    from vision_evals.log import Reference as Reference
    from vision_evals.log import Validity as Validity
    from vision_evals.log import Verdict as Verdict
    from vision_evals.log import WorstFirst as WorstFirst
    from vision_evals.measures.measure import Columns as Columns
    from vision_evals.measures.measure import Drawing as Drawing
    from vision_evals.measures.measure import Measure as Measure
    from vision_evals.measures.measure import Subject as Subject
    from vision_evals.measures.metrics import absent as absent
    from vision_evals.measures.metrics import each as each
    from vision_evals.measures.metrics import fraction as fraction
    from vision_evals.measures.metrics import resampled as resampled
    from vision_evals.measures.metrics import shares as shares
    from vision_evals.measures.probe import Probe as Probe
    from vision_evals.models.classifier import Classifier as Classifier
    from vision_evals.report.result import Run as Run
    from vision_evals.report.result import read as read
    from vision_evals.suite.spec import BY_DECISION as BY_DECISION
    from vision_evals.suite.spec import BY_LOSS as BY_LOSS
    from vision_evals.suite.spec import BY_PROBABILITY as BY_PROBABILITY
    from vision_evals.suite.spec import MetricSpec as MetricSpec
    from vision_evals.suite.spec import NumericError as NumericError

__version__ = "0.1.0"

_NAMES = {
    "vision_evals.attacks.attack": ("Attack",),
    "vision_evals.attacks.balls": ("L2Ball", "LinfBall"),
    "vision_evals.attacks.fgsm": ("FastGradientSign",),
    "vision_evals.attacks.pgd": ("ProjectedGradientDescent",),
    "vision_evals.models.classifier": ("Classifier",),
    "vision_evals.core.errors": ("InvalidError", "NotApplicableError", "UserError"),
    "vision_evals.images.image_set": ("ImageSet",),
    "vision_evals.images.labels": ("ClassMap",),
    "vision_evals.log": (
        "Headline",
        "Line",
        "Mark",
        "Metric",
        "Panel",
        "Plot",
        "Reference",
        "Validity",
        "Verdict",
        "WorstFirst",
    ),
    "vision_evals.report.result": ("Run", "read"),
    "vision_evals.measures.measure": ("Columns", "Drawing", "Measure", "Subject"),
    "vision_evals.measures.metrics": ("absent", "each", "fraction", "resampled", "shares"),
    "vision_evals.measures.probe": ("Probe",),
    "vision_evals.engine.run": ("run",),
    "vision_evals.core.tables": ("Table",),
    "vision_evals.suite.spec": (
        "BY_DECISION",
        "BY_LOSS",
        "BY_PROBABILITY",
        "MetricSpec",
        "NumericError",
    ),
}
"""Module to what it gives, as above for those who check types."""

_MODULES = {name: module for module, names in _NAMES.items() for name in names}
__all__ = sorted(_MODULES)


if not TYPE_CHECKING:  # or a name that is not there would pass for one that is

    def __getattr__(name: str) -> object:
        """Load what is asked for (PEP 562), and keep it."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
        return found


def __dir__() -> list[str]:
    """Return what there is, loaded or not."""
    return sorted({*globals(), *__all__})
