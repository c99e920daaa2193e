"""PrefixTree: the layer choices of a population as a trie, so that shared prefixes are computed once.

Architectures with equal network choices and equal first k layers share their activations up to layer k. A node is a
distinct prefix (network choices, then layers), so a population takes one block per node instead of one per layer and
architecture. Skipped layers are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nasformer.architecture import Architecture, Further, Layer


@dataclass(slots=True)
class Node:
    """A prefix.

    Args:
        children: Child nodes by their next layer.
        members: The architectures that end here.
        size: Number of architectures with this prefix.
    """

    children: dict[Layer, Node] = field(default_factory=dict)
    members: list[Architecture] = field(default_factory=list)
    size: int = 0

    def descendants(self) -> Iterator[Architecture]:
        """Yield the architectures with this prefix."""
        yield from self.members
        for child in self.children.values():
            yield from child.descendants()


class PrefixTree:
    """The prefixes of a population.

    Args:
        architectures: The population; duplicates count once.

    Attributes:
        roots: Root node of each network choice.

    >>> from nasformer.architecture import uniform
    >>> tree = PrefixTree([uniform(64, 3, 4, 2), uniform(64, 5, 4, 2), uniform(32, 3, 2, 2)])
    >>> tree.blocks, tree.one_by_one
    (8, 11)
    """

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self.roots: dict[tuple[int, Further], Node] = {}
        self.one_by_one = 0
        for architecture in dict.fromkeys(architectures):
            self.one_by_one += sum(map(_cost, architecture.layers))
            self._add(architecture)

    def _add(self, architecture: Architecture) -> None:
        node = self.roots.setdefault((architecture.embed_dim, architecture.network), Node())
        node.size += 1
        for layer in architecture.layers:
            node = node.children.setdefault(layer, Node())
            node.size += 1
        node.members.append(architecture)

    @property
    def blocks(self) -> int:
        """Number of distinct blocks; ``one_by_one`` is the number without sharing."""
        return sum(_count(root) for root in self.roots.values())

    def shares(self) -> dict[Architecture, float]:
        """Return each architecture's share of the work: a block's cost is split equally among its architectures.

        The stem counts as a block; shares sum to the number of computed stems and blocks.
        """
        found: dict[Architecture, float] = {}
        for root in self.roots.values():
            _split_cost(root, 0.0, found)
        return found


def in_tree_order(architectures: Sequence[Architecture]) -> list[Architecture]:
    """Sort architectures by prefix, so that neighbours share the most."""

    def prefix(architecture: Architecture) -> tuple[object, ...]:
        layers = ((layer.num_heads, layer.hidden_dim, layer.further) for layer in architecture.layers)
        return (architecture.embed_dim, architecture.network, *layers)

    return sorted(architectures, key=prefix)


def _cost(layer: Layer) -> int:
    """Return 1, or 0 for a skipped layer."""
    return int(bool(layer.num_heads or layer.hidden_dim))


def _count(node: Node) -> int:
    return sum(_cost(layer) + _count(child) for layer, child in node.children.items())


def _split_cost(node: Node, above: float, found: dict[Architecture, float], cost: int = 1) -> None:
    part = above + cost / node.size
    found.update(dict.fromkeys(node.members, part))
    for layer, child in node.children.items():
        _split_cost(child, part, found, _cost(layer))
