"""A population on images: its prefix tree walked depth first for each batch, so that what is shared runs once.

Kept at a time is one activation for each level of the path, ``(batch, tokens, embed_dim)`` each, and the
working memory of one block: ``bytes_per_image`` states it. The values are those of one by one, bit
for bit at equal batches: the same operations run on the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.prefix_tree import Node, PrefixTree
from nasformer.supernet import VisionTransformer
from nasformer.supernet.block import Block
from nasformer.supernet.relative_position import PatchGrid
from nasformer.training.validation import autocast

Judged = tuple[Architecture, Tensor | Exception]


def population_outcomes(
    net: VisionTransformer,
    tree: PrefixTree,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    bfloat16: bool = False,
) -> dict[Architecture, Outcome | Exception]:
    """Return what each image says of each architecture of a population.

    What an architecture raises is its own: those that share the block that raised get the same, the others
    go on. Memory that runs out is raised, since a smaller batch helps.

    Args:
        net: The supernet; it is left in the mode that it was in.
        tree: The population.
        batches: ``(images (batch, channels, height, width), labels (batch,))`` on the supernet's device.
        bfloat16: Whether to compute in that precision.
    """
    training = net.training
    net.eval()
    rows: dict[Architecture, list[tuple[Tensor, Tensor]]] = {}
    failed: dict[Architecture, Exception] = {}
    try:
        with torch.inference_mode(), autocast(next(net.parameters()).device, bfloat16):
            for images, labels in batches:
                for architecture, logits in walk(net, images, tree):
                    if isinstance(logits, Exception):
                        failed[architecture] = logits
                    else:
                        rows.setdefault(architecture, []).append(_of_each_image(logits.float(), labels))
    finally:
        net.train(training)
    return {**{architecture: _outcome(row) for architecture, row in rows.items()}, **failed}


def walk(net: VisionTransformer, images: Tensor, tree: PrefixTree) -> Iterator[Judged]:
    """Yield the logits ``(batch, num_classes)`` of each architecture, or what it raised, in tree order."""
    for root in tree.roots.values():
        one = next(root.below())
        yield from _descend(net, net.embed(images, one), root, 0, net.grid_of(one))


def bytes_per_image(net: VisionTransformer) -> int:
    """Return most bytes that one image takes in a walk: an activation for each level, and one block's work."""
    top = net.architecture
    kept = (top.depth + 1) * top.embed_dim
    block = 6 * top.embed_dim + 4 * net.geometry.head_dim * max(top.num_heads) + max(top.hidden_dims)
    return 4 * (kept + block) * net.geometry.tokens


def _descend(net: VisionTransformer, x: Tensor, node: Node, place: int, grid: PatchGrid | None) -> Iterator[Judged]:
    """Yield what begins with a prefix, given its activation ``(batch, tokens, embed_dim)``."""
    if node.members:
        logits = net.classify(net.norm(x))
        yield from ((architecture, logits) for architecture in node.members)
    for layer, child in node.children.items():
        try:
            after = net.run_block(cast(Block, net.blocks[place]), x, layer, grid)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            yield from ((architecture, error) for architecture in child.below())
            continue
        yield from _descend(net, after, child, place + 1, grid)
        del after  # before the next is made: one activation a level


def _of_each_image(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    return logits.argmax(dim=1) == labels, F.cross_entropy(logits, labels, reduction="none")


def _outcome(row: list[tuple[Tensor, Tensor]]) -> Outcome:
    correct, loss = (torch.cat(column).cpu().numpy() for column in zip(*row, strict=True))
    return Outcome(correct, loss)
