"""Diagnosis: is a supernet fit to be searched? What its inherited weights say, beside what training alone says.

``plan`` says what is measured and at which size, ``pieces`` measures it, ``jobs`` are the trainings and searches that
this takes, ``claims`` holds it against the paper, and ``diagnosis`` is the way in, which is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasformer.diagnose.plan import PIECES, Plan

if TYPE_CHECKING:
    from nasformer.diagnose.diagnosis import diagnose as diagnose

__all__ = ["PIECES", "Plan", "diagnose"]


def __getattr__(name: str) -> Any:
    if name != "diagnose":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nasformer.diagnose.diagnosis import diagnose

    return diagnose
