"""SurrogateFitness: an additive model of a table, for cheap comparisons of strategies.

value = intercept + one term per choice of the network and of each layer, fitted by ridge regression on one-hot
choices. ``FeasibleSet.argmax`` finds the exact optimum of an additive model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer._io import text_digest, to_json
from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.dimension import kind_names, kind_of
from nasformer.errors import FitnessError
from nasformer.fitness.table import TableFitness
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet

Terms = Mapping[float, float]
"""Terms by value of a dimension."""


class SurrogateFitness:
    """An additive model of the value of architectures.

    Args:
        intercept: Intercept.
        embed_dim: Terms by embedding dimension.
        depth: Terms by depth.
        layers: Terms of the layer dimensions by name, for each layer.
        quality: Cross-validated ``r2``, ``kendall_tau``, ``rmse`` and ``mae``, if fitted here.
        **network: Terms of further network dimensions.

    Attributes:
        network: Terms of the network dimensions by name; each is an attribute too.
    """

    def __init__(
        self,
        intercept: float,
        embed_dim: Terms,
        depth: Terms,
        layers: Sequence[Mapping[str, Terms]],
        quality: Mapping[str, float] | None = None,
        **network: Terms,
    ) -> None:
        self.intercept = float(intercept)
        self.network = {"embed_dim": dict(embed_dim), "depth": dict(depth), **network}
        self.layers = [_ordered(layer, "num_heads", "mlp_ratio") for layer in layers]
        self.quality = dict(quality or {})

    def __getattr__(self, name: str) -> dict[float, float]:
        terms: dict[str, dict[float, float]] = self.__dict__.get("network", {})
        if name not in terms:
            raise AttributeError(f"SurrogateFitness has no {name!r}")
        return terms[name]

    @classmethod
    def load(cls, path: str | Path) -> SurrogateFitness:
        """Load the JSON of ``save``; further keys are ignored.

        Raises:
            FitnessError: The file cannot be read, or a term is missing.
        """
        try:
            data = parse_json(read_text(path))
            for name in data.get("dimensions", ()):
                kind_of(name)  # a plug-in's, whose terms must not be dropped
            layers = [_named(layer) for layer in data["layers"]]
            if not math.isfinite(float(data["intercept"])):
                raise ValueError(f"intercept is {data['intercept']}")
            needed = {name: _numbers(data[name]) for name in ("embed_dim", "depth")}
            return cls(data["intercept"], layers=layers, quality=data.get("quality"), **{**_named(data), **needed})
        except OSError as error:
            raise FitnessError(f"cannot read the surrogate {str(path)!r}: {error.strerror}", path) from error
        except KeyError as error:
            raise FitnessError(f"{str(path)!r} is not an additive surrogate: it lacks {error}", path) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise FitnessError(f"{str(path)!r} is not an additive surrogate: {error}", path) from error

    def save(self, path: str | Path) -> None:
        """Write the terms as JSON."""
        data = {"intercept": self.intercept, **self.scores, "dimensions": self.dimensions, "quality": self.quality}
        Path(path).write_text(to_json(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def fit(cls, table: TableFitness | str | Path | Mapping[Architecture, float], folds: int = 10) -> SurrogateFitness:
        """Fit a table, or values by architecture, by ridge regression; the penalty is chosen by cross-validation.

        ``quality`` has the metrics of ``folds``-fold predictions: ``r2``, ``kendall_tau``, and in the value's unit the
        root mean square error ``rmse`` and the mean absolute error ``mae``.

        Raises:
            FitnessError: The table has fewer rows than folds.
        """
        rows = values_of(table, folds)
        names = _term_names(rows)
        return _fit(names, _one_hot(names, list(rows)), np.array(list(rows.values())), folds)

    @classmethod
    def of_choices(cls, architectures: Iterable[Architecture]) -> SurrogateFitness:
        """Return a model of zeros that knows the choices of some architectures."""
        return _from_terms(0.0, dict.fromkeys(_term_names(architectures), 0.0), {})

    @property
    def dimensions(self) -> list[str]:
        """Names of the dimensions that have terms."""
        return [*self.network, *(self.layers[0] if self.layers else ())]

    @property
    def scores(self) -> dict[str, Any]:
        """The terms as scores for ``FeasibleSet.argmax``."""
        return {**self.network, "layers": self.layers}

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the model's value of each architecture; unknown choices are failures."""
        for architecture in architectures:
            unknown = self.unknown(architecture)
            error = f"the surrogate does not know {unknown}" if unknown else None
            yield Evaluation(architecture, self.true_value(architecture), error)

    def check(self, feasible: FeasibleSet) -> None:
        """Check that every reachable choice is known.

        Raises:
            FitnessError: A choice is unknown; the message names it.
        """
        reachable = feasible.reachable()
        for name in self.dimensions:
            if name not in reachable:
                raise FitnessError(
                    f"the surrogate has terms of {name}, which space {feasible.space.name!r} does not search"
                )
        deepest = int(max(reachable["depth"]))
        if deepest > len(self.layers):
            raise FitnessError(f"the surrogate knows {len(self.layers)} layers, but depth {deepest} is feasible")
        for dimension in feasible.space.dimensions:
            name, values = dimension.name, reachable[dimension.name]
            if dimension.scope == "network":
                _require(name, values, self.network.get(name, {}))
                continue
            for layer in range(deepest):
                _require(f"{name} of layer {layer}", values, self.layers[layer].get(name, {}))

    def true_value(self, architecture: Architecture) -> float | None:
        """Return the model's value, or None if a choice is unknown."""
        return None if self.unknown(architecture) else self._predict(architecture)

    def optimum(self, feasible: FeasibleSet) -> float | None:
        """Return the model's exact maximum over a set.

        Raises:
            FitnessError: A reachable choice is unknown.
        """
        self.check(feasible)
        names = [dimension.name for dimension in feasible.space.dimensions]
        scores = {name: terms for name, terms in self.network.items() if name in names}
        layers = [{name: terms for name, terms in layer.items() if name in names} for layer in self.layers]
        reachable = feasible.reachable()
        known = {name: _restrict(terms, reachable[name]) for name, terms in scores.items()}
        each = [{name: _restrict(terms, reachable[name]) for name, terms in layer.items()} for layer in layers]
        return self.true_value(feasible.argmax({**known, "layers": each[: int(max(reachable["depth"]))]}))

    def describe(self) -> dict[str, Any]:
        """Return the model's kind and its cross-validated quality."""
        digest = text_digest(json.dumps([self.intercept, self.scores]))
        return {"kind": "surrogate", "sha256": digest, "intercept": self.intercept, **self.quality}

    def _predict(self, architecture: Architecture) -> float:
        total = self.intercept + sum(terms[getattr(architecture, name)] for name, terms in self.network.items())
        for place, layer in enumerate(self.layers[: architecture.depth]):
            total += sum(terms[getattr(architecture, name)[place]] for name, terms in layer.items())
        return total

    def unknown(self, architecture: Architecture) -> str | None:
        """Return the first choice that has no term, in words; None: it can be evaluated."""
        known = self.dimensions
        for name in known:
            if not hasattr(architecture, name):
                return f"an architecture without {name}"
        for name, _ in architecture.further:
            if name not in known:
                return name
        for name, terms in self.network.items():
            if getattr(architecture, name) not in terms:
                return f"{name} {getattr(architecture, name):g}"
        if architecture.depth > len(self.layers):
            return f"depth {architecture.depth}"
        for place, layer in enumerate(self.layers[: architecture.depth]):
            for name, terms in layer.items():
                value = getattr(architecture, name)[place]
                if value not in terms:
                    return f"{name} {value:g} of layer {place}"
        return None


def values_of(table: TableFitness | str | Path | Mapping[Architecture, float], folds: int) -> dict[Architecture, float]:
    """Return the values of a table by architecture.

    Raises:
        FitnessError: It has fewer rows than folds.
    """
    if isinstance(table, Mapping):
        name, rows = "the table", dict(table)
    else:
        table = table if isinstance(table, TableFitness) else TableFitness(table)
        name, rows = str(table.path), table.values
    if len(rows) < folds:
        raise FitnessError(f"{name} has {len(rows)} rows, too few for {folds} folds", table)
    return rows


def cross_validated(
    model: Any, features: NDArray[np.float64], values: NDArray[np.float64], folds: int
) -> dict[str, float]:
    """Return ``r2``, ``rmse``, ``mae`` and ``kendall_tau`` of a scikit-learn model's predictions of held-out folds."""
    from scipy.stats import kendalltau
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
    from sklearn.model_selection import KFold, cross_val_predict

    predicted = cross_val_predict(model, features, values, cv=KFold(folds, shuffle=True, random_state=0))
    measures = {"r2": r2_score, "rmse": root_mean_squared_error, "mae": mean_absolute_error}
    quality = {name: float(measure(values, predicted)) for name, measure in measures.items()}
    tau = float(kendalltau(values, predicted).statistic)
    return {**quality, "kendall_tau": 0.0 if math.isnan(tau) else tau}  # NaN: all predictions are equal


def _fit(names: list[str], features: NDArray[np.float64], values: NDArray[np.float64], folds: int) -> SurrogateFitness:
    from sklearn.linear_model import RidgeCV

    ridge = RidgeCV(alphas=np.logspace(-3, 3, 13))
    quality = cross_validated(ridge, features, values, folds)
    ridge.fit(features, values)
    return _from_terms(float(ridge.intercept_), dict(zip(names, ridge.coef_.tolist(), strict=True)), quality)


def _terms(architecture: Architecture) -> list[str]:
    """Return the term names of an architecture, ``embed_dim=64`` or ``num_heads.0=2``."""
    terms: list[str] = []
    for name, value in architecture.to_dict().items():
        layers = enumerate(value) if isinstance(value, list) else None
        terms += [f"{name}={value}"] if layers is None else [f"{name}.{layer}={each}" for layer, each in layers]
    return terms


def _term_names(architectures: Iterable[Architecture]) -> list[str]:
    return sorted({name for architecture in architectures for name in _terms(architecture)})


def _one_hot(names: list[str], architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    column = {name: index for index, name in enumerate(names)}
    features = np.zeros((len(architectures), len(names)))
    for row, architecture in enumerate(architectures):
        features[row, [column[name] for name in _terms(architecture)]] = 1.0
    return features


def _from_terms(intercept: float, terms: Mapping[str, float], quality: Mapping[str, float]) -> SurrogateFitness:
    network: dict[str, dict[float, float]] = {}
    layers: dict[int, dict[str, dict[float, float]]] = {}
    for term, effect in terms.items():
        name, _, value = term.partition("=")
        key, _, layer = name.partition(".")
        target = layers.setdefault(int(layer), {}) if layer else network
        target.setdefault(key, {})[float(value)] = effect
    each = [layers[index] for index in sorted(layers)]
    return SurrogateFitness(intercept, layers=each, quality=quality, **network)


def _named(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of known dimensions in a mapping."""
    return {name: _numbers(terms) for name, terms in data.items() if name in kind_names()}


def _ordered(terms: Mapping[str, Terms], *first: str) -> dict[str, dict[float, float]]:
    """Return terms by name, required names first."""
    return {name: dict(terms[name]) for name in (*first, *sorted({*terms} - {*first}))}


def _numbers(terms: Mapping[str, float]) -> dict[float, float]:
    numbers = {float(value): float(effect) for value, effect in terms.items()}
    for value, effect in numbers.items():
        if not math.isfinite(effect):
            raise ValueError(f"the term of {value:g} is {effect}")
    return numbers


def _restrict(terms: Mapping[float, float], values: Sequence[float]) -> dict[float, float]:
    return {value: terms[value] for value in values}


def _require(name: str, reachable: Sequence[float], known: Mapping[float, float]) -> None:
    for value in reachable:
        if value not in known:
            raise FitnessError(
                f"the surrogate does not know {name} = {value:g}, which the budget allows; "
                f"it knows {', '.join(f'{item:g}' for item in known)}",
                value,
            )
