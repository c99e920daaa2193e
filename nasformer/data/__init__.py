"""Datasets with three splits that share no image: train, search and test.

``dataset`` holds the splits and checks them, ``splits`` draws them, ``batches`` iterates over them, one batch
``prefetch`` ahead of the caller, and ``decoded`` keeps the pixels of files that are read again and again; ``digits``,
``fashion_mnist``, ``image_folder`` and ``transfer`` read one source each, and ``load`` finds them by name.
"""

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.data.load import augmentation, dataset_names, load_dataset, resizable
from nasformer.data.memory import ImagesInMemory

__all__ = ["Dataset", "ImagesInMemory", "augmentation", "dataset_names", "iterate", "load_dataset", "resizable"]
