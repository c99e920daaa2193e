"""Report: what searches found, as one HTML page that opens offline, figures, and a few lines of text.

``searches`` checks and groups the results, ``statistics`` and ``summary`` say what they show, ``tables``
and ``figures`` show it, ``section`` puts together what the page says of a task and
``chapters`` what it says of a diagnosis, ``page`` renders it.
Matplotlib is imported only where a figure is drawn.
"""

from nasformer.report.comparison import write_comparison
from nasformer.report.diagnosis import write_diagnosis_report
from nasformer.report.finalist import Finalist
from nasformer.report.search import write_report
from nasformer.report.searches import Group, Searches
from nasformer.report.summary import summary_lines
from nasformer.report.training import write_training_report

__all__ = [
    "Finalist",
    "Group",
    "Searches",
    "summary_lines",
    "write_comparison",
    "write_diagnosis_report",
    "write_report",
    "write_training_report",
]
