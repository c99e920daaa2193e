"""Affordable: the largest network that some compute trains well, since a larger one would learn less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasformer.cost import Bounds, Limits
from nasformer.growth.compute import Compute
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe

_IMAGES = 2e6
_LEAST, _MOST = 20.0, 300.0
_ROUNDS, _ROOM = 3, 2
_GROWN = 1.25
"""Least ratio of a network's MACs to those before that makes it worth a step."""


def default_epochs(train_images: int) -> float:
    """Return the passes over the train images that a network should have: two million images in 20 to 300 epochs.

    >>> default_epochs(50_000), default_epochs(1000)
    (40.0, 300.0)
    """
    return min(_MOST, max(_LEAST, _IMAGES / train_images))


def affordable_macs(
    net: Supernet, limits: Limits, compute: Compute, epochs: float, recipe: Recipe, options: Mapping[str, Any]
) -> float:
    """Return the most MACs of a network within limits that the compute trains for some epochs.

    Args:
        net: The supernet.
        limits: The limits.
        compute: The compute, all of it for one network.
        epochs: Passes over the train images.
        recipe: Recipe of the training.
        options: Its options; where the compute is time, some steps are run.
    """
    space = net.space
    low, high = space.feasible(**limits).bounds("macs")
    most = high
    for _ in range(_ROUNDS):
        inside = space.feasible(**{**limits, "macs": Bounds(None, most)})
        network = (inside.uniform() or inside.sample(1))[-1]
        images = compute.left / compute.of_image(net, network, recipe, options)
        most = min(high, max(_ROOM * low, space.macs(network) * images / (epochs * len(compute.data.train))))
        if most == high:
            break
    return most


def affordable_limits(space: SearchSpace, ascending: Sequence[Limits], most: float) -> list[Limits]:
    """Return the limits of the networks to train: the budgets, or what is below them where the compute is too short.

    A budget is left out if the networks of a smaller one are hardly below what is affordable.

    Args:
        space: The space.
        ascending: The budgets.
        most: Most MACs of a network.
    """
    found = list[Limits]()
    for upper in ascending:
        inside = [
            each for each in found if all(name in each and _at_most(each[name], own) for name, own in upper.items())
        ]
        before = max((space.feasible(**each).bounds("macs")[1] for each in inside), default=0.0)
        if space.feasible(**upper).bounds("macs")[1] <= most:
            found.append(upper)
        elif most >= _GROWN * before:
            found.append({**upper, "macs": Bounds(None, most)})
    return found


def _at_most(bounds: Bounds, other: Bounds) -> bool:
    return (bounds.high or 0) <= (other.high or 0)
