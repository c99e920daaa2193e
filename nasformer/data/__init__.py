"""Datasets with three splits that share no image: train, search and test.

``dataset`` holds and checks the splits, ``splits`` draws them, ``batches`` iterates over them, ``prefetch`` prepares
the next batch in a thread. ``picture`` reads one image file, ``image_files`` a split of them as ``data_config`` says,
``decoded`` caches decoded ones, ``examine`` looks for unreadable ones and copies, and ``held_out`` keeps splits by
name. ``digits``, ``fashion_mnist``, ``image_folder``, ``labelled_files``, ``hugging_face`` and ``transfer`` read one
source each, and ``load`` finds them by the name that ``names`` parses. ``label_table`` and ``label_targets`` read a
table and its targets, ``series`` and ``series_file`` series. Names are imported lazily: ``series_file`` is read
without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasformer.data.batches import iterate as iterate
    from nasformer.data.dataset import Dataset as Dataset
    from nasformer.data.load import dataset_names as dataset_names
    from nasformer.data.load import load_dataset as load_dataset
    from nasformer.data.load import resizable as resizable
    from nasformer.data.memory import ImagesInMemory as ImagesInMemory

_MODULE_OF = {
    **dict.fromkeys(("dataset_names", "load_dataset", "resizable"), "load"),
    **{"iterate": "batches", "Dataset": "dataset", "ImagesInMemory": "memory"},
}

__all__ = ["Dataset", "ImagesInMemory", "dataset_names", "iterate", "load_dataset", "resizable"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nasformer.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"nasformer.data.{_MODULE_OF[name]}"), name)
