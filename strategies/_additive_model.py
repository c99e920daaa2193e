"""A Bayesian linear model of fitness on the one-hot choices of an architecture.

y = intercept + sum of effects + noise, where every choice of the network and of each layer has an effect. A layer's
effect is that of its choice in any layer, plus its own, plus both again for each embed_dim: on ImageNet accuracies
a layer's choices do interact with embed_dim, and neither with each other nor with those of the next layer
(``benchmarks/thompson_design.py``). Effects of a kind share a normal prior whose variance, like the noise, is what
makes the data most probable (evidence maximisation, MacKay, Neural Computation 1992; Bishop, Pattern Recognition
and Machine Learning, section 3.5, by expectation maximisation), with an inverse gamma prior on it that stands for
two effects more.

With V = diag(variances), noise s, and D = diag(s + error of each value): precision A = X' D^-1 X + 1/V,
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
"""Above this many columns, layers have no effects of their own for each embed_dim: a fit would take too long."""

_PRIOR = {
    "network": 1.0,
    "any_layer": 1 / 40,
    "layer": 1 / 40,
    "embed_any": 1 / 400,
    "embed_layer": 1 / 400,
}
"""Variances that are expected of the effects of each kind, in variances of the fitness."""

_WEIGHT = 2.0
_LEAST_NOISE = 1e-4
_LEAST_SPREAD = 1e-200
_FIRST_STEPS = 30


class AdditiveModel:
    """The model of one space.

    Args:
        codec: The space's.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec = codec
        self._network = [dimension for dimension in codec.dimensions if dimension.scope == "network"]
        sizes = [len(dimension.values) for dimension in codec.layer]
        widths, layers = len(codec.values["embed_dim"]), codec.max_depth
        blocks = [("network", len(dimension.values)) for dimension in self._network]
        for size in sizes:
            blocks += [("any_layer", size), ("layer", layers * size)]
        own = [("embed_any", widths * size) for size in sizes] + [
            ("embed_layer", widths * layers * size) for size in sizes
        ]
        self._each = sum(size for _, size in [*blocks, *own]) <= _MAX_COLUMNS
        blocks += own if self._each else own[: len(sizes)]
        self._kinds = np.repeat(np.arange(len(blocks)), [size for _, size in blocks])
        self._expected = np.array([_PRIOR[kind] for kind, _ in blocks])
        self.columns = len(self._kinds)
        self._variances: Array | None = None

    def features(self, codes: Codes) -> Array:
        """Return the one-hot columns of codes, ``(n, columns)``."""
        codec, n = self.codec, len(codes)
        blocks = [_one_hot(codec.genes(d.name, codes), len(d.values)) for d in self._network]
        width = _one_hot(codec.genes("embed_dim", codes), len(codec.values["embed_dim"]))
        # layers: (n, layers, choices)
        layers = [_one_hot(codec.genes(d.name, codes), len(d.values)) for d in codec.layer]
        for layer in layers:
            blocks += [layer.sum(axis=1), layer.reshape(n, -1)]
        blocks += [_times(width, layer.sum(axis=1)) for layer in layers]
        if self._each:
            blocks += [_times(width, layer.reshape(n, -1)) for layer in layers]
        return np.concatenate(blocks, axis=1)

    def scores(self, effects: Array) -> Scores:
        """Return effects ``(columns,)`` as scores that a feasible set maximises."""
        codec, widths = self.codec, len(self.codec.values["embed_dim"])
        shapes = [(codec.max_depth, len(dimension.values)) for dimension in codec.layer]
        take = _Reader(effects)
        found = {dimension.name: take(len(dimension.values)) for dimension in self._network}
        tables = [take(1, 1, shape[1]) + take(1, *shape) for shape in shapes]
        tables = [table + take(widths, 1, shape[1]) for table, shape in zip(tables, shapes, strict=True)]
        if self._each:
            tables = [table + take(widths, *shape) for table, shape in zip(tables, shapes, strict=True)]
        return Scores(found | {d.name: table for d, table in zip(codec.layer, tables, strict=True)})

    def fit(self, x: Array, y: Array, errors: Array | float = 0.0) -> None:
        """Learn from what was told; the variances go on from the last fit.

        Args:
            x: Features, ``(n, columns)``.
            y: Values, ``(n,)``.
            errors: Variance of each value beyond the noise that all have, ``(n,)``.
        """
        errors = np.broadcast_to(errors, y.shape)
        spread, steps = _spread(y), 1
        if self._variances is None:
            self._variances, self._noise, steps = spread * self._expected, spread / 10, _FIRST_STEPS
        for _ in range(steps):
            self._step(*self._posterior(x, y, errors), errors, spread)
        self._posterior(x, y, errors)

    def _posterior(self, x: Array, y: Array, errors: Array) -> tuple[Array, Array]:
        """Solve for the effects at the present variances; return features and values about their means."""
        assert self._variances is not None
        weights = 1 / (self._noise + errors)
        self._centre, self._intercept = weights @ x / weights.sum(), float(weights @ y / weights.sum())
        x, y = x - self._centre, y - self._intercept
        weighted = x.T * weights
        precision = weighted @ x
        precision[np.diag_indices(self.columns)] += 1 / self._variances[self._kinds]
        self._factor = cholesky(precision, lower=True, check_finite=False)
        self.mean_effects = cho_solve((self._factor, True), weighted @ y, check_finite=False)
        return x, y

    def _step(self, x: Array, y: Array, errors: Array, spread: float) -> None:
        """Move variances and noise to where the data are more probable: one step of expectation maximisation."""
        assert self._variances is not None
        mean = self.mean_effects
        half = solve_triangular(self._factor, np.eye(self.columns), lower=True, check_finite=False)
        uncertain = (half**2).sum(axis=0)  # the diagonal of A^-1
        settled = self.columns - float((uncertain / self._variances[self._kinds]).sum())  # trace of X' D^-1 X A^-1
        count = np.bincount(self._kinds)
        total = np.bincount(self._kinds, weights=mean**2 + uncertain)
        self._variances = (total + _WEIGHT * spread * self._expected) / (count + _WEIGHT)
        share = self._noise / (self._noise + errors)  # of the left-over that is noise, the rest is its own error
        own = errors > 0
        leverage = ((x[own] @ half.T) ** 2).sum(axis=1)
        noise = float((share**2 * (y - x @ mean) ** 2).sum()) + self._noise * settled
        noise += float(((1 - share[own]) * (self._noise - share[own] * leverage)).sum())
        self._noise = max(noise / len(y), _LEAST_NOISE * spread)

    def draw(self, rng: np.random.Generator) -> Array:
        """Return effects drawn from the posterior, ``(columns,)``."""
        noise = rng.standard_normal(self.columns)
        drawn: Array = self.mean_effects + solve_triangular(
            self._factor, noise, trans="T", lower=True, check_finite=False
        )
        return drawn

    def draw_prior(self, rng: np.random.Generator) -> Array:
        """Return effects drawn from what is expected before any data, ``(columns,)``."""
        drawn: Array = np.sqrt(self._expected[self._kinds]) * rng.standard_normal(self.columns)
        return drawn

    def least_known(self, x: Array, size: int) -> list[int]:
        """Return rows of features, each the one that the prior and the rows before it tell least about.

        Each choice maximises the determinant of the information; the covariance follows by Sherman and Morrison.
        """
        covariance, noise = np.diag(self._expected[self._kinds]), 0.1
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
        """Return the posterior mean of features ``(n, columns)``."""
        mean: Array = self._intercept + (x - self._centre) @ self.mean_effects
        return mean


class _Reader:
    """Hands out an array piece by piece, each in a shape."""

    def __init__(self, array: Array) -> None:
        self._array, self._at = array, 0

    def __call__(self, *shape: int) -> Array:
        size = int(np.prod(shape))
        piece = self._array[self._at : self._at + size].reshape(shape)
        self._at += size
        return piece


def _spread(y: Array) -> float:
    """Return the variance of values; 1 where they are constant, as any serves then."""
    spread = float(y.var())
    return spread if spread > _LEAST_SPREAD else 1.0


def _one_hot(index: Codes, size: int) -> Array:
    """Return ``(..., size)``, all zero where the index is -1."""
    columns: Array = (index[..., None] == np.arange(size)).astype(np.float64)
    return columns


def _times(first: Array, second: Array) -> Array:
    """Return the products of all columns of one with all of the other, ``(n, first * second)``."""
    return (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
