"""Bayesian regression of fitness on one-hot encoded choices, beside a Gaussian process for what these do not explain.

y = intercept + sum of effects + misfit + noise, with one effect per choice of the network and of each layer. A layer's
effect is a main effect shared by all layers, plus its own, plus the interactions of both with embed_dim: on ImageNet
accuracies a layer's choices interact with embed_dim, but neither with each other nor with those of the next layer
(``benchmarks/thompson_design.py``). Effects of a group share a normal prior. The misfit is the sum of two Gaussian
processes (Rasmussen and Williams, 2006): the correlation of one decays by a factor per differing gene, of the other
with the distance of the shapes, the network's choices and the layers' means (Matérn, 3/2). The variances of the groups,
the misfits and the noise maximise the evidence (MacKay, Neural Computation 1992), those of the groups under an inverse
gamma prior worth two effects, by steps that never lower it (Zhou
et al., Journal of Computational and Graphical Statistics 2019).

With kernels K_g, such as X_g X_g' of the effects of a group, and their variances v_g: A = sum of v_g K_g + error
variances, dual weights a = A^-1 y, and, but for the prior, the step v_g <- v_g sqrt(a' K_g a / tr A^-1 K_g).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

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
    "misfit": 1 / 100,
}
"""Prior variances of each group of effects, in variances of the fitness."""

_MISFITS = 2
_EARLIEST, _LATEST = 100, 200
"""Values of a fit, which takes cubic time."""
_FACTOR, _RANGE = 0.8, 0.5
"""Correlation of architectures that differ in one gene; range of the correlation of shapes."""
_PRIOR_WEIGHT = 2.0
_PRIOR_NOISE = 1 / 10
_MIN_NOISE, _MIN_VARIANCE = 1e-4, 1e-200
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
        self._sizes = np.array([size for _, size in blocks])
        self._prior_variances = np.array([_PRIOR[group] for group, _ in blocks] + [_PRIOR["misfit"]] * _MISFITS)
        self.columns = int(self._sizes.sum())
        self._values = 0
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

    @property
    def is_fitted(self) -> bool:
        """Whether there is a posterior."""
        return hasattr(self, "mean_effects")

    def state(self) -> dict[str, Any]:
        """Return the variances, from which the next fit goes on, as plain data."""
        return {"values": self._values, "variances": None if self._variances is None else self._variances.tolist()}

    def with_state(self, state: Mapping[str, Any]) -> AdditiveModel:
        """Return a model with such variances and no posterior yet.

        Raises:
            LookupError, TypeError, ValueError: It is no such state.
        """
        made = AdditiveModel(self.codec)
        made._values = int(state["values"])
        if state["variances"] is not None:
            made._variances = np.array(state["variances"], dtype=np.float64)
            if made._variances.shape != (len(self._prior_variances) + 1,) or not (made._variances > 0).all():
                raise ValueError(f"{len(self._prior_variances) + 1} variances are positive, got {state['variances']}")
        return made

    def fit(self, codes: Codes, y: Array, errors: Array | float = 0.0, *, refine: bool = True) -> None:
        """Fit the posterior to the first 100 and the last 200 values; the variances are those of the last fit at first.

        Args:
            codes: Architectures, ``(n, code columns)``.
            y: Fitness values, ``(n,)``.
            errors: Variance of each value beyond the common noise, ``(n,)``.
            refine: Whether the variances change; else they are those of the last fit.
        """
        errors = np.broadcast_to(errors, y.shape)
        if len(y) > _EARLIEST + _LATEST:
            codes, y, errors = (np.concatenate([each[:_EARLIEST], each[-_LATEST:]]) for each in (codes, y, errors))
        n, spread = len(y), _variance(y)
        steps = min(max(n - self._values, 1), _INITIAL_STEPS) if refine else 0
        if self._variances is None:
            steps, self._variances = _INITIAL_STEPS, spread * np.append(self._prior_variances, _PRIOR_NOISE)
        self._values, self._codes, self._errors, self._x = n, codes, np.diag(errors), self.features(codes)
        self._centre = self._x.mean(axis=0)
        self._x -= self._centre
        kernels = np.array([*self._kernels(self._x, codes), np.eye(n)])  # (groups, n, n)
        weights = np.repeat([_PRIOR_WEIGHT, 0.0], [len(self._sizes), _MISFITS + 1])  # effects have a prior
        prior = spread * weights * np.append(self._prior_variances, 0.0)
        for _ in range(steps):
            self._solve(kernels, y)
            fits = np.tensordot(kernels, np.outer(self._dual, self._dual), 2) + prior / self._variances**2
            self._variances *= np.sqrt(fits / (np.tensordot(kernels, self._inverse, 2) + weights / self._variances))
            np.maximum(self._variances, _MIN_NOISE * spread, out=self._variances)
        self._solve(kernels, y)
        self._effect_variances = np.repeat(self._variances[: len(self._sizes)], self._sizes)
        self.mean_effects: Array = self._effect_variances * (self._dual @ self._x)
        self._misfit_variances = self._variances[-_MISFITS - 1 : -1]
        rest = np.tensordot(self._variances[-_MISFITS - 1 :], kernels[-_MISFITS - 1 :], 1) + self._errors
        self._factor = cholesky(rest, lower=True, check_finite=False)

    def _solve(self, kernels: Array, y: Array) -> None:
        """Set A^-1, the intercept and the dual weights."""
        assert self._variances is not None
        whole: Array = np.tensordot(self._variances, kernels, 1) + self._errors
        self._inverse: Array = np.linalg.inv(whole).astype(np.float64, copy=False)
        weights = 1 / (self._variances[-1] + self._errors.diagonal())
        self._intercept = float(weights @ y / weights.sum())
        self._centred = y - self._intercept
        self._dual = self._inverse @ self._centred

    def draw(self, rng: np.random.Generator, spread: float = 1.0) -> Array:
        """Sample effects from the posterior, ``(columns,)``: a prior sample, corrected where it misses the values.

        Args:
            rng: Random generator.
            spread: Factor of the deviation from the mean.
        """
        drawn = np.sqrt(self._effect_variances) * rng.standard_normal(self.columns)
        misses = -self._x @ drawn - self._factor @ rng.standard_normal(len(self._x))
        corrected = drawn + self._effect_variances * (self._inverse @ misses @ self._x)
        sampled: Array = self.mean_effects + spread * corrected
        return sampled

    def predict(self, codes: Codes, effects: Array) -> Array:
        """Return the values of architectures, ``(n,)``, given the effects: their sums and the mean of the misfit."""
        across = np.tensordot(self._misfit_variances, self._misfits(codes, self._codes), 1)  # (n, told)
        return self._given(codes, effects, across)

    def sample(self, codes: Codes, effects: Array, rng: np.random.Generator, spread: float = 1.0) -> Array:
        """``predict`` with a joint sample of the misfit, in cubic time; ``spread`` as in ``draw``."""
        across = np.tensordot(self._misfit_variances, self._misfits(codes, self._codes), 1)
        half = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        own = np.tensordot(self._misfit_variances, self._misfits(codes, codes), 1) - half.T @ half
        own[np.diag_indices(len(codes))] += _MIN_NOISE * self._misfit_variances.sum()
        drawn = cholesky(own, lower=True, check_finite=False) @ rng.standard_normal(len(codes))
        sampled: Array = self._given(codes, effects, across) + spread * drawn
        return sampled

    def _given(self, codes: Codes, effects: Array, across: Array) -> Array:
        known = cho_solve((self._factor, True), self._centred - self._x @ effects, check_finite=False)
        sums = self.scores(effects).evaluate(self.codec, codes) - self._centre @ effects
        values: Array = self._intercept + sums + across @ known
        return values

    def _misfits(self, first: Codes, second: Codes) -> Array:
        """Return the correlations of the misfit, ``(kernels, first, second)``."""
        differing = self.codec.columns * cdist(first, second, "hamming")
        distance = np.sqrt(3.0) / _RANGE * cdist(self._shape(first), self._shape(second))
        return np.array([_FACTOR**differing, (1 + distance) * np.exp(-distance)])

    def _shape(self, codes: Codes) -> Array:
        """Return the place of each choice in its dimension, 0 to 1, the mean of the layers, ``(n, dimensions)``."""
        places = []
        for dimension in self.codec.dimensions:
            genes = self.codec.genes(dimension.name, codes) / max(len(dimension.values) - 1, 1)
            places.append(
                genes if dimension.scope == "network" else (genes.clip(0).sum(axis=1) / (genes >= 0).sum(axis=1))
            )
        return np.stack(places, axis=1)

    def draw_prior(self, rng: np.random.Generator) -> Array:
        """Sample effects from the prior, ``(columns,)``."""
        deviations = np.repeat(np.sqrt(self._prior_variances[: len(self._sizes)]), self._sizes)
        drawn: Array = deviations * rng.standard_normal(self.columns)
        return drawn

    def d_optimal(self, codes: Codes, size: int) -> list[int]:
        """Return the rows of a greedy D-optimal design, in order: each has the largest variance given the former."""
        x = self.features(codes)
        covariance = np.tensordot(self._prior_variances, self._kernels(x - x.mean(axis=0), codes), 1)
        chosen: list[int] = []
        for _ in range(size):
            variance = covariance.diagonal().copy()
            variance[chosen] = -1.0
            chosen.append(int(variance.argmax()))
            row = covariance[chosen[-1]].copy()
            covariance -= np.outer(row, row) / (_PRIOR_NOISE + row[chosen[-1]])
        return chosen

    def _kernels(self, x: Array, codes: Codes) -> Array:
        """Return the kernels of effects and misfits, ``(groups, n, n)``, of centred features."""
        effects = [part @ part.T for part in np.split(x, self._sizes.cumsum()[:-1], axis=1)]
        return np.array([*effects, *self._misfits(codes, codes)])


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
