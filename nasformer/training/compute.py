"""Compute of a training in multiply-accumulates (MACs), from the closed form: no network runs.

A forward and a backward pass count as three forward passes (Kaplan et al., arXiv 2001.08361, section 2.1), since the
backward pass multiplies for the gradients of inputs and of weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from nasformer.architecture import Architecture
from nasformer.cost import macs
from nasformer.errors import RecipeError
from nasformer.supernet import VisionTransformer
from nasformer.training.recipe import Recipe

PASSES = 3
"""Forward and backward pass, in forward passes."""

_EPOCHS = 20


def training_macs(
    net: nn.Module, steps: Iterable[Sequence[Architecture | None]], batch_size: int, teacher: nn.Module | None = None
) -> int | None:
    """Return the MACs of training steps over all processes; None if those of the network are unknown.

    A teacher's forward pass is included if it is a ``VisionTransformer``. If the head alone is trained, the backward
    pass ends there, and is not counted.

    Args:
        net: The network.
        steps: The subnets of each step; None: the whole network.
        batch_size: Inputs of a step.
        teacher: Network of the distillation teacher.
    """
    if not isinstance(net, VisionTransformer):
        return None
    backbone = (parameter for name, parameter in net.named_parameters() if not name.startswith("head."))
    passes = PASSES if any(parameter.requires_grad for parameter in backbone) else 1
    taught = _forward(teacher) if isinstance(teacher, VisionTransformer) else 0
    return sum(taught + passes * sum(_forward(net, each) for each in subnets) for subnets in steps) * batch_size


def for_compute(recipe: Recipe, macs: float, forward: int, train_images: int, epochs: int = _EPOCHS) -> Recipe:
    """Return a recipe that takes a given compute, in ``epochs`` equal epochs or more.

    Args:
        recipe: The recipe.
        macs: Multiply-accumulates of the training, forward and backward.
        forward: Multiply-accumulates of an image's forward pass.
        train_images: Train images.
        epochs: Least number of epochs.

    Raises:
        RecipeError: The compute is less than a batch per epoch.

    >>> recipe = for_compute(Recipe(batch_size=50), 3e9, 1000, 10_000)
    >>> recipe.epochs, recipe.epoch_images
    (100, 10000)
    """
    images = macs / (PASSES * forward)
    if images < recipe.batch_size:
        raise RecipeError(
            f"{macs:.3g} multiply-accumulates are less than a batch of {recipe.batch_size} of a network of {forward:,} "
            "takes; take more, a smaller batch or a smaller network",
            macs,
        )
    return for_images(recipe, images, train_images, epochs)


def for_images(recipe: Recipe, images: float, train_images: int, epochs: int = _EPOCHS) -> Recipe:
    """Return a recipe that trains on a number of images, in ``epochs`` equal epochs or more.

    Args:
        recipe: The recipe.
        images: Images to train on, each as often as it is seen; at least a batch is.
        train_images: Train images.
        epochs: Least number of epochs.

    >>> recipe = for_images(Recipe(batch_size=50), 1_000_000, 10_000)
    >>> recipe.epochs, recipe.epoch_images
    (100, 10000)
    """
    batch = recipe.batch_size
    each = batch * max(1, min(train_images, int(images / epochs)) // batch)
    return recipe.replace(epochs=max(1, round(images / each)), epoch_images=each)


def _forward(net: VisionTransformer, architecture: Architecture | None = None) -> int:
    return int(macs(net.geometry, architecture or net.architecture))
