"""What is shown as Vega-Lite, by Altair: data in, a specification out, and no colour but by name.

Colours are the style's own variables, so one chart follows light, dark and print; a classifier has
one of them through the whole page.
"""

from vision_evals.report.vega.bars import bars
from vision_evals.report.vega.curves import curves
from vision_evals.report.vega.drawing import ChartSpec
from vision_evals.report.vega.grid import grid
from vision_evals.report.vega.lines import lines

__all__ = ["ChartSpec", "bars", "curves", "grid", "lines"]
