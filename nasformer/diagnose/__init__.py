"""Diagnosis of a supernet: can a search trust it, and how much does a search need?

``plan`` declares the size of the measurements; ``images``, ``efficiency`` and ``fidelity`` are the pieces: each
measures, tests what a search claims, and has a chapter of the ``page``; ``jobs`` runs the required trainings and
searches; ``diagnosis`` is the entry point.
"""

from nasformer.diagnose.diagnosis import PIECES as PIECES
from nasformer.diagnose.diagnosis import diagnose as diagnose
from nasformer.diagnose.page import write_diagnosis_report as write_diagnosis_report
from nasformer.diagnose.plan import Plan as Plan
from nasformer.diagnose.plan import spread_budgets as spread_budgets
