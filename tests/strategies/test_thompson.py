"""Thompson sampling: its model against textbook formulas, its argmax, its recommendation under noise."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost
from nasformer.errors import StrategyError
from nasformer.fitness import SurrogateFitness
from nasformer.search import Trial
from nasformer.space import FeasibleSet, FilteredSet, SearchSpace, choice, load_space, per_layer
from nasformer.space.codec import Codes
from nasformer.strategies._additive_model import AdditiveModel
from nasformer.strategies.thompson import Thompson
from nasformer.testing import StrategyConformance

TINY = load_space("autoformer-tiny")


class TestSensitivityDesign(StrategyConformance):
    strategy = "thompson"
    options = {"design": "sensitivity"}  # noqa: RUF012


def told(strategy: Thompson, value: dict[Architecture, float] | SurrogateFitness, n: int, noise: float = 0.0) -> None:
    """Ask and tell one at a time."""
    rng = np.random.default_rng(5)
    for number in range(n):
        (architecture,) = strategy.ask()
        true = value[architecture] if isinstance(value, dict) else next(iter(value.evaluate([architecture]))).value
        assert true is not None
        strategy.tell([Trial(number, 0, architecture, true + noise * rng.standard_normal())])


def test_scores_of_effects_are_the_features_times_the_effects() -> None:
    for space in (TINY, load_space("digits"), load_space("fashion-mnist")):
        model = AdditiveModel(space.codec)
        codes = space.sample_codes(50, seed=1)
        effects = np.random.default_rng(2).standard_normal(model.columns)
        expected = model.features(codes) @ effects
        assert model.scores(effects).evaluate(space.codec, codes) == pytest.approx(expected)


@pytest.mark.parametrize("uneven", [0.0, 3.0])
def test_the_posterior_is_the_textbook_one(uneven: float) -> None:
    model, rng = AdditiveModel(TINY.codec), np.random.default_rng(0)
    x = model.features(TINY.sample_codes(60, seed=3))
    errors = uneven * (np.arange(60) % 2).astype(float)
    y = x @ rng.standard_normal(model.columns) + rng.standard_normal(60) * np.sqrt(1 + errors)
    model.fit(x, y, errors)
    assert model._variances is not None
    weights = 1 / (model._noise + errors)
    prior, centred = np.diag(model._variances[model._groups]), x - np.average(x, axis=0, weights=weights)
    gain = prior @ centred.T @ np.linalg.inv(centred @ prior @ centred.T + np.diag(model._noise + errors))
    assert model.mean_effects == pytest.approx(gain @ (y - np.average(y, weights=weights)), abs=1e-8)
    draws = np.array([model.draw(rng) for _ in range(4000)])
    covariance = prior - gain @ centred @ prior
    off = (draws.mean(axis=0) - model.mean_effects) / np.sqrt(np.diag(covariance) / len(draws))
    assert np.abs(off).max() < 4.5  # standard errors, of some 250
    assert draws.var(axis=0) == pytest.approx(np.diag(covariance), rel=0.2)


@pytest.mark.parametrize("uneven", [0.0, 1.0])
def test_each_step_of_the_evidence_makes_the_data_more_probable(uneven: float) -> None:
    model, rng = AdditiveModel(load_space("digits").codec), np.random.default_rng(0)
    x = model.features(load_space("digits").sample_codes(120, seed=3))
    effects = rng.standard_normal(model.columns) * (model._groups == 1)  # depth alone matters
    errors = uneven * (np.arange(120) % 2).astype(float)
    y = x @ effects + np.sqrt(0.01 + errors) * rng.standard_normal(120)

    def log_evidence() -> float:
        assert model._variances is not None
        centred = x - x.mean(axis=0)
        covariance = centred * model._variances[model._groups] @ centred.T + np.diag(model._noise + errors)
        return float(multivariate_normal(np.zeros(120), covariance).logpdf(y - y.mean()))

    model.fit(x, y, errors)
    before = log_evidence()
    for _ in range(20):
        model.fit(x, y, errors)
    assert log_evidence() > before - 0.5  # the prior on the variances may cost a little of it
    assert model._noise == pytest.approx(0.01, rel=0.4)


def test_what_a_race_dropped_early_counts_for_less() -> None:
    space = load_space("digits")
    archs = space.sample(60, seed=4)
    shallow = {a for a in archs if a.depth == min(space.depth)}
    strategies = []
    for error in (0.1, 100.0):
        strategies.append(Thompson(space.feasible(), seed=0))
        early = {"standard_error": error, "images": 200, "dropped": 1.0}
        whole = {"standard_error": 0.1, "images": 2000}
        strategies[-1].tell(
            [
                Trial(i, 0, a, 80.0 - 10 * (a in shallow), metrics=early if a in shallow else whole)
                for i, a in enumerate(archs)
            ]
        )
        assert not shallow & set(strategies[-1].recommend(60))
    trusted, doubted = (s.model.mean_effects[s.model._groups == 1] for s in strategies)
    assert np.ptp(doubted) < 0.5 * np.ptp(trusted)


def test_the_first_asks_cover_what_random_draws_miss() -> None:
    feasible = TINY.feasible(params=(5e6, 6e6))
    depths = {a.depth for a in Thompson(feasible, seed=0).ask(20)}
    assert depths == set(feasible.reachable()["depth"])
    assert {a.depth for a in feasible.sample(20, seed=0)} != depths


def test_the_optimum_of_an_additive_fitness_is_found_exactly() -> None:
    space = load_space("digits")
    feasible, rng = space.feasible(params=60e3), np.random.default_rng(1)
    model = AdditiveModel(space.codec)
    effects = rng.standard_normal(model.columns) * (model._groups < 6)
    codes = feasible.codes()
    values = dict(zip(space.decode(codes), (model.features(codes) @ effects).tolist(), strict=True))
    strategy = Thompson(feasible, seed=0, evaluations=80)
    told(strategy, values, 80)
    assert values[strategy.recommend()[0]] == max(values.values())


def test_interactions_of_embed_dim_with_layers_are_learned() -> None:
    space = SearchSpace(
        "wide",
        embed_dim=choice(16, 32),
        depth=choice(6),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
    )

    def value(a: Architecture) -> float:  # more heads help one width and harm the other
        return sum(a.num_heads) if a.embed_dim == 32 else -sum(a.num_heads)

    values = {a: float(value(a)) for a in space.decode(space.feasible().codes())}
    strategy = Thompson(space.feasible(), seed=0, evaluations=60)
    told(strategy, values, 60)
    rest = [a for a in values if a not in strategy.told]
    predicted = strategy.model.predict(strategy.model.features(space.encode(rest)))
    assert np.corrcoef(predicted, [values[a] for a in rest])[0, 1] > 0.97


def test_noise_does_not_crown_a_lucky_one(reference: Path) -> None:
    path = reference / "imagenet-inherited" / "surrogate_small.json"
    if not path.exists():
        pytest.skip(f"{path} is absent (set NASFORMER_REFERENCE)")
    truth = SurrogateFitness.load(path)
    feasible = load_space("autoformer-small").feasible(params=(18e6, 23e6))
    strategy = Thompson(feasible, seed=0, evaluations=120)
    told(strategy, truth, 120, noise=0.3)
    lucky = strategy.best_told(1)[0].architecture
    true = {a: next(iter(truth.evaluate([a]))).value or 0.0 for a in (lucky, strategy.recommend()[0])}
    assert true[strategy.recommend()[0]] > true[lucky]
    official = json.loads((reference / "imagenet-inherited" / "official_evolution.json").read_text())
    curve = official["S-additive-0.15"]  # half the noise
    at_100 = curve["checkpoints"].index(100)
    assert true[strategy.recommend()[0]] > np.median([seed[at_100] for seed in curve["incumbent_true_accuracy"]])


def test_misfit_is_recommended_where_there_is_no_noise() -> None:
    space = load_space("digits")
    feasible: FeasibleSet = space.feasible(params=60e3)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((3, 3))

    def value(a: Architecture) -> float:  # neighbouring layers together, which the model does not know
        heads = [space.codec.values["num_heads"].index(h) for h in a.num_heads]
        return float(sum(weights[i, j] for i, j in pairwise(heads)))

    values = {a: value(a) for a in space.decode(feasible.codes())}
    strategy = Thompson(feasible, seed=0, evaluations=100)
    told(strategy, values, 100)
    best = strategy.best_told(1)[0].value
    assert values[strategy.recommend()[0]] == pytest.approx(best, abs=0.05 * np.ptp(list(values.values())))


@pytest.mark.parametrize("startup", [0, 2.5, "many"])
def test_an_impossible_startup_is_refused(startup: object) -> None:
    with pytest.raises(StrategyError, match=f"startup must be a whole number of at least 1, got {startup!r}"):
        Thompson(TINY.feasible(), seed=0, startup=startup)  # type: ignore[arg-type]


def test_a_set_that_turns_out_smaller_than_proposed_is_run_out() -> None:
    known = load_space("digits").with_cost(FunctionCost("heads", lambda a: sum(a.num_heads)))
    feasible = known.feasible(params=30e3, heads=(5, 6))
    assert isinstance(feasible, FilteredSet)
    wanted = {a for a in known.decode(feasible.proposed.codes()) if 5 <= sum(a.num_heads) <= 6}
    assert feasible.at_most() > len(wanted)
    strategy = Thompson(feasible, seed=0)
    while asked := strategy.ask(3):
        strategy.tell([Trial(len(strategy.told) + i, 0, a, float(a.depth)) for i, a in enumerate(asked)])
    assert set(strategy.told) == wanted


@pytest.mark.parametrize("scale", [2.0**-60, 2.0**60])
def test_the_unit_of_the_fitness_does_not_matter(scale: float) -> None:
    feasible = load_space("digits").feasible(params=60e3)
    codes = feasible.codes()
    worth = codes.sum(axis=1) + np.sin(np.arange(len(codes)))
    asked = []
    for unit in (1.0, scale):
        strategy = Thompson(feasible, seed=0, evaluations=40)
        values = dict(zip(feasible.space.decode(codes), (unit * worth).tolist(), strict=True))
        told(strategy, values, 40)
        asked.append(list(strategy.told))
    assert asked[0] == asked[1]


def test_recommending_among_many_told_takes_no_cube_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def misfit(codes: Codes, left: NDArray[np.float64]) -> NDArray[np.float64]:
        sizes.append(len(left))
        return np.zeros_like(left)

    monkeypatch.setattr("nasformer.strategies.thompson.misfit", misfit)
    feasible = load_space("digits").feasible()
    strategy = Thompson(feasible, seed=0)
    architectures = feasible.space.decode(feasible.codes(100_000)[:1600])
    strategy.tell([Trial(i, i, a, float(sum(a.num_heads))) for i, a in enumerate(architectures)])
    assert len(strategy.recommend(5)) == 5
    assert sizes == [1500]
