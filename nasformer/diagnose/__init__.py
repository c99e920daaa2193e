"""Diagnosis of a supernet: is a search with it worth its compute?

``plan`` declares the measurements and their size, ``pieces`` measures, ``jobs`` runs the required ``trainings`` and
``searches``, ``claims`` tests what a search claims, and ``diagnosis`` is the entry point, imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasformer.diagnose.plan import PIECES, Plan, spread_budgets

if TYPE_CHECKING:
    from nasformer.diagnose.diagnosis import diagnose as diagnose

__all__ = ["PIECES", "Plan", "diagnose", "spread_budgets"]


def __getattr__(name: str) -> Any:
    if name != "diagnose":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nasformer.diagnose.diagnosis import diagnose

    return diagnose
