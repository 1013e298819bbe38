"""A run log as one HTML page that opens offline. Reads the log only: no torch here."""

from evals.report.page import render, write, write_comparison, write_folder
from evals.report.templates import check

__all__ = ["check", "render", "write", "write_comparison", "write_folder"]
