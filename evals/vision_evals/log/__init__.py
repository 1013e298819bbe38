"""The run on disk: ``run.json``, ``tables/*.parquet`` and ``pictures/*``.

The log is the artefact; the report, comparisons and gates are views of it. Absent values are null
with a reason, never NaN. Sizes are in pixels, epsilons and pixel values in [0, 1], times in
seconds.
"""

from __future__ import annotations

from vision_evals.log.classifier import Classifier as Classifier
from vision_evals.log.classifier import Epoch as Epoch
from vision_evals.log.classifier import ProbeAnswers as ProbeAnswers
from vision_evals.log.classifier import Training as Training
from vision_evals.log.comparison import Change as Change
from vision_evals.log.comparison import Comparison as Comparison
from vision_evals.log.comparison import Flip as Flip
from vision_evals.log.comparison import Flips as Flips
from vision_evals.log.comparison import Gate as Gate
from vision_evals.log.comparison import Paired as Paired
from vision_evals.log.comparison import PathDifference as PathDifference
from vision_evals.log.comparison import PathSide as PathSide
from vision_evals.log.comparison import Seen as Seen
from vision_evals.log.comparison import path_sentence as path_sentence
from vision_evals.log.disk import json_schema as json_schema
from vision_evals.log.disk import read as read
from vision_evals.log.disk import write as write
from vision_evals.log.images import FastPath as FastPath
from vision_evals.log.images import ImageSet as ImageSet
from vision_evals.log.images import LeftOut as LeftOut
from vision_evals.log.images import PassRecord as PassRecord
from vision_evals.log.images import Unreadable as Unreadable
from vision_evals.log.item import Item as Item
from vision_evals.log.item import Rows as Rows
from vision_evals.log.mutant import Mutant as Mutant
from vision_evals.log.mutant import Notice as Notice
from vision_evals.log.pictures import Line as Line
from vision_evals.log.pictures import Mark as Mark
from vision_evals.log.pictures import Panel as Panel
from vision_evals.log.pictures import Picture as Picture
from vision_evals.log.pictures import Plot as Plot
from vision_evals.log.pictures import WorstFirst as WorstFirst
from vision_evals.log.record import Depth as Depth
from vision_evals.log.record import Precision as Precision
from vision_evals.log.record import Record as Record
from vision_evals.log.record import Status as Status
from vision_evals.log.run import VERSION as VERSION
from vision_evals.log.run import Baseline as Baseline
from vision_evals.log.run import Environment as Environment
from vision_evals.log.run import Profile as Profile
from vision_evals.log.run import Run as Run
from vision_evals.log.run import Settings as Settings
from vision_evals.log.run import Stage as Stage
from vision_evals.log.run import Suite as Suite
from vision_evals.log.verdicts import Headline as Headline
from vision_evals.log.verdicts import Judgement as Judgement
from vision_evals.log.verdicts import Metric as Metric
from vision_evals.log.verdicts import Reference as Reference
from vision_evals.log.verdicts import Validity as Validity
from vision_evals.log.verdicts import Verdict as Verdict
