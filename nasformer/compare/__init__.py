"""Comparisons: strategies × tasks × seeds, run as resumable studies and collected in tidy tables.

``experiment`` declares one, ``task`` opens the tasks, ``cell`` is one run, ``runner`` runs cells in
processes and collects the results as a ``Comparison``; ``from_results`` builds one from existing search results.
"""

from nasformer.compare.comparison import Comparison, Entrant, LeftOut, TaskRecord
from nasformer.compare.results import from_results

__all__ = ["Comparison", "Entrant", "LeftOut", "TaskRecord", "from_results"]
