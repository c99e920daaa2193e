"""Diagnosis of a supernet: can a search trust it, and how much does a search need?

``plan`` declares the measurements and their size; ``images``, ``efficiency`` and ``fidelity`` are the pieces: each
measures, tests what a search claims, and has a chapter of the ``page``; ``jobs`` runs the required trainings and
searches; ``diagnosis`` is the entry point, imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasformer.diagnose.plan import PIECES, Plan, spread_budgets

if TYPE_CHECKING:
    from nasformer.diagnose.diagnosis import diagnose as diagnose
    from nasformer.diagnose.page import write_diagnosis_report as write_diagnosis_report

__all__ = ["PIECES", "Plan", "diagnose", "spread_budgets", "write_diagnosis_report"]


def __getattr__(name: str) -> Any:
    if name == "diagnose":
        from nasformer.diagnose.diagnosis import diagnose

        return diagnose
    if name == "write_diagnosis_report":
        from nasformer.diagnose.page import write_diagnosis_report

        return write_diagnosis_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
