"""Diagnosis: is a supernet fit to be searched? What its inherited weights say, beside what training alone says.

``plan`` says what is measured and at which size, ``pieces`` measures it, ``jobs`` are the trainings and searches that
this takes, ``claims`` holds it against the paper, and ``diagnosis`` is the way in.
"""

from nasformer.diagnose.diagnosis import diagnose
from nasformer.diagnose.plan import PIECES, Plan

__all__ = ["PIECES", "Plan", "diagnose"]
