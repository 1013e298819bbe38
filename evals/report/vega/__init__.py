"""What is shown as Vega-Lite, by Altair: data in, a specification out, and no colour but by name.

Colours are the style's own variables, so one chart follows light, dark and print; a classifier has
one of them through the whole page.
"""

from evals.report.vega.bars import bars
from evals.report.vega.curves import curves
from evals.report.vega.drawing import Drawing
from evals.report.vega.grid import grid
from evals.report.vega.lines import lines

__all__ = ["Drawing", "bars", "curves", "grid", "lines"]
