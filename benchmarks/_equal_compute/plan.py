"""The plan of a diagnosis at equal compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nasformer.diagnose import Plan
from nasformer.errors import DiagnosisError
from nasformer.training import Recipe


@dataclass(frozen=True)
class EqualComputePlan(Plan):
    """A plan with the compute of searches and fine-tuning.

    Attributes:
        finetuning: Recipe of the winners' fine-tuning; its epochs follow from ``share``.
        share: Compute of search and fine-tuning together, as a share of the supernet's training.
    """

    finetuning: Mapping[str, Any] = field(default_factory=dict)
    share: float = 0.6

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 10:
            raise DiagnosisError(f"share must be above 0 and at most 10, got {self.share}", self.share)
        object.__setattr__(self, "finetuning", Recipe(**self.finetuning).to_dict())
