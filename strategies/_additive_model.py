"""Bayesian linear regression of fitness on one-hot encoded choices.

y = intercept + sum of effects + noise, with one effect per choice of the network and of each layer. A layer's effect
is a main effect shared by all layers, plus its own, plus the interactions of both with embed_dim: on ImageNet
accuracies a layer's choices interact with embed_dim, but neither with each other nor with those of the next layer
(``benchmarks/thompson_design.py``). Effects of a group share a normal prior; its variance and the noise maximise the
evidence (MacKay, Neural Computation 1992; Bishop, Pattern Recognition and Machine Learning, section 3.5, by
expectation maximisation) under an inverse gamma prior worth two effects.

With V = diag(variances), noise s, and D = diag(s + error variance of each value): precision A = X' D^-1 X + 1/V,
mean m = A^-1 X' D^-1 y.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular

from nasformer.space.codec import Codec, Codes
from nasformer.space.scores import Scores

Array = NDArray[np.float64]

_MAX_COLUMNS = 800
"""Above this many columns, per-layer interactions with embed_dim are dropped to bound the time of a fit."""

_PRIOR = {
    "network": 1.0,
    "any_layer": 1 / 40,
    "layer": 1 / 40,
    "embed_any": 1 / 400,
    "embed_layer": 1 / 400,
}
"""Prior variances of each group of effects, in variances of the fitness."""

_PRIOR_WEIGHT = 2.0
_MIN_NOISE = 1e-4
_MIN_VARIANCE = 1e-200
_INITIAL_STEPS = 30


class AdditiveModel:
    """Additive model of one space.

    Args:
        codec: The space's codec.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._network = [dimension for dimension in codec.dimensions if dimension.scope == "network"]
        sizes = [len(dimension.values) for dimension in codec.layer]
        widths, layers = len(codec.values["embed_dim"]), codec.max_depth
        blocks = [("network", len(dimension.values)) for dimension in self._network]
        for size in sizes:
            blocks += [("any_layer", size), ("layer", layers * size)]
        interactions = [("embed_any", widths * size) for size in sizes] + [
            ("embed_layer", widths * layers * size) for size in sizes
        ]
        self._per_layer = sum(size for _, size in [*blocks, *interactions]) <= _MAX_COLUMNS
        blocks += interactions if self._per_layer else interactions[: len(sizes)]
        self._groups = np.repeat(np.arange(len(blocks)), [size for _, size in blocks])
        self._prior_variances = np.array([_PRIOR[group] for group, _ in blocks])
        self.columns = len(self._groups)
        self._variances: Array | None = None

    def features(self, codes: Codes) -> Array:
        """Return the one-hot features of codes, ``(n, columns)``."""
        codec, n = self.codec, len(codes)
        blocks = [_one_hot(codec.genes(d.name, codes), len(d.values)) for d in self._network]
        width = _one_hot(codec.genes("embed_dim", codes), len(codec.values["embed_dim"]))
        # layers: (n, layers, choices)
        layers = [_one_hot(codec.genes(d.name, codes), len(d.values)) for d in codec.layer]
        for layer in layers:
            blocks += [layer.sum(axis=1), layer.reshape(n, -1)]
        blocks += [_products(width, layer.sum(axis=1)) for layer in layers]
        if self._per_layer:
            blocks += [_products(width, layer.reshape(n, -1)) for layer in layers]
        return np.concatenate(blocks, axis=1)

    def scores(self, effects: Array) -> Scores:
        """Return effects ``(columns,)`` as scores for ``FeasibleSet.argmax``."""
        codec, widths = self.codec, len(self.codec.values["embed_dim"])
        shapes = [(codec.max_depth, len(dimension.values)) for dimension in codec.layer]
        take = _Reshaper(effects)
        found = {dimension.name: take(len(dimension.values)) for dimension in self._network}
        tables = [take(1, 1, shape[1]) + take(1, *shape) for shape in shapes]
        tables = [table + take(widths, 1, shape[1]) for table, shape in zip(tables, shapes, strict=True)]
        if self._per_layer:
            tables = [table + take(widths, *shape) for table, shape in zip(tables, shapes, strict=True)]
        return Scores(found | {d.name: table for d, table in zip(codec.layer, tables, strict=True)})

    def fit(self, x: Array, y: Array, errors: Array | float = 0.0) -> None:
        """Fit the posterior; hyperparameters are warm-started from the last fit.

        Args:
            x: Features, ``(n, columns)``.
            y: Fitness values, ``(n,)``.
            errors: Variance of each value beyond the common noise, ``(n,)``.
        """
        errors = np.broadcast_to(errors, y.shape)
        spread, steps = _variance(y), 1
        if self._variances is None:
            self._variances, self._noise, steps = spread * self._prior_variances, spread / 10, _INITIAL_STEPS
        for _ in range(steps):
            self._em_step(*self._posterior(x, y, errors), errors, spread)
        self._posterior(x, y, errors)

    def _posterior(self, x: Array, y: Array, errors: Array) -> tuple[Array, Array]:
        """Solve for the posterior at the current hyperparameters; return centred features and values."""
        assert self._variances is not None
        weights = 1 / (self._noise + errors)
        self._centre, self._intercept = weights @ x / weights.sum(), float(weights @ y / weights.sum())
        x, y = x - self._centre, y - self._intercept
        weighted = x.T * weights
        precision = weighted @ x
        precision[np.diag_indices(self.columns)] += 1 / self._variances[self._groups]
        self._factor = cholesky(precision, lower=True, check_finite=False)
        self.mean_effects = cho_solve((self._factor, True), weighted @ y, check_finite=False)
        return x, y

    def _em_step(self, x: Array, y: Array, errors: Array, spread: float) -> None:
        """Update variances and noise by one step of expectation maximisation."""
        assert self._variances is not None
        mean = self.mean_effects
        half = solve_triangular(self._factor, np.eye(self.columns), lower=True, check_finite=False)
        posterior_variances = (half**2).sum(axis=0)  # diagonal of A^-1
        shrinkage = float((posterior_variances / self._variances[self._groups]).sum())
        effective_parameters = self.columns - shrinkage  # trace of X' D^-1 X A^-1
        count = np.bincount(self._groups)
        total = np.bincount(self._groups, weights=mean**2 + posterior_variances)
        self._variances = (total + _PRIOR_WEIGHT * spread * self._prior_variances) / (count + _PRIOR_WEIGHT)
        share = self._noise / (self._noise + errors)  # share of the residual due to the common noise
        own = errors > 0
        leverage = ((x[own] @ half.T) ** 2).sum(axis=1)
        noise = float((share**2 * (y - x @ mean) ** 2).sum()) + self._noise * effective_parameters
        noise += float(((1 - share[own]) * (self._noise - share[own] * leverage)).sum())
        self._noise = max(noise / len(y), _MIN_NOISE * spread)

    def draw(self, rng: np.random.Generator) -> Array:
        """Sample effects from the posterior, ``(columns,)``."""
        noise = rng.standard_normal(self.columns)
        drawn: Array = self.mean_effects + solve_triangular(
            self._factor, noise, trans="T", lower=True, check_finite=False
        )
        return drawn

    def draw_prior(self, rng: np.random.Generator) -> Array:
        """Sample effects from the prior, ``(columns,)``."""
        drawn: Array = np.sqrt(self._prior_variances[self._groups]) * rng.standard_normal(self.columns)
        return drawn

    def d_optimal(self, x: Array, size: int) -> list[int]:
        """Return the rows of a greedy D-optimal design, in order.

        Each row maximises the determinant of the information matrix; the covariance is updated by Sherman-Morrison.
        """
        covariance, noise = np.diag(self._prior_variances[self._groups]), 0.1
        chosen: list[int] = []
        for _ in range(size):
            spread = x @ covariance
            variance = (spread * x).sum(axis=1)
            variance[chosen] = -1.0
            chosen.append(int(variance.argmax()))
            row = spread[chosen[-1]]
            covariance -= np.outer(row, row) / (noise + variance[chosen[-1]])
        return chosen

    def predict(self, x: Array) -> Array:
        """Return the posterior mean of rows of features ``(n, columns)``."""
        mean: Array = self._intercept + (x - self._centre) @ self.mean_effects
        return mean


class _Reshaper:
    """Splits a flat array into consecutive blocks of given shapes."""

    def __init__(self, array: Array) -> None:
        self._array, self._at = array, 0

    def __call__(self, *shape: int) -> Array:
        size = int(np.prod(shape))
        block = self._array[self._at : self._at + size].reshape(shape)
        self._at += size
        return block


def _variance(y: Array) -> float:
    """Return the variance of values; 1 if they are constant."""
    spread = float(y.var())
    return spread if spread > _MIN_VARIANCE else 1.0


def _one_hot(index: Codes, size: int) -> Array:
    """Return one-hot ``(..., size)``, all zero at index -1."""
    columns: Array = (index[..., None] == np.arange(size)).astype(np.float64)
    return columns


def _products(first: Array, second: Array) -> Array:
    """Return all products of a column of each, ``(n, first * second)``."""
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
