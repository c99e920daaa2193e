"""Decomposes the residuals of an additive model into misfit and noise.

Misfit is correlated between similar architectures, noise is not: a Gaussian process whose correlation decays by a
factor per differing gene (Rasmussen and Williams, 2006, chapters 2 and 5). The share of misfit and the factor
maximise the evidence over a grid.

With the correlation R = U diag(l) U', the residuals e have covariance c (share R + (1 - share) I), and the posterior
mean of the misfit is share R (share R + (1 - share) I)^-1 e.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nasformer.space.codec import Codes

_FACTORS = (0.5, 0.8, 0.95)
_SHARES = (0.0, 0.2, 0.5, 0.8, 0.95, 0.999)


def misfit(codes: Codes, residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the posterior mean of the misfit, ``(n,)``.

    Args:
        codes: Codes of the architectures, ``(n, columns)``.
        residuals: Residuals, ``(n,)``.

    >>> rng = np.random.default_rng(0)
    >>> genes, noise = rng.integers(0, 2, (200, 8)), rng.standard_normal(200)
    >>> float(np.abs(misfit(genes, noise)).max())
    0.0
    >>> together = (2.0 * genes[:, 0] - 1) * (2.0 * genes[:, 1] - 1)
    >>> bool(np.abs(misfit(genes, together) - together).max() < 0.01)
    True
    """
    differing = (codes[:, None, :] != codes[None, :, :]).sum(axis=2)
    best, found = -np.inf, np.zeros_like(residuals)
    for factor in _FACTORS:
        values, vectors = np.linalg.eigh(factor**differing)
        values, along = np.maximum(values, 0.0), vectors.T @ residuals
        for share in _SHARES:
            spread = share * values + 1.0 - share
            scale = float((along**2 / spread).mean())
            evidence = -0.5 * (len(residuals) * np.log(max(scale, 1e-300)) + float(np.log(spread).sum()))
            if evidence > best:
                best, found = evidence, vectors @ (share * values / spread * along)
    return found
