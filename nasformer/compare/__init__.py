"""Comparisons: strategies × tasks × seeds, run as resumable studies and told as tidy tables."""

from nasformer.compare.comparison import Comparison, Entrant, TaskRecord

__all__ = ["Comparison", "Entrant", "TaskRecord"]
