"""Statistics: what a comparison of strategies shows, and how far it can be trusted.

``analyse`` turns the two tables of a ``Comparison`` into curves, a ranking, paired tests, ranks over tasks,
warnings and sentences. The tests are SciPy's, statsmodels' and scikit-posthocs'; docs/comparing.md says how to
read them. One file for each: ``runs`` holds the tables as arrays, ``task`` what is found on one task.
"""

from nasformer.report.statistics.across import Across, Tally
from nasformer.report.statistics.analysis import Analysis, analyse
from nasformer.report.statistics.checklist import Check
from nasformer.report.statistics.curves import Curve
from nasformer.report.statistics.fronts import Front
from nasformer.report.statistics.pairs import Pair
from nasformer.report.statistics.power import Power
from nasformer.report.statistics.standings import Standing
from nasformer.report.statistics.task import TaskAnalysis

__all__ = [
    "Across",
    "Analysis",
    "Check",
    "Curve",
    "Front",
    "Pair",
    "Power",
    "Standing",
    "Tally",
    "TaskAnalysis",
    "analyse",
]
