"""A small project that several tests judge: networks that say which channel is brightest."""

from __future__ import annotations

CARD = """
[tool.evals.models.{name}]
network = "nets:{network}"
classes = "classes.txt"
input = {{ resize = 16, crop = 16, mean = [0, 0, 0], std = [1, 1, 1] }}
"""

SUITE = """
evals = 1
title = "Colours"
models = ["color"]
[images]
photographs = "pictures"
[[check]]
name = "colors"
measure = "accuracy"
images = "photographs"
expect = [{ metric = "top1_accuracy", at_least = 0.9 }]
"""
