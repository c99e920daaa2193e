"""AdditiveCost: a cost that is the sum of a stem and of layers.

Given the choices of the network, its cost is the cost of its stem (patch embedding, positions, final norm, head)
plus the sum of its layers' costs. A dimension from outside adds its own part (``Kind.costs``). Everything exact
that ``FeasibleSet`` does rests on this, and on the sums being whole numbers: a cost of another unit says in what
fraction of it it is counted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature

from nasformer.architecture import Architecture, Further, Layer
from nasformer.cost.budget import in_units
from nasformer.cost.geometry import Geometry, Network
from nasformer.dimension import kind_of


@dataclass(frozen=True, slots=True)
class AdditiveCost:
    """A cost that is a stem plus a sum over layers, counted in whole numbers.

    Args:
        name: The cost's name in budgets, with its unit where it has one.
        stem: ``(network)`` -> count of all that is not a layer.
        layer: ``(network, layer)`` -> count of one layer.
        scale: Counts in one unit of the name: 1000 for ``latency_ms`` counted in microseconds.
        identity: What tells this cost from another of its name, such as a hash; recorded with searches.
    """

    name: str
    stem: Callable[[Network], int]
    layer: Callable[[Network, Layer], int]
    scale: int = 1
    identity: str = ""

    def __post_init__(self) -> None:
        for part, adapter, numbers in (("stem", _stem_of_numbers, 2), ("layer", _layer_of_numbers, 4)):
            function = getattr(self, part)
            if len(signature(function).parameters) == numbers:
                warnings.warn(
                    f"AdditiveCost {self.name!r}: {part} is now called with (network{', layer' * (part == 'layer')})",
                    DeprecationWarning,
                    stacklevel=3,
                )
                object.__setattr__(self, part, partial(adapter, function))

    def __call__(self, geometry: Geometry, architecture: Architecture) -> float:
        """Return the cost of one architecture, in the unit of its name."""
        network = Network.of(geometry, architecture)
        count = self.stem_count(network) + sum(self.layer_count(network, layer) for layer in architecture.layers)
        return in_units(count, self.scale)

    def stem_count(self, network: Network) -> int:
        """Return the count of all that is not a layer, with what further dimensions add."""
        return self.stem(network) + sum(part(network) for part in self._parts(network.further))

    def layer_count(self, network: Network, layer: Layer) -> int:
        """Return the count of one layer, with what further dimensions add."""
        return self.layer(network, layer) + sum(part(network, layer) for part in self._parts(layer.further))

    def _parts(self, further: Further) -> list[Callable[..., int]]:
        costs = [kind_of(name).costs for name, _ in further]
        return [each[self.name] for each in costs if self.name in each]


def _stem_of_numbers(function: Callable[..., int], network: Network) -> int:
    """Call a stem as version 0.1 did."""
    return function(network.geometry, network.embed_dim)


def _layer_of_numbers(function: Callable[..., int], network: Network, layer: Layer) -> int:
    """Call a layer as version 0.1 did."""
    return function(network.geometry, network.embed_dim, layer.num_heads, layer.hidden_dim)
