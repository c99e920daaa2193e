"""digits: 1,797 handwritten digits of 8x8 pixels, which come with scikit-learn.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
"""

from __future__ import annotations

import numpy as np

from nasformer.data.dataset import Dataset
from nasformer.data.tensors import from_arrays

FRACTIONS = {"train": 0.6, "search": 0.2, "test": 0.2}


def load_digits(*, seed: int = 0) -> Dataset:
    """Return the digits, split 60/20/20.

    >>> load_digits().record["splits"]
    {'train': 1078, 'search': 360, 'test': 359}
    """
    from sklearn.datasets import load_digits as read

    bunch = read()
    images = np.asarray(bunch.images, dtype=np.float32)[:, None] / 16.0  # (n, 1, 8, 8) in [0, 1]
    return from_arrays("digits", images, np.asarray(bunch.target), FRACTIONS, seed=seed)
