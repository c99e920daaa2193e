"""Comparisons: strategies × tasks × seeds, run as resumable studies and told as tidy tables.

``experiment`` declares one, ``task`` opens what is searched, ``cell`` is one run, ``runner`` runs them over
processes, ``gather`` collects what they found as a ``Comparison``.
"""

from nasformer.compare.comparison import Comparison, Entrant, LeftOut, TaskRecord

__all__ = ["Comparison", "Entrant", "LeftOut", "TaskRecord"]
