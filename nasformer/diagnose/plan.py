"""Plan: measurements of a diagnosis and their size. Training dominates the cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nasformer._io import digest
from nasformer.cost import Bounds, Limits
from nasformer.errors import DiagnosisError
from nasformer.space import SearchSpace
from nasformer.training import Recipe

_LEAST = {"architectures": 3, "pool": 3, "band": 0, "long": 0, "seed": 0}
_LEAST |= dict.fromkeys(("search_images", "evaluations", "random", "seeds"), 1)


@dataclass(frozen=True)
class Plan:
    """The measurements of a diagnosis.

    Raises:
        DiagnosisError: A size is too small.
        RecipeError: The recipe is invalid.
    """

    recipe: Mapping[str, Any]  # of networks trained alone, from Recipe.to_dict
    budgets: tuple[Mapping[str, Any], ...] = ()  # each as in SearchSpace.feasible; the middle one is that of the band
    epochs: int | None = None  # of a network in fidelity; None: those of the recipe
    architectures: int = 20  # retrained over the whole range of the budgets
    band: int = 20  # retrained within 10 % of the middle budget
    long: int = 5  # of the former, also retrained for as many epochs as the supernet
    pool: int = 100  # architectures evaluated per image
    search_images: int = 2000  # per evaluation of a search
    evaluations: int = 100  # per search
    random: int = 1000  # evaluations whose winner a search is to pass
    seeds: int = 3  # searches of each strategy
    seed: int = 0
    pieces: tuple[str, ...] = ()  # names of the pieces; empty: all

    def __post_init__(self) -> None:
        for name, bound in _LEAST.items():
            if getattr(self, name) < bound:
                raise DiagnosisError(f"{name} must be at least {bound}, got {getattr(self, name)}", self)
        if self.long > self.architectures:
            raise DiagnosisError(f"long is {self.long}, of {self.architectures} architectures; take fewer", self)
        object.__setattr__(self, "recipe", Recipe(**self.recipe).to_dict())  # with its defaults

    @property
    def middle(self) -> Mapping[str, Any]:
        """The middle budget."""
        return self.budgets[len(self.budgets) // 2] if self.budgets else {}

    def identity(self, *names: str) -> str:
        """Return a hash of some attributes."""
        return digest({name: value for name, value in asdict(self).items() if name in names})


def spread_budgets(space: SearchSpace) -> tuple[Limits, ...]:
    """Return five budgets in MACs at equal ratios, up to the largest network.

    The least is an eighth of it, or more if no uniform ViT is so small; fewer if all are equally large.
    """
    feasible = space.feasible()
    most = feasible.bounds("macs")[1]
    ratio = min(8, most / min(map(space.macs, feasible.uniform()), default=most))
    found = sorted({math.ceil(most / ratio ** (part / 4)) for part in range(5)})
    return tuple({"macs": Bounds(None, macs)} for macs in found)
