"""A run log as one HTML page that opens offline. Reads the log only: no torch here."""

from evals.report.page import render, write

__all__ = ["render", "write"]
