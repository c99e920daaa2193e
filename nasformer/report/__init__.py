"""Reports: one self-contained HTML page, figures, and a text summary.

``statistics`` analyses comparisons, ``tables`` and ``figures`` present them, ``words`` says the findings in the
sentences of ``templates/words.j2``, ``section`` builds the section of a task and ``page`` renders the page.
Matplotlib is imported only to draw figures.
"""

from nasformer.report.comparison import write_comparison
from nasformer.report.diagnosis import write_diagnosis_report
from nasformer.report.search import write_report
from nasformer.report.searches import Finalist, summary_lines
from nasformer.report.training import paired_verdict, write_training_report

__all__ = [
    "Finalist",
    "paired_verdict",
    "summary_lines",
    "write_comparison",
    "write_diagnosis_report",
    "write_report",
    "write_training_report",
]
