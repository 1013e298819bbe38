"""Defaults of attacks, in suites and in scripts; suites are read without torch."""

from __future__ import annotations

from typing import Literal

PGD_STEPS = 40
"""On the images of squeezenet1_1_caffe that stay correct at 1/1020 (3 of 12), the last 10 of 20
steps made 65 % of the loss's gain; the last 10 of 40 made 3 %."""

PGD_REL_STEPSIZE = 0.1
"""Length of a step as a share of epsilon."""

APGD_STEPS = 100

RANDOM_START = True

RESTARTS = 1

LOSS: Literal["cross_entropy"] = "cross_entropy"
