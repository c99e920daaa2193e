"""RegressionFitness: surrogates that are not additive, boosted trees and a Gaussian process, by scikit-learn.

Features are the choices of the network and of each layer; layers beyond the depth are missing. A saved one is its
training set as JSON, and is fitted again when it is loaded: no pickle.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer._io import text_digest, to_json
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.errors import FitnessError, NasformerError, did_you_mean
from nasformer.fitness.surrogate import SurrogateFitness, cross_validated, values_of
from nasformer.fitness.table import TableFitness
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet

MODELS = ("additive", "trees", "gaussian-process")
_MAX_OPTIMUM = 100_000
_MAX_PROCESS = 2000
"""Maximal training set of a Gaussian process, whose time is cubic."""
_MAX_LEARNT = 200
"""Maximal number of architectures from which the length scales are learnt."""

Array = NDArray[np.float64]
Rows = Mapping[Architecture, float]


class RegressionFitness:
    """A regression of the value of architectures on their choices.

    Args:
        model: "trees": histogram gradient boosting; "gaussian-process": with a length scale for each choice.
        rows: Training set: value by architecture.
        quality: Cross-validated ``r2``, ``kendall_tau``, ``rmse`` and ``mae``, if known.
    """

    def __init__(self, model: str, rows: Rows, quality: Mapping[str, float] | None = None) -> None:
        self.model, self.rows, self.quality = model, _limited(model, rows), dict(quality or {})
        self._choices = SurrogateFitness.of_choices(self.rows)
        features, values = self._features(list(self.rows)), np.array(list(self.rows.values()))
        self._estimator = _estimator(model, features, values).fit(features, values)

    @classmethod
    def fit(cls, model: str, rows: Rows, folds: int = 10) -> RegressionFitness:
        """Return a fitted model with its cross-validation error."""
        fitted = cls(model, rows)
        features, values = fitted._features(list(fitted.rows)), np.array(list(fitted.rows.values()))
        fitted.quality = cross_validated(_estimator(model, features, values), features, values, folds)
        return fitted

    def save(self, path: str | Path) -> None:
        """Write the training set as JSON."""
        rows = [{**architecture.to_dict(), "value": value} for architecture, value in self.rows.items()]
        Path(path).write_text(to_json({"model": self.model, "quality": self.quality, "rows": rows}) + "\n", "utf-8")

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the model's value of each architecture; unknown choices are failures."""
        unknown = [self._choices.unknown(architecture) for architecture in architectures]
        known = iter(self._predict([a for a, error in zip(architectures, unknown, strict=True) if not error]))
        for architecture, error in zip(architectures, unknown, strict=True):
            value = None if error else next(known)
            yield Evaluation(architecture, value, f"the surrogate does not know {error}" if error else None)

    def check(self, feasible: FeasibleSet) -> None:
        """Check that every reachable choice is known.

        Raises:
            FitnessError: A choice is unknown; the message names it.
        """
        self._choices.check(feasible)

    def true_value(self, architecture: Architecture) -> float | None:
        """Return the model's value, or None if a choice is unknown."""
        return next(iter(self.evaluate([architecture]))).value

    def optimum(self, feasible: FeasibleSet) -> float | None:
        """Return the model's maximum over a set small enough to evaluate; else None."""
        if not feasible.countable or feasible.count() > _MAX_OPTIMUM:
            return None
        self.check(feasible)
        return max(self._predict(feasible.space.decode(feasible.codes())))

    def describe(self) -> dict[str, Any]:
        """Return the model's kind and its cross-validated quality."""
        digest = text_digest(json.dumps([[each.to_dict(), value] for each, value in self.rows.items()]))
        return {"kind": "surrogate", "model": self.model, "sha256": digest, **self.quality}

    def _predict(self, architectures: Sequence[Architecture]) -> list[float]:
        if not architectures:
            return []
        found: list[float] = self._estimator.predict(self._features(architectures)).tolist()
        return found

    def _features(self, architectures: Sequence[Architecture]) -> Array:
        """Return the choices, ``(architectures, dimensions)``; NaN beyond the depth."""
        network, layers = self._choices.network, self._choices.layers
        columns = [[getattr(each, name) for each in architectures] for name in network]
        for name in layers[0]:
            values = [getattr(each, name) for each in architectures]
            columns += [[v[place] if place < len(v) else np.nan for v in values] for place in range(len(layers))]
        return np.array(columns, dtype=np.float64).T


def fit_surrogate(
    table: TableFitness | str | Path | Rows, model: str = "additive", folds: int = 10
) -> SurrogateFitness | RegressionFitness:
    """Fit a surrogate to a table.

    Args:
        table: The table, or values by architecture.
        model: One of ``MODELS``, or "auto": the one with the highest cross-validated R².
        folds: Folds of the cross-validation.

    Raises:
        FitnessError: The model is unknown, or the table has fewer rows than folds.
    """
    if model not in (*MODELS, "auto"):
        raise FitnessError(f"unknown model {model!r}; {did_you_mean(model, (*MODELS, 'auto'))}", model)
    rows = values_of(table, folds)
    if model == "additive":
        return SurrogateFitness.fit(rows, folds)
    if model != "auto":
        return RegressionFitness.fit(model, rows, folds)
    return max((fit_surrogate(rows, each, folds) for each in MODELS), key=lambda fitted: fitted.quality["r2"])


def load_surrogate(path: str | Path) -> SurrogateFitness | RegressionFitness:
    """Load the JSON of ``save``.

    Raises:
        FitnessError: The file cannot be read, or is invalid.
    """
    try:
        data = parse_json(read_text(path))
        if not isinstance(data, Mapping) or "model" not in data:
            return SurrogateFitness.load(path)
        if data["model"] not in MODELS[1:]:
            raise ValueError(f"model is {data['model']!r}, not {' or '.join(MODELS[1:])}")
        given = [({k: v for k, v in row.items() if k != "value"}, float(row["value"])) for row in data["rows"]]
        rows = {Architecture.from_dict(sizes): value for sizes, value in given}
        return RegressionFitness(data["model"], rows, data.get("quality"))
    except OSError as error:
        raise FitnessError(f"cannot read the surrogate {str(path)!r}: {error.strerror}", path) from error
    except FitnessError:
        raise
    except (NasformerError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FitnessError(f"{str(path)!r} is not a surrogate: {error}", path) from error


def additivity(rows: Rows, folds: int = 5) -> dict[str, float]:
    """Return the share of the variance of values that additive models and boosted trees explain of held-out rows."""
    return {model: fit_surrogate(rows, model, folds).quality["r2"] for model in MODELS[:2]}


def _limited(model: str, rows: Rows) -> dict[Architecture, float]:
    """Return the rows that a model learns from."""
    if model != "gaussian-process" or len(rows) <= _MAX_PROCESS:
        return dict(rows)
    kept = np.sort(np.random.default_rng(0).permutation(len(rows))[:_MAX_PROCESS]).tolist()
    every = list(rows.items())
    return dict(every[index] for index in kept)


def _estimator(model: str, features: Array, values: Array) -> Any:
    if model == "trees":
        from sklearn.ensemble import HistGradientBoostingRegressor

        return HistGradientBoostingRegressor(random_state=0)
    return _process(features, values)


def _process(features: Array, values: Array) -> Any:
    """Return an unfitted Gaussian process whose length scales are learnt from a part of the rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def process(kernel: Any, **options: Any) -> Any:
        absent = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)  # at the mean
        gaussian = GaussianProcessRegressor(kernel, normalize_y=True, **options)
        return make_pipeline(StandardScaler(), absent, gaussian)

    scales = np.full(features.shape[1], 3.0)
    prior = ConstantKernel(1.0) * RBF(scales, (0.1, 1e3)) + WhiteKernel(0.1)
    part = np.random.default_rng(0).permutation(len(values))[:_MAX_LEARNT]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the scale of a choice that does not matter
        learnt = process(prior, optimizer=_climb).fit(features[part], values[part])[-1].kernel_
    return process(learnt, optimizer=None)


def _climb(objective: Any, start: Array, bounds: Array) -> tuple[Array, float]:
    """Return where a few steps of L-BFGS-B lead, as scikit-learn's optimizer does in many."""
    from scipy.optimize import minimize

    found = minimize(objective, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 20})
    return found.x, float(found.fun)
