"""A run log as one HTML page that opens offline. Reads the log only: no torch here."""

from vision_evals.report.page import render, write, write_comparison, write_folder
from vision_evals.report.templates import check

__all__ = ["check", "render", "write", "write_comparison", "write_folder"]
