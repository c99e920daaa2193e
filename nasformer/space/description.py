"""Description: summary of a space, and whether a budget is feasible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nasformer._io import grouped
from nasformer.architecture import Architecture
from nasformer.cost import as_limits, format_limits, merge
from nasformer.errors import BudgetError
from nasformer.space.bounded import bounded
from nasformer.space.searchspace import SearchSpace


@dataclass(frozen=True, slots=True)
class Description:
    """Summary of a space.

    Args:
        space: The space described.
        rows: ``minimum``, ``centroid``, ``maximum`` and ``supernet``, each with its costs.
        limits: The budget and the space's own constraints, as one line.
        feasible: Number of architectures within the limits.
        obstacle: Why the limits are infeasible, else None.
    """

    space: SearchSpace
    rows: dict[str, tuple[Architecture, dict[str, int]]]
    limits: str
    feasible: int
    obstacle: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data."""
        return {
            "space": self.space.to_dict(),
            "fingerprint": self.space.fingerprint,
            "size": self.space.size(),
            "limits": self.limits,
            "feasible": self.feasible,
            "obstacle": self.obstacle,
            "architectures": {name: {**arch.to_dict(), **costs} for name, (arch, costs) in self.rows.items()},
        }

    def __str__(self) -> str:
        lines = [f"{self.space.name}: {grouped(self.space.size())} architectures"]
        lines += [f"  {d.name:<11}{getattr(self.space, d.name)}" for d in self.space.dimensions]
        lines.append(f"  {'':<11}{'params':>14} {'MACs':>18}")
        for name, (_, costs) in self.rows.items():
            lines.append(f"  {name:<11}{costs['params']:>14,} {costs['macs']:>18,}")
        budget = f"{grouped(self.feasible)} with {self.limits}" if self.obstacle is None else self.obstacle
        return "\n".join([*lines, f"  feasible   {budget}", f"  fingerprint {self.space.fingerprint}"])


def describe(space: SearchSpace, budget: object = None) -> Description:
    """Describe a space within a budget.

    Args:
        space: The space.
        budget: A budget as in ``as_limits``; None: only the space's own constraints.
    """
    references = {
        "minimum": space.smallest,
        "centroid": space.centroid,
        "maximum": space.largest,
        "supernet": space.supernet_architecture,
    }
    rows = {
        name: (architecture, {"params": space.params(architecture), "macs": space.macs(architecture)})
        for name, architecture in references.items()
    }
    limits = merge(space.constraints, as_limits(budget, space.known_costs))
    try:
        feasible, obstacle = bounded(space, limits).count(), None
    except BudgetError as error:
        feasible, obstacle = 0, str(error)
    return Description(space, rows, format_limits(limits) or "no limits", feasible, obstacle)
