"""repair: a subnet is repaired after cutting, on train images without augmentation and labels."""

from __future__ import annotations

import torch

from nasformer.architecture import Architecture
from nasformer.data.batches import Readers, iterate
from nasformer.data.dataset import Dataset
from nasformer.supernet.layers import resize_images
from nasformer.supernet.model import VisionTransformer
from nasformer.supernet.repair import LEAST_IMAGES, Repair
from nasformer.supernet.repair import repair as repair_on_images
from nasformer.supernet.supernet import Supernet
from nasformer.training.device import find_device
from nasformer.training.teacher import from_checkpoint

_MOST_IMAGES, _MOST_TOKENS = 1024, 2**16
_AT_A_TIME = 128


def repair(
    net: VisionTransformer,
    architecture: Architecture,
    data: Dataset,
    *,
    device: str | torch.device = "cpu",
    readers: Readers = 0,
    seed: int = 0,
) -> Repair:
    """Extract a subnet, and repair it on a sample of the train images, at most 1,024, as test images are prepared.

    Args:
        net: The full network, such as ``Supernet.from_timm(model)``; not modified.
        architecture: The subnet.
        data: The dataset; its images are resized to the network's size. Search and test images are not touched.
        device: "auto" is the first available of cuda, mps and cpu.
        readers: Processes that read images that are not in memory.
        seed: Random seed of the sample.

    Raises:
        ArchitectureError: ``architecture`` is larger than this network, or the network shares no weights.
        DataError: The images are too few, cannot be read, or do not fit the network.

    >>> from nasformer.data import load_dataset
    >>> from nasformer.space import load_space
    >>> from nasformer.supernet import Supernet
    >>> space = load_space("digits")
    >>> found = repair(Supernet(space), space.smallest, load_dataset("digits"))
    >>> found.after < found.before, found.images + found.held_out
    (True, 1024)
    """
    count = max(LEAST_IMAGES, min(_MOST_IMAGES, _MOST_TOKENS // net.geometry.of(architecture).tokens))
    batches = iterate(data.train, _AT_A_TIME, seed=seed, stop=count, readers=readers)
    images = torch.cat([images for images, _ in batches])
    if images.ndim == 4 and not net.resizes:
        images = resize_images(images, net.geometry.image_size)
    task = data.task if data.num_classes == net.geometry.num_classes else None
    home = next(net.parameters()).device
    try:
        found = repair_on_images(net.to(find_device(device)), architecture, images, task=task)
    finally:
        net.to(home)
    found.net.to(home)
    return found


def repairs_by_default(net: Supernet, data: Dataset) -> bool:
    """Whether a supernet is of a trained checkpoint, by its metadata, and the train images suffice to repair it."""
    return from_checkpoint(net) and len(data.train) >= LEAST_IMAGES
