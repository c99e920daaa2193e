"""Datasets with three splits that share no image: train, search and test.

``dataset`` holds and checks the splits, ``splits`` draws them, ``batches`` iterates over them, ``prefetch`` prepares
the next batch in a thread, and ``decoded`` caches decoded image files; ``digits``, ``fashion_mnist``,
``image_folder``, ``labelled_files`` and ``transfer`` read one source each, and ``load`` finds them by the name that
``names`` parses. ``label_table`` and ``label_targets`` read a table and its targets.
"""

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.data.load import augmentation, dataset_names, load_dataset, resizable
from nasformer.data.memory import ImagesInMemory

__all__ = ["Dataset", "ImagesInMemory", "augmentation", "dataset_names", "iterate", "load_dataset", "resizable"]
