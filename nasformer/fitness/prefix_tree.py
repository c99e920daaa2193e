"""PrefixTree: the layer choices of a population as a tree, so that what architectures share is done once.

Architectures of the same choices for the network whose first k layers are alike have the same activations up to
there: a node stands for a distinct prefix (the network's choices, then those of each layer), and the work of a
population is one block for each node instead of one for each layer of each architecture. A skipped layer is free.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from nasformer.architecture import Architecture, Further, Layer


@dataclass(slots=True)
class Node:
    """A prefix.

    Args:
        children: The prefixes that are one layer longer.
        members: The architectures that end here.
        size: How many architectures begin with this prefix.
    """

    children: dict[Layer, Node] = field(default_factory=dict)
    members: list[Architecture] = field(default_factory=list)
    size: int = 0

    def below(self) -> Iterator[Architecture]:
        """Yield the architectures that begin with this prefix."""
        yield from self.members
        for child in self.children.values():
            yield from child.below()


class PrefixTree:
    """The prefixes of a population.

    Args:
        architectures: The population; one that comes twice counts once.

    Attributes:
        roots: The tree of each choice of the network.

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
        """Number of distinct blocks; ``one_by_one`` is their number without sharing."""
        return sum(_count(root) for root in self.roots.values())

    def shares(self) -> dict[Architecture, float]:
        """Return each architecture's part of the work: a block's is divided among those that begin with it.

        The stem counts as a block; the parts add up to the stems and blocks computed.
        """
        found: dict[Architecture, float] = {}
        for root in self.roots.values():
            _divide(root, 0.0, found)
        return found


def in_tree_order(architectures: Sequence[Architecture]) -> list[Architecture]:
    """Return the architectures sorted by their prefixes, so that neighbours share most."""

    def prefix(architecture: Architecture) -> tuple[object, ...]:
        layers = ((layer.num_heads, layer.hidden_dim, layer.further) for layer in architecture.layers)
        return (architecture.embed_dim, architecture.network, *layers)

    return sorted(architectures, key=prefix)


def _cost(layer: Layer) -> int:
    """Return 1 for a block that is computed, 0 for one that is skipped whole."""
    return int(bool(layer.num_heads or layer.hidden_dim))


def _count(node: Node) -> int:
    return sum(_cost(layer) + _count(child) for layer, child in node.children.items())


def _divide(node: Node, above: float, found: dict[Architecture, float], cost: int = 1) -> None:
    part = above + cost / node.size
    found.update(dict.fromkeys(node.members, part))
    for layer, child in node.children.items():
        _divide(child, part, found, _cost(layer))
