"""RegressionFitness: it learns interactions, comes back from its file, and the better model is taken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness import SurrogateFitness, TableFitness
from nasformer.fitness.regression import RegressionFitness, additivity, fit_surrogate, load_surrogate
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space

MODELS = ["trees", "gaussian-process"]


def interacting(architecture: Architecture) -> float:
    """Return a value whose sign depends on width and first layer together."""
    signs = np.sign(architecture.embed_dim - 40) * np.sign(architecture.num_heads[0] - 2.5)
    return float(10 * signs + architecture.depth + sum(architecture.mlp_ratio) / 10)


@pytest.fixture(scope="module")
def bent() -> dict[Architecture, float]:
    return {each: interacting(each) for each in dict.fromkeys(load_space("digits").sample(400, seed=1))}


@pytest.fixture(scope="module", params=MODELS)
def fitted(request: pytest.FixtureRequest, bent: dict[Architecture, float]) -> RegressionFitness:
    surrogate = fit_surrogate(bent, request.param, folds=3)
    assert isinstance(surrogate, RegressionFitness)
    return surrogate


def test_interactions_are_learnt(
    fitted: RegressionFitness, bent: dict[Architecture, float], space: SearchSpace
) -> None:
    additive = SurrogateFitness.fit(bent, folds=3)
    assert additive.quality["r2"] < 0.6 < 0.9 < fitted.quality["r2"]
    unseen = [each for each in dict.fromkeys(space.sample(300, seed=2)) if each not in bent]
    predicted = np.array([evaluation.value for evaluation in fitted.evaluate(unseen)], dtype=float)
    truth = np.array([interacting(each) for each in unseen])
    assert np.mean((predicted - truth) ** 2) < 0.2 * truth.var()


def test_it_comes_back_from_its_file(
    fitted: RegressionFitness, bent: dict[Architecture, float], tmp_path: Path
) -> None:
    fitted.save(tmp_path / "s.json")
    again = load_surrogate(tmp_path / "s.json")
    assert again.describe() == fitted.describe()
    some = list(bent)[:9]
    assert [e.value for e in again.evaluate(some)] == [e.value for e in fitted.evaluate(some)]


def test_the_optimum_is_the_highest_prediction(fitted: RegressionFitness, space: SearchSpace) -> None:
    feasible = space.feasible(params=40e3)
    everything = space.decode(feasible.codes())
    assert fitted.optimum(feasible) == max(e.value for e in fitted.evaluate(everything) if e.value is not None)
    found = Searcher(space, "random", fitted, seed=0).run(40e3, evaluations=10, progress=False)
    assert found.best.fitness <= (fitted.optimum(feasible) or 0)


def test_unknown_choices_are_refused(fitted: RegressionFitness, space: SearchSpace) -> None:
    known = {each: value for each, value in fitted.rows.items() if each.embed_dim < 64}
    surrogate = RegressionFitness(fitted.model, known)
    with pytest.raises(FitnessError, match="does not know embed_dim = 64"):
        surrogate.check(space.feasible())
    wide, narrow = surrogate.evaluate([space.largest, space.smallest])
    assert (wide.value, wide.error) == (None, "the surrogate does not know embed_dim 64")
    assert narrow.value is not None


def test_auto_takes_the_better_model(bent: dict[Architecture, float], table: Path) -> None:
    assert isinstance(fit_surrogate(bent, "auto", folds=3), RegressionFitness)
    assert isinstance(fit_surrogate(table, "auto", folds=3), SurrogateFitness)


def test_additivity_tells_the_two_kinds_of_landscape_apart(bent: dict[Architecture, float], table: Path) -> None:
    curved, straight = additivity(bent), additivity(TableFitness(table).values)
    assert curved["additive"] < 0.6 < curved["trees"]
    assert straight["additive"] > 0.99 > straight["trees"]


def test_on_networks_trained_alone_trees_predict_better(reference: Path) -> None:
    path = reference / "trained-tables" / "hytas-indian.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    found = additivity(TableFitness(path).values)
    assert found["additive"] < 0.9 < 0.94 < found["trees"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"model": "pickle", "rows": []}', "model is 'pickle', not trees or gaussian-process"),
        ('{"model": "trees"}', "'rows'"),
        ('{"model": "trees", "rows": [{"embed_dim": 3, "value": 1}]}', "is not a surrogate: "),
        ("[1]", "is not an additive surrogate"),
        ("{", "is not a surrogate"),
    ],
)
def test_a_file_that_is_none_is_one_line(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text(content)
    with pytest.raises(FitnessError, match=words) as caught:
        load_surrogate(tmp_path / "s.json")
    assert "\n" not in str(caught.value)


def test_too_few_rows_and_unknown_models_are_refused(bent: dict[Architecture, float], table: Path) -> None:
    with pytest.raises(FitnessError, match="the table has 2 rows, too few for 3 folds"):
        fit_surrogate(dict(list(bent.items())[:2]), "trees", folds=3)
    with pytest.raises(FitnessError, match="unknown model 'forest'; known: additive, auto, gaussian-process, trees"):
        fit_surrogate(table, "forest")
