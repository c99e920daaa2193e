"""SurrogateFitness: an additive model of a table, cheap enough for studies of strategies.

value = intercept + embed_dim[E] + depth[D] + sum over layers (num_heads[h] + mlp_ratio[r]), fitted by
ridge regression on one-hot dimensions. Being additive, ``FeasibleSet.argmax`` finds its exact optimum.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer._io import text_digest
from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.table import TableFitness
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet

_LAYER = ("num_heads", "mlp_ratio")


class SurrogateFitness:
    """An additive model's value of any architecture whose choices it knows.

    Args:
        intercept: Value where every other term is zero.
        embed_dim: Term of each embedding width.
        depth: Term of each depth.
        layers: Terms of each layer's heads and MLP ratio, first layer first.
        quality: Where it was fitted here, of cross-validated predictions: ``r2``, ``kendall_tau``, and the error
            in the value's unit as ``rmse`` and ``mae``.
    """

    def __init__(
        self,
        intercept: float,
        embed_dim: Mapping[float, float],
        depth: Mapping[float, float],
        layers: Sequence[Mapping[str, Mapping[float, float]]],
        quality: Mapping[str, float] | None = None,
    ) -> None:
        self.intercept, self.embed_dim, self.depth = float(intercept), dict(embed_dim), dict(depth)
        self.layers = [{key: dict(layer[key]) for key in _LAYER} for layer in layers]
        self.quality = dict(quality or {})

    @classmethod
    def load(cls, path: str | Path) -> SurrogateFitness:
        """Read the JSON that ``save`` wrote; further keys are left alone.

        Raises:
            FitnessError: The file cannot be read, or a term is missing.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            layers = [{key: _numbers(layer[key]) for key in _LAYER} for layer in data["layers"]]
            if not math.isfinite(float(data["intercept"])):
                raise ValueError(f"intercept is {data['intercept']}")
            terms = data["intercept"], _numbers(data["embed_dim"]), _numbers(data["depth"])
            return cls(*terms, layers, data.get("quality"))
        except OSError as error:
            raise FitnessError(f"cannot read the surrogate {str(path)!r}: {error.strerror}", path) from error
        except KeyError as error:
            raise FitnessError(f"{str(path)!r} is no additive surrogate: it lacks {error}", path) from error
        except (TypeError, ValueError, AttributeError) as error:
            raise FitnessError(f"{str(path)!r} is no additive surrogate: {error}", path) from error

    def save(self, path: str | Path) -> None:
        """Write the terms as JSON."""
        data = {"intercept": self.intercept, **self.scores, "quality": self.quality}
        Path(path).write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def fit(cls, table: TableFitness | str | Path, folds: int = 10) -> SurrogateFitness:
        """Fit a table by ridge regression; the penalty is chosen by cross-validation.

        ``quality`` says how far ``folds``-fold predictions are off: ``r2``, ``kendall_tau``, and in the value's unit
        the root mean square error ``rmse`` and the mean absolute error ``mae``.

        Raises:
            FitnessError: The table has fewer rows than folds.
        """
        table = table if isinstance(table, TableFitness) else TableFitness(table)
        architectures = table.architectures
        if len(architectures) < folds:
            raise FitnessError(f"{table.path} has {len(architectures)} rows, too few for {folds} folds", table)
        values = np.array([evaluation.value for evaluation in table.evaluate(architectures)], dtype=np.float64)
        names = sorted({name for architecture in architectures for name in _terms(architecture)})
        return _fit(names, _one_hot(names, architectures), values, folds)

    @property
    def scores(self) -> dict[str, Any]:
        """The terms as ``FeasibleSet.argmax`` takes them."""
        return {"embed_dim": self.embed_dim, "depth": self.depth, "layers": self.layers}

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the model's value of each architecture; one with an unknown choice has failed."""
        for architecture in architectures:
            unknown = self._unknown(architecture)
            error = f"the surrogate does not know {unknown}" if unknown else None
            yield Evaluation(architecture, self.true_value(architecture), error)

    def check(self, feasible: FeasibleSet) -> None:
        """Check that every reachable choice is known.

        Raises:
            FitnessError: One is not; the message names it.
        """
        reachable = feasible.reachable()
        for key, known in (("embed_dim", self.embed_dim), ("depth", self.depth)):
            _require(key, reachable[key], known)
        for layer in range(int(max(reachable["depth"]))):
            if layer >= len(self.layers):
                raise FitnessError(f"the surrogate knows {len(self.layers)} layers, but depth {layer + 1} is feasible")
            for key in _LAYER:
                _require(f"{key} of layer {layer}", reachable[key], self.layers[layer][key])

    def true_value(self, architecture: Architecture) -> float | None:
        """Return the model's value, or None where it does not know a choice."""
        return None if self._unknown(architecture) else self._predict(architecture)

    def optimum(self, feasible: FeasibleSet) -> float | None:
        """Return the highest value of the model within a set, exactly.

        Raises:
            FitnessError: A reachable choice is not known.
        """
        self.check(feasible)
        reachable = feasible.reachable()
        layers = [{key: _only(layer[key], reachable[key]) for key in _LAYER} for layer in self.layers]
        network = {key: _only(getattr(self, key), reachable[key]) for key in ("embed_dim", "depth")}
        return self.true_value(feasible.argmax({**network, "layers": layers[: int(max(reachable["depth"]))]}))

    def describe(self) -> dict[str, Any]:
        """Return the model's kind and its cross-validated quality."""
        digest = text_digest(json.dumps([self.intercept, self.scores]))
        return {"kind": "surrogate", "sha256": digest, "intercept": self.intercept, **self.quality}

    def _predict(self, architecture: Architecture) -> float:
        total = self.intercept + self.embed_dim[architecture.embed_dim] + self.depth[architecture.depth]
        for layer, heads, ratio in zip(self.layers, architecture.num_heads, architecture.mlp_ratio, strict=False):
            total += layer["num_heads"][heads] + layer["mlp_ratio"][ratio]
        return total

    def _unknown(self, architecture: Architecture) -> str | None:
        if architecture.embed_dim not in self.embed_dim:
            return f"embed_dim {architecture.embed_dim}"
        if architecture.depth not in self.depth or architecture.depth > len(self.layers):
            return f"depth {architecture.depth}"
        for layer in range(architecture.depth):
            for key in _LAYER:
                value = getattr(architecture, key)[layer]
                if value not in self.layers[layer][key]:
                    return f"{key} {value:g} of layer {layer}"
        return None


def _fit(names: list[str], features: NDArray[np.float64], values: NDArray[np.float64], folds: int) -> SurrogateFitness:
    from scipy.stats import kendalltau
    from sklearn.linear_model import RidgeCV
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
    from sklearn.model_selection import KFold, cross_val_predict

    ridge = RidgeCV(alphas=np.logspace(-3, 3, 13))
    predicted = cross_val_predict(ridge, features, values, cv=KFold(folds, shuffle=True, random_state=0))
    measures = {"r2": r2_score, "rmse": root_mean_squared_error, "mae": mean_absolute_error}
    quality = {name: float(measure(values, predicted)) for name, measure in measures.items()}
    quality["kendall_tau"] = float(kendalltau(values, predicted).statistic)
    ridge.fit(features, values)
    return _from_terms(float(ridge.intercept_), dict(zip(names, ridge.coef_.tolist(), strict=True)), quality)


def _terms(architecture: Architecture) -> list[str]:
    layers = enumerate(zip(architecture.num_heads, architecture.mlp_ratio, strict=True))
    return [f"embed_dim={architecture.embed_dim}", f"depth={architecture.depth}"] + [
        term
        for index, (heads, ratio) in layers
        for term in (f"num_heads.{index}={heads}", f"mlp_ratio.{index}={ratio}")
    ]


def _one_hot(names: list[str], architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    column = {name: index for index, name in enumerate(names)}
    features = np.zeros((len(architectures), len(names)))
    for row, architecture in enumerate(architectures):
        features[row, [column[name] for name in _terms(architecture)]] = 1.0
    return features


def _from_terms(intercept: float, terms: Mapping[str, float], quality: Mapping[str, float]) -> SurrogateFitness:
    network: dict[str, dict[float, float]] = {"embed_dim": {}, "depth": {}}
    layers: dict[int, dict[str, dict[float, float]]] = {}
    for term, effect in terms.items():
        name, _, value = term.partition("=")
        key, _, layer = name.partition(".")
        target = layers.setdefault(int(layer), {k: {} for k in _LAYER})[key] if layer else network[key]
        target[float(value)] = effect
    return SurrogateFitness(intercept, **network, layers=[layers[index] for index in sorted(layers)], quality=quality)


def _numbers(terms: Mapping[str, float]) -> dict[float, float]:
    numbers = {float(value): float(effect) for value, effect in terms.items()}
    for value, effect in numbers.items():
        if not math.isfinite(effect):
            raise ValueError(f"the term of {value:g} is {effect}")
    return numbers


def _only(terms: Mapping[float, float], values: Sequence[float]) -> dict[float, float]:
    return {value: terms[value] for value in values}


def _require(what: str, reachable: Sequence[float], known: Mapping[float, float]) -> None:
    for value in reachable:
        if value not in known:
            raise FitnessError(
                f"the surrogate does not know {what} = {value:g}, which the budget allows; "
                f"it knows {', '.join(f'{item:g}' for item in known)}",
                value,
            )
