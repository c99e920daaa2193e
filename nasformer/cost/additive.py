"""AdditiveCost: a cost that is the sum of a stem and of layers.

Given the embedding width, a network's cost is the cost of its stem (patch embedding, positions, final norm,
head) plus the sum of its layers' costs. Everything exact that ``FeasibleSet`` does rests on this, and on the
sums being whole numbers: a cost of another unit says in what fraction of it it is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nasformer.architecture import Architecture
from nasformer.cost.budget import in_units
from nasformer.cost.geometry import Geometry


@dataclass(frozen=True, slots=True)
class AdditiveCost:
    """A cost that is a stem plus a sum over layers, counted in whole numbers.

    Args:
        name: The cost's name in budgets, with its unit where it has one.
        stem: ``(geometry, embed_dim)`` -> count of all that is not a layer.
        layer: ``(geometry, embed_dim, num_heads, hidden_dim)`` -> count of one layer.
        scale: Counts in one unit of the name: 1000 for ``latency_ms`` counted in microseconds.
        identity: What tells this cost from another of its name, such as a hash; recorded with searches.
    """

    name: str
    stem: Callable[[Geometry, int], int]
    layer: Callable[[Geometry, int, int, int], int]
    scale: int = 1
    identity: str = ""

    def __call__(self, geometry: Geometry, architecture: Architecture) -> float:
        """Return the cost of one architecture, in the unit of its name."""
        embed_dim = architecture.embed_dim
        layers = zip(architecture.num_heads, architecture.hidden_dims, strict=True)
        count = self.stem(geometry, embed_dim) + sum(self.layer(geometry, embed_dim, h, f) for h, f in layers)
        return in_units(count, self.scale)
