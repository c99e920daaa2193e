"""AdditiveCost: a stem cost plus a sum of layer costs.

Given the network choices, the cost is that of the stem (patch embedding, positions, final norm, head) plus the sum
of the layers'. Plug-in dimensions add their own terms (``Kind.costs``). ``FeasibleSet`` is exact because costs are
additive and integer: a cost in another unit is counted in a fixed fraction of it (``scale``).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import Parameter, signature

from nasformer.architecture import Architecture, Further, Layer
from nasformer.cost.budget import in_units
from nasformer.cost.geometry import Geometry, Network
from nasformer.dimension import kind_of


@dataclass(frozen=True, slots=True)
class AdditiveCost:
    """An integer-valued cost: a stem term plus a sum over layers.

    Args:
        name: The cost's name in budgets, including its unit if any.
        stem: ``(network)`` -> count of everything outside the layers.
        layer: ``(network, layer)`` -> count of one layer.
        scale: Counts per unit: 1000 for ``latency_ms`` counted in microseconds.
        identity: Distinguishes costs of the same name, such as a hash; recorded with searches.
    """

    name: str
    stem: Callable[[Network], int]
    layer: Callable[[Network, Layer], int]
    scale: int = 1
    identity: str = ""

    def __post_init__(self) -> None:
        for part, adapter, numbers in (("stem", _stem_of_numbers, 2), ("layer", _layer_of_numbers, 4)):
            function = getattr(self, part)
            if _required(function) == numbers:
                warnings.warn(
                    f"AdditiveCost {self.name!r}: {part} is now called with (network{', layer' * (part == 'layer')})",
                    DeprecationWarning,
                    stacklevel=3,
                )
                object.__setattr__(self, part, partial(adapter, function))

    def __call__(self, geometry: Geometry, architecture: Architecture) -> float:
        """Return the cost of an architecture, in the cost's unit."""
        network = Network.of(geometry, architecture)
        count = self.stem_count(network) + sum(self.layer_count(network, layer) for layer in architecture.layers)
        return in_units(count, self.scale)

    def stem_count(self, network: Network) -> int:
        """Return the count of the stem, further network dimensions included."""
        return self.stem(network) + sum(term(network) for term in self._terms(network.further))

    def layer_count(self, network: Network, layer: Layer) -> int:
        """Return the count of one layer, further layer dimensions included."""
        return self.layer(network, layer) + sum(term(network, layer) for term in self._terms(layer.further))

    def _terms(self, further: Further) -> list[Callable[..., int]]:
        costs = [kind_of(name).costs for name, _ in further]
        return [each[self.name] for each in costs if self.name in each]


def _required(function: Callable[..., int]) -> int | None:
    """Return the number of parameters without defaults; None if there is no signature."""
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    named = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.default is Parameter.empty and each.kind in named for each in parameters)


def _stem_of_numbers(function: Callable[..., int], network: Network) -> int:
    """Adapt a stem function of version 0.1."""
    return function(network.geometry, network.embed_dim)


def _layer_of_numbers(function: Callable[..., int], network: Network, layer: Layer) -> int:
    """Adapt a layer function of version 0.1."""
    return function(network.geometry, network.embed_dim, layer.num_heads, layer.hidden_dim)
