"""Report: what a search found, as one HTML page that opens offline, figures, and a few lines of text.

``experiment`` checks and groups the results, ``statistics`` and ``summary`` say what they show, ``tables``
and ``figures`` show it, ``page`` puts it together. Matplotlib is imported only where a figure is drawn.
"""

from nasformer.report.experiment import Experiment, Group
from nasformer.report.finalist import Finalist
from nasformer.report.page import write_report
from nasformer.report.summary import summary_lines

__all__ = ["Experiment", "Finalist", "Group", "summary_lines", "write_report"]
