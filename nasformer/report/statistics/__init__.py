"""Statistical analysis of comparisons.

``analyse`` turns the two tables of a ``Comparison`` into curves, a ranking, paired tests, ranks over tasks,
warnings and conclusions. The tests come from SciPy, statsmodels and scikit-posthocs; docs/comparing.md explains
them. ``runs`` holds the tables as arrays, ``task`` the analysis of one task; each statistic has its file.
"""

from nasformer.report.statistics.across import Across as Across
from nasformer.report.statistics.across import Tally as Tally
from nasformer.report.statistics.analysis import Analysis as Analysis
from nasformer.report.statistics.analysis import analyse as analyse
from nasformer.report.statistics.checklist import Check as Check
from nasformer.report.statistics.curves import Curve as Curve
from nasformer.report.statistics.fronts import Front as Front
from nasformer.report.statistics.pairs import Pair as Pair
from nasformer.report.statistics.power import Power as Power
from nasformer.report.statistics.standings import Standing as Standing
from nasformer.report.statistics.task import TaskAnalysis as TaskAnalysis
