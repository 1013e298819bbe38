"""The run on disk: ``run.json``, ``tables/*.parquet`` and ``pictures/*``.

The log is the artefact; the report, comparisons and gates are views of it. Absent values are null
with a reason, never NaN. Sizes are in pixels, epsilons and pixel values in [0, 1], times in
seconds.
"""

from __future__ import annotations

from vision_evals.log.classifier import Classifier, Epoch, Training
from vision_evals.log.comparison import (
    Change,
    Comparison,
    Flip,
    Flips,
    Gate,
    Paired,
    PathDifference,
    PathSide,
    Seen,
    path_sentence,
)
from vision_evals.log.disk import json_schema, read, write
from vision_evals.log.fast_path import FastPath
from vision_evals.log.images import ImageSet, PassRecord, Unreadable
from vision_evals.log.item import Item, Rows
from vision_evals.log.mutant import Mutant, Notice
from vision_evals.log.pictures import Line, Mark, Panel, Picture, Plot, WorstFirst
from vision_evals.log.profile import Profile, Stage
from vision_evals.log.record import Depth, Precision, Record, Status
from vision_evals.log.run import VERSION, Baseline, Environment, Run, Settings, Suite
from vision_evals.log.verdicts import Headline, Judgement, Metric, Reference, Validity, Verdict

__all__ = [
    "VERSION",
    "Baseline",
    "Change",
    "Classifier",
    "Comparison",
    "Depth",
    "Environment",
    "Epoch",
    "FastPath",
    "Flip",
    "Flips",
    "Gate",
    "Headline",
    "ImageSet",
    "Item",
    "Judgement",
    "Line",
    "Mark",
    "Metric",
    "Mutant",
    "Notice",
    "Paired",
    "Panel",
    "PassRecord",
    "PathDifference",
    "PathSide",
    "Picture",
    "Plot",
    "Precision",
    "Profile",
    "Record",
    "Reference",
    "Rows",
    "Run",
    "Seen",
    "Settings",
    "Stage",
    "Status",
    "Suite",
    "Training",
    "Unreadable",
    "Validity",
    "Verdict",
    "WorstFirst",
    "json_schema",
    "path_sentence",
    "read",
    "write",
]  # fmt: skip
