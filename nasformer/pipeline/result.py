"""FitResult: the networks that a run made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture


@dataclass(frozen=True)
class FittedModel:
    """The network of a budget.

    Attributes:
        budget: Most of each cost, by name.
        folder: The exported folder.
        file: The exported file in it.
        architecture: Its architecture.
        costs: Its costs by name.
        measured_ms: Its measured latency; None: the budget has none.
        test: Metrics on the test split.
        bytes: Size of the file.
        rival: Architecture, costs and test metrics of the uniform ViT trained alone; None: not asked for.
    """

    budget: dict[str, float]
    folder: Path
    file: Path
    architecture: Architecture
    costs: dict[str, float]
    measured_ms: float | None
    test: dict[str, Any]
    bytes: int
    rival: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        own = {"architecture": self.architecture.to_dict(), "folder": str(self.folder), "file": str(self.file)}
        return {**vars(self), **own}


@dataclass(frozen=True)
class FitResult:
    """What a run made.

    Attributes:
        folder: The run's folder.
        models: A network for each budget, in their order; the same one may serve two.
        page: The report.
        seconds: Time of all calls.
    """

    folder: Path
    models: tuple[FittedModel, ...]
    page: Path
    seconds: float

    @property
    def front(self) -> list[dict[str, Any]]:
        """Costs and test metrics of the distinct networks, in ascending MACs."""
        distinct = {model.architecture: model for model in self.models}.values()
        return [{**model.costs, **model.test} for model in sorted(distinct, key=lambda model: model.costs["macs"])]
