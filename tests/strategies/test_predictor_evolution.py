"""Predictor evolution: better than random where there is something to learn, noise or failures notwithstanding."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nasformer.errors import StrategyError
from nasformer.fitness import SurrogateFitness
from nasformer.registry import get_strategy
from nasformer.search import Trial
from nasformer.space import FeasibleSet, load_space
from nasformer.strategies.predictor_evolution import PredictorEvolution
from nasformer.testing import Judge, stream

TINY = load_space("autoformer-tiny").feasible(params=(5e6, 6e6))


def made_up() -> SurrogateFitness:
    """Return an additive fitness with terms of every size."""
    rng, codec = random.Random(0), TINY.space.codec
    layer = {"num_heads": codec.values["num_heads"], "mlp_ratio": codec.values["mlp_ratio"]}
    layers = [{key: {v: rng.gauss(0, 0.1) for v in values} for key, values in layer.items()} for _ in range(14)]
    return SurrogateFitness(
        75, dict.fromkeys(codec.values["embed_dim"], 0.0), {d: d / 10 for d in codec.depths}, layers
    )


def best_found(name: str, feasible: FeasibleSet, fitness: SurrogateFitness, seed: int, noise: float = 0.0) -> float:
    """Return the true value of what a strategy recommends after 80 noisy evaluations."""
    strategy, rng = get_strategy(name)(feasible, seed=seed, evaluations=80), np.random.default_rng(seed)
    truth = {}
    for number in range(80):
        (architecture,) = strategy.ask(1)
        (evaluation,) = fitness.evaluate([architecture])
        assert evaluation.value is not None
        truth[architecture] = evaluation.value
        strategy.tell([Trial(number, number, architecture, evaluation.value + noise * rng.standard_normal())])
    return truth[strategy.recommend()[0]]


@pytest.mark.parametrize("noise", [0.0, 0.15])
def test_it_beats_random_search(noise: float) -> None:
    fitness = made_up()
    ours, theirs = (
        [best_found(name, TINY, fitness, seed, noise) for seed in range(3)]
        for name in ("predictor-evolution", "random")
    )
    assert min(ours) > max(theirs), f"ours {ours}, random {theirs}"


def test_it_looks_at_every_width_and_depth_that_it_can_reach() -> None:
    strategy, judge = PredictorEvolution(TINY, seed=0), Judge(TINY)
    stream(strategy, judge, [1] * 60)
    drawn = {(t.architecture.embed_dim, t.architecture.depth) for t in judge.trials[:30]}
    sizes = {(t.architecture.embed_dim, t.architecture.depth) for t in judge.trials}
    assert drawn == {(192, 12)}, "the prior hardly ever draws another"
    assert sizes >= {(192, 12), (192, 13)}


def test_it_learns_from_no_more_than_a_bounded_number_of_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nasformer.strategies.predictor_evolution._MAX_TRIALS", 20)
    feasible = load_space("digits").feasible()
    strategy, judge = PredictorEvolution(feasible, seed=0), Judge(feasible)
    strategy.tell(judge.judge(feasible.space.sample(60, seed=1)[:50]))
    lessons = strategy._training_trials()
    assert len(lessons) == 20
    assert judge.trials[-10:] == lessons[-10:]
    assert strategy.best_told(1)[0] in lessons


@pytest.mark.parametrize("option", ["startup", "refit", "candidates"])
def test_wrong_options_are_refused(option: str) -> None:
    with pytest.raises(StrategyError, match=f"{option} must be a whole number of at least [12], got 0"):
        PredictorEvolution(TINY, seed=0, **{option: 0})
