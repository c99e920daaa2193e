"""finetune_front: fine-tune the winners of several budgets, each from what the smaller ones have learnt.

Networks of one supernet share leading slices, so a small one that is trained is the core of a larger one, as when
networks are grown (Net2Net, Chen et al., ICLR 2016). Small networks learn most from the same compute; what they learn
is free for all larger ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture
from nasformer.data.dataset import Dataset
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet.supernet import Supernet
from nasformer.training.finetune import FinetuneResult, finetune
from nasformer.training.recipe import Recipe

_FALL = 2 / 3
"""Exponent by which a network's compute falls with its budget."""


def compute_parts(space: SearchSpace, budgets: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return each budget's part of the compute of all fine-tunings: more for smaller ones, from which larger start."""
    weights = [float(space.feasible(**budget).bounds("macs")[1]) ** -_FALL for budget in budgets]
    return [weight / sum(weights) for weight in weights]


def finetune_front(
    net: Supernet,
    architectures: Sequence[Architecture],
    data: Dataset,
    recipes: Recipe | Sequence[Recipe],
    *,
    out: str | Path | None = None,
    source: Mapping[str, Any] | None = None,
    **options: Any,
) -> list[FinetuneResult]:
    """Fine-tune networks in ascending order of their MACs; the weights of each go back into a copy of the supernet.

    Args:
        net: The supernet; not modified.
        architectures: The networks, such as the winners of several budgets; equal ones are trained once.
        data: The dataset.
        recipes: Recipe of all, or of each.
        out: Folder; that of each network is its place in ``architectures``, from 1.
        source: Provenance of the supernet, recorded in the figures.
        **options: Options of ``finetune``.

    Returns:
        The results in the order of ``architectures``.

    Raises:
        RecipeError: There are not as many recipes as networks.
    """
    each = [recipes] * len(architectures) if isinstance(recipes, Recipe) else list(recipes)
    if len(each) != len(architectures):
        raise RecipeError(
            f"there are {len(each)} recipes for {len(architectures)} networks; give one, or one each", each
        )
    shared, found = deepcopy(net), dict[Architecture, FinetuneResult]()
    for place in sorted(range(len(architectures)), key=lambda place: net.space.macs(architectures[place])):
        architecture = architectures[place]
        if architecture in found:
            continue
        folder = None if out is None else Path(out) / str(place + 1)
        kept = {"out": folder, "source": source, **options}
        found[architecture] = finetune(shared.extract(architecture), data, each[place], **kept)
        shared.absorb(found[architecture].net)
    return [found[architecture] for architecture in architectures]
