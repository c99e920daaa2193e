"""Statistical analysis of comparisons.

``analyse`` turns the two tables of a ``Comparison`` into curves, a ranking, paired tests, ranks over tasks,
warnings and conclusions. The tests come from SciPy, statsmodels and scikit-posthocs; docs/comparing.md explains
them. ``runs`` holds the tables as arrays, ``task`` the analysis of one task; each statistic has its file.
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
