"""Comparisons: strategies × tasks × seeds, run as resumable studies and told as tidy tables.

``experiment`` declares one, ``task`` opens what is searched, ``cell`` is one run, ``runner`` runs them over
processes, ``gather`` collects what they found as a ``Comparison``; ``from_results`` makes one of searches that
were run in another way.
"""

from nasformer.compare.comparison import Comparison, Entrant, LeftOut, TaskRecord
from nasformer.compare.results import from_results

__all__ = ["Comparison", "Entrant", "LeftOut", "TaskRecord", "from_results"]
