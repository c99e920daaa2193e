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


def joint_kernel(model: AdditiveModel, codes: Codes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the prior covariance of the effects' sums and of the misfits, by the textbook."""
    assert model._variances is not None
    x = model.features(codes)
    x = x - x[: len(model._codes)].mean(axis=0)
    prior = np.repeat(model._variances[: len(model._sizes)], model._sizes)
    differing = (codes[:, None, :] != codes[None, :, :]).sum(axis=2)
    shape = model._shape(codes)
    distance = np.sqrt(3) * np.linalg.norm(shape[:, None] - shape[None], axis=2) / 0.5
    misfits = model._variances[-3] * 0.8**differing + model._variances[-2] * (1 + distance) * np.exp(-distance)
    return x * prior @ x.T, misfits


@pytest.mark.parametrize("uneven", [0.0, 3.0])
def test_the_posterior_is_the_textbook_one(uneven: float) -> None:
    model, rng = AdditiveModel(TINY.codec), np.random.default_rng(0)
    codes, others = TINY.sample_codes(60, seed=3), TINY.sample_codes(8, seed=4)
    x = model.features(codes)
    errors = uneven * (np.arange(60) % 2).astype(float)
    y = x @ rng.standard_normal(model.columns) + rng.standard_normal(60) * np.sqrt(1 + errors)
    model.fit(codes, y, errors)
    assert model._variances is not None
    sums, misfits = joint_kernel(model, np.concatenate([codes, others]))
    prior, noise = sums + misfits, np.diag(model._variances[-1] + errors)
    weights = 1 / noise.diagonal()
    gain = prior[60:, :60] @ np.linalg.inv(prior[:60, :60] + noise)
    expected = np.average(y, weights=weights) + gain @ (y - np.average(y, weights=weights))
    assert model.predict(others, model.mean_effects) == pytest.approx(expected, abs=1e-6)
    draws = np.array([model.sample(others, model.draw(rng), rng) for _ in range(1000)])
    covariance = prior[60:, 60:] - gain @ prior[:60, 60:]
    off = (draws.mean(axis=0) - expected) / np.sqrt(np.diag(covariance) / len(draws))
    assert np.abs(off).max() < 4.5  # standard errors
    assert np.cov(draws.T) == pytest.approx(covariance, abs=0.25 * covariance.diagonal().max())


@pytest.mark.parametrize("uneven", [0.0, 1.0])
def test_each_step_of_the_evidence_makes_the_data_more_probable(uneven: float) -> None:
    space = load_space("digits")
    model, rng = AdditiveModel(space.codec), np.random.default_rng(0)
    codes = space.sample_codes(120, seed=3)
    errors = uneven * (np.arange(120) % 2).astype(float)
    depth = space.codec.genes("depth", codes)  # depth alone matters
    y = rng.standard_normal(len(space.depth))[depth] + np.sqrt(0.01 + errors) * rng.standard_normal(120)

    def log_evidence() -> float:
        assert model._variances is not None
        covariance = sum(joint_kernel(model, codes), np.diag(model._variances[-1] + errors))
        return float(multivariate_normal(np.zeros(120), covariance).logpdf(y - model._intercept))

    model.fit(codes, y, errors)
    before = log_evidence()
    for _ in range(20):
        model.fit(codes, y, errors)
    assert log_evidence() > before - 0.5  # the prior on the variances may cost a little of it
    assert model._variances is not None
    assert 0.003 < model._variances[-1] < 0.015  # a little of it is taken for misfit


def test_the_evidence_decides_between_misfit_and_noise() -> None:
    space = load_space("digits")
    codes, rest = np.split(space.sample_codes(260, seed=3), [200])
    neighbours = np.where(codes[:, 2:-1] == codes[:, 3:], 1.0, 0.0).sum(axis=1)  # no effects sum to it
    noise = np.random.default_rng(0).standard_normal(200)
    shares = {}
    for name, values in (("misfit", neighbours), ("noise", noise)):
        model = AdditiveModel(space.codec)
        model.fit(codes, values)
        assert model._variances is not None
        shares[name] = model._variances[-1] / values.var()
        if name == "misfit":
            truth = np.where(rest[:, 2:-1] == rest[:, 3:], 1.0, 0.0).sum(axis=1)
            assert np.corrcoef(model.predict(rest, model.mean_effects), truth)[0, 1] > 0.7
    assert shares["misfit"] < 0.2 < 0.6 < shares["noise"]


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
    depths = slice(len(space.embed_dim), len(space.embed_dim) + len(space.depth))
    trusted, doubted = (s.model.mean_effects[depths] for s in strategies)
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
    effects = rng.standard_normal(model.columns) * (np.repeat(np.arange(len(model._sizes)), model._sizes) < 6)
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
    predicted = strategy.model.predict(space.encode(rest), strategy.model.mean_effects)
    assert np.corrcoef(predicted, [values[a] for a in rest])[0, 1] > 0.97


def test_noise_does_not_crown_a_lucky_one(reference: Path) -> None:
    path = reference / "imagenet-inherited" / "surrogate_small.json"
    if not path.exists():
        pytest.skip(f"{path} is absent (set NASFORMER_REFERENCE)")
    truth = SurrogateFitness.load(path)
    feasible = load_space("autoformer-small").feasible(params=(18e6, 23e6))
    lucky, recommended = [], []
    for seed in range(4):
        strategy = Thompson(feasible, seed=seed, evaluations=120)
        told(strategy, truth, 120, noise=0.3)
        lucky.append(truth.true_value(strategy.best_told(1)[0].architecture) or 0.0)
        recommended.append(truth.true_value(strategy.recommend()[0]) or 0.0)
    assert np.mean(recommended) > np.mean(lucky)
    official = json.loads((reference / "imagenet-inherited" / "official_evolution.json").read_text())
    curve = official["S-additive-0.15"]  # half the noise
    at_100 = curve["checkpoints"].index(100)
    assert np.mean(recommended) > np.median([seed[at_100] for seed in curve["incumbent_true_accuracy"]])


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


def test_what_was_told_is_recommended_at_its_best_though_the_model_takes_it_for_noise() -> None:
    space = load_space("digits")
    architectures = space.sample(60, seed=2)
    values = dict(zip(architectures, np.random.default_rng(0).standard_normal(60).tolist(), strict=True))
    strategy = Thompson(space.feasible(), seed=0)
    strategy.tell([Trial(i, 0, each, values[each]) for i, each in enumerate(values)])
    assert max(values, key=lambda each: values[each]) in strategy.recommend(2)


def test_a_fit_to_many_told_takes_no_cube_of_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    fit = AdditiveModel.fit

    def counted(self: AdditiveModel, codes: Codes, *values: NDArray[np.float64], refine: bool) -> None:
        fit(self, codes, *values, refine=refine)
        sizes.append(len(self._codes))

    monkeypatch.setattr(AdditiveModel, "fit", counted)
    feasible = load_space("digits").feasible()
    strategy = Thompson(feasible, seed=0)
    architectures = feasible.space.decode(feasible.codes(100_000)[:1600])
    strategy.tell([Trial(i, i, a, float(sum(a.num_heads))) for i, a in enumerate(architectures)])
    assert len(strategy.recommend(5)) == 5
    assert sizes == [300]
