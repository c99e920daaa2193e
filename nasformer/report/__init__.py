"""Reports: one self-contained HTML page, figures, and a text summary.

``searches`` checks and groups results, ``statistics`` analyses them, ``summary`` words the findings, ``tables``
and ``figures`` present them, ``section`` builds the section of a task and ``page`` renders the page.
Matplotlib is imported only to draw figures.
"""

from nasformer.report.comparison import write_comparison
from nasformer.report.diagnosis import write_diagnosis_report
from nasformer.report.finalist import Finalist
from nasformer.report.paired import paired_verdict
from nasformer.report.search import write_report
from nasformer.report.searches import Group, Searches
from nasformer.report.summary import summary_lines
from nasformer.report.training import write_training_report

__all__ = [
    "Finalist",
    "Group",
    "Searches",
    "paired_verdict",
    "summary_lines",
    "write_comparison",
    "write_diagnosis_report",
    "write_report",
    "write_training_report",
]
