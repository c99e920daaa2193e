"""family_of: a checkpoint's network and a dataset as a supernet, ready to be searched.

A head for other classes is a linear probe: a logistic regression on the features of train images, as is common in the
evaluation of representations (Kornblith et al., CVPR 2019). Importance is measured on train images too.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.data.held_out import held_out
from nasformer.errors import DataError, shown
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.supernet.family import Checkpoint
from nasformer.tasks import get_task

Batch = tuple[Tensor, Tensor]
_BATCH = 64
_ITERATIONS = 500


def family_of(
    source: Checkpoint,
    data: Dataset,
    space: str | Path | SearchSpace | None = None,
    *,
    images: int = 1024,
    new_head: bool = False,
    seed: int = 0,
) -> tuple[Supernet, Dataset]:
    """Return the supernet around a network for a dataset, and the dataset with the names of the network's classes.

    Args:
        source: The network, such as of ``read_timm``.
        data: The dataset, with the preprocessing of the network.
        space: A space around the network; None: the suggested one.
        images: Number of train images for importance and a new head.
        new_head: Whether to replace a head for as many classes.
        seed: Seed of the sample.

    Raises:
        DataError: The images do not fit the network, or its classes have other names than those of the data.
        ArchitectureError: The space has other sizes than the network.
    """
    is_classified = data.task.name == "classification"
    names = source.source.get("classes", ())
    meant = is_classified or (data.task.name == "multi-label" and sorted(names) == sorted(data.classes))
    kept = "head.weight" in source.weights and source.geometry.num_classes == data.num_classes and not new_head
    kept = kept and meant  # numbers are standardised by their data
    if kept:
        source, data = _with_same_classes(source, data)
    else:
        weights = {name: each for name, each in source.weights.items() if not name.startswith("head.")}
        source = replace(source, weights=weights).with_head(data.num_classes, seed)
    sample = list(iterate(data.train, _BATCH, seed=seed, stop=images))  # as in evaluation
    if not kept and is_classified:
        source = linear_probe(source, sample)
    net = Supernet.from_checkpoint(source, space, batches=sample if is_classified else None)
    data.check(net.space)
    held = held_out(data)
    net.metadata |= {"training": {"data": data.record}, **({} if held is None else {"held_out": held})}
    return net, data


def linear_probe(source: Checkpoint, batches: Sequence[Batch]) -> Checkpoint:
    """Return a network with a head fitted to its features of images by logistic regression."""
    from sklearn.linear_model import LogisticRegression

    net, classes = source.network(), source.geometry.num_classes
    with torch.inference_mode():
        features = torch.cat([net.fc_norm(net.pool(net.forward_features(x))).flatten(1) for x, _ in batches]).numpy()
    labels = torch.cat([labels for _, labels in batches]).numpy()
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    found, *others = np.unique(labels)
    weight, bias = np.zeros((classes, len(mean))), np.full(classes, 0.0 if not others else -20.0)
    if others:
        model = LogisticRegression(max_iter=_ITERATIONS).fit((features - mean) / deviation, labels)
        rows = model.coef_ if len(model.coef_) > 1 else np.concatenate((-model.coef_, model.coef_)) / 2
        shift = model.intercept_ if len(rows) == len(model.intercept_) else model.intercept_ * np.array([-0.5, 0.5])
        weight[model.classes_] = rows / deviation
        bias[model.classes_] = shift - (rows / deviation) @ mean
    else:
        bias[found] = 1.0
    shape = source.weights["head.weight"].shape
    head = {"head.weight": torch.tensor(weight).float().view(shape), "head.bias": torch.tensor(bias).float()}
    origin = {**source.source, "head": f"logistic regression on {len(labels)} images"}
    return replace(source, weights={**source.weights, **head}, source=origin, new_head=False)


def _with_same_classes(source: Checkpoint, data: Dataset) -> tuple[Checkpoint, Dataset]:
    """Return a network with its outputs in the order of the data's classes, and the data with the network's names.

    Raises:
        DataError: Both have names, and others.
    """
    theirs, names = [str(name) for name in source.source.get("classes", ())], data.classes
    if not theirs or theirs == names:
        return source, data
    if sorted(theirs) == sorted(names):
        order = [theirs.index(name) for name in names]
        head = {key: source.weights[key][order] for key in ("head.weight", "head.bias")}
        return replace(source, weights={**source.weights, **head}, source={**source.source, "classes": names}), data
    if names != list(map(str, range(len(names)))):
        odd = next(name for name in names if name not in theirs)
        raise DataError(
            f"the model has classes of other names than {data.name!r}, which has {shown(odd)}, the model "
            f"{shown(theirs[0])}, …; rename the folders, or take a new head (--new-head)",
            odd,
        )
    named, task = copy(data), get_task("classification")(tuple(theirs))
    named.task, named.record = task, {**data.record, **task.record()}
    return source, named


def checkpoint_line(net: Supernet) -> str:
    """Return what a supernet was made of, in one line."""
    imported: dict[str, Any] = net.metadata["imported"]
    head = imported.get("head", "its own head" if "new_head" not in imported else "a new head, not trained")
    images = "" if imported.get("preprocessing") else "; images as for ImageNet, since the model does not say how"
    return f"{imported.get('name', imported['format'])}: {head}, sorted by {imported['importance']}{images}"
