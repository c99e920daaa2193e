"""The rival of a search that takes none: the largest uniform ViT of a budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import DiagnosisError
from nasformer.space import SearchSpace


def largest_uniform(space: SearchSpace, budget: Mapping[str, Any]) -> Architecture:
    """Return the uniform ViT of the space with most multiply-accumulates within a budget.

    Raises:
        DiagnosisError: There is none.
    """
    members = space.feasible(**budget).uniform()
    if not members:
        raise DiagnosisError(f"no uniform ViT of {space.name} meets {dict(budget)}; take a larger budget", budget)
    return max(members, key=space.macs)
