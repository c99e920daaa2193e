"""Reports: one self-contained HTML page, figures, and a text summary.

``statistics`` analyses comparisons, ``tables`` and ``figures`` present them, ``words`` says the findings in the
sentences of ``templates/words.j2``, ``page`` renders the page.
Matplotlib is imported only to draw figures.
"""

from nasformer.report.comparison import write_comparison
from nasformer.report.data import write_data_report
from nasformer.report.search import write_report
from nasformer.report.training import paired_verdict, write_training_report

__all__ = [
    "paired_verdict",
    "write_comparison",
    "write_data_report",
    "write_report",
    "write_training_report",
]
