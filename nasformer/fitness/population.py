"""Evaluation of a population on images by depth-first traversal of its prefix tree: shared prefixes run once.

Peak memory is one activation ``(batch, tokens, embed_dim)`` per level of the path and the working memory of one block,
see ``bytes_per_image``. At equal batches, values are bitwise identical to sequential evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor

from nasformer.architecture import Architecture
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.prefix_tree import Node, PrefixTree
from nasformer.supernet import VisionTransformer
from nasformer.supernet.block import Block
from nasformer.supernet.relative_position import PatchGrid
from nasformer.training.validation import autocast

Result = tuple[Architecture, Tensor | Exception]
Scores = Callable[[Tensor, Any], dict[str, Tensor]]


def population_outcomes(
    net: VisionTransformer,
    tree: PrefixTree,
    batches: Iterable[tuple[Tensor, Any]],
    *,
    scores: Scores,
    bfloat16: bool = False,
) -> dict[Architecture, Outcome | Exception]:
    """Return the outcome of each architecture of a population.

    An error in a block is the outcome of the architectures that share the block; the others continue. Out-of-memory
    errors are raised, for the caller to retry with a smaller batch.

    Args:
        net: The supernet; its training mode is restored.
        tree: The population.
        batches: ``(images (batch, channels, height, width), labels (batch,))`` on the supernet's device.
        scores: The task's scores of outputs and the second item of a batch.
        bfloat16: Whether to autocast to bfloat16.
    """
    training = net.training
    net.eval()
    rows: dict[Architecture, list[dict[str, Tensor]]] = {}
    failed: dict[Architecture, Exception] = {}
    try:
        with torch.inference_mode(), autocast(next(net.parameters()).device, bfloat16):
            for images, labels in batches:
                for architecture, logits in walk(net, images, tree):
                    if isinstance(logits, Exception):
                        failed[architecture] = logits
                    else:
                        rows.setdefault(architecture, []).append(scores(logits.float(), labels))
    finally:
        net.train(training)
    return {**{architecture: _outcome(row) for architecture, row in rows.items()}, **failed}


def walk(net: VisionTransformer, images: Tensor, tree: PrefixTree) -> Iterator[Result]:
    """Yield the logits ``(batch, num_classes)`` or the error of each architecture, in tree order."""
    statistics = net.statistics(images)
    for root in tree.roots.values():
        member = next(root.descendants())
        yield from _descend(net, net.embed(images, member), root, 0, net.patch_grid(member), statistics)


def bytes_per_image(net: VisionTransformer) -> int:
    """Return the peak bytes per image: an activation per level, and one block's working memory."""
    top, g = net.architecture, net.geometry
    kept = (top.depth + 1) * top.embed_dim
    head = g.head_dim + (2 * g.grid if g.axes == 1 and len(net.grids) else 0)  # widened by the places of all patches
    block = 6 * top.embed_dim + 4 * head * max(top.num_heads) + max(top.hidden_dims)
    return 4 * (kept + block) * g.tokens


def _descend(
    net: VisionTransformer,
    x: Tensor,
    node: Node,
    layer_index: int,
    grid: PatchGrid | None,
    statistics: Tensor | None,
) -> Iterator[Result]:
    """Yield the results of a prefix's subtree, given its activation ``(batch, tokens, embed_dim)``."""
    if node.members:
        logits = net.classify(net.norm(x), node.members[0], statistics)  # all of one patch size
        yield from ((architecture, logits) for architecture in node.members)
    for layer, child in node.children.items():
        try:
            after = net.run_block(cast(Block, net.blocks[layer_index]), x, layer, grid)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            yield from ((architecture, error) for architecture in child.descendants())
            continue
        yield from _descend(net, after, child, layer_index + 1, grid, statistics)
        del after  # before the next one is computed: one activation per level


def _outcome(rows: list[dict[str, Tensor]]) -> Outcome:
    return Outcome({name: torch.cat([row[name] for row in rows]).cpu().numpy() for name in rows[0]})
