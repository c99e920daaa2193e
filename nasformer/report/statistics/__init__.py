"""Statistical analysis of comparisons.

``analyse`` turns the two tables of a ``Comparison`` into curves, a ranking, paired tests, ranks over tasks,
warnings and conclusions. The tests come from SciPy and scikit-posthocs;
docs/concepts/statistics.md explains them. ``runs`` holds the tables as arrays.
"""

from nasformer.report.statistics.across import Across as Across
from nasformer.report.statistics.across import Tally as Tally
from nasformer.report.statistics.analysis import Analysis as Analysis
from nasformer.report.statistics.analysis import TaskAnalysis as TaskAnalysis
from nasformer.report.statistics.analysis import analyse as analyse
from nasformer.report.statistics.curves import Curve as Curve
from nasformer.report.statistics.curves import Front as Front
from nasformer.report.statistics.pairs import Pair as Pair
from nasformer.report.statistics.pairs import Power as Power
from nasformer.report.statistics.standings import Standing as Standing
from nasformer.report.statistics.validity import Check as Check
