"""What an additive model leaves over, told apart into misfit and noise.

Misfit is alike in architectures that are alike, noise is not: a Gaussian process whose correlation falls by a
factor with each gene that differs (Rasmussen and Williams, 2006, chapters 2 and 5). How much of the
left-over is misfit, and how far it reaches, is what makes the left-over most probable among a few values.

With the correlation R = U diag(l) U', the left-over e has covariance c (share R + (1 - share) I), of which
the misfit's mean is share R (share R + (1 - share) I)^-1 e.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasformer.space.codec import Codes

_FACTORS = (0.5, 0.8, 0.95)
_SHARES = (0.0, 0.2, 0.5, 0.8, 0.95, 0.999)


def misfit(codes: Codes, left: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the part of what is left over that is no noise.

    Args:
        codes: Codes of the architectures, ``(n, columns)``.
        left: What is left over of each, ``(n,)``.

    >>> rng = np.random.default_rng(0)
    >>> genes, noise = rng.integers(0, 2, (200, 8)), rng.standard_normal(200)
    >>> float(np.abs(misfit(genes, noise)).max())
    0.0
    >>> together = (2.0 * genes[:, 0] - 1) * (2.0 * genes[:, 1] - 1)
    >>> bool(np.abs(misfit(genes, together) - together).max() < 0.01)
    True
    """
    differing = (codes[:, None, :] != codes[None, :, :]).sum(axis=2)
    best, found = -np.inf, np.zeros_like(left)
    for factor in _FACTORS:
        values, vectors = np.linalg.eigh(factor**differing)
        values, along = np.maximum(values, 0.0), vectors.T @ left
        for share in _SHARES:
            spread = share * values + 1.0 - share
            scale = float((along**2 / spread).mean())
            evidence = -0.5 * (len(left) * np.log(max(scale, 1e-300)) + float(np.log(spread).sum()))
            if evidence > best:
                best, found = evidence, vectors @ (share * values / spread * along)
    return found
