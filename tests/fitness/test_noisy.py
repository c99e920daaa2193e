"""NoisyFitness: one noise for each seed and architecture, whoever asks and in whatever order; fresh to confirm."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, pearsonr

from nasformer.architecture import Architecture, uniform
from nasformer.errors import FitnessError
from nasformer.fitness import NoisyFitness, SurrogateFitness, TableFitness
from nasformer.fitness.noisy import standard_normal
from nasformer.search import CallableFitness, known
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space

ALL = load_space("digits").feasible().sample(1500, seed=0, prior="architectures")
ARCHITECTURES = list(dict.fromkeys(ALL))


def noises(seed: int, purpose: str) -> list[float]:
    return [standard_normal(seed, architecture, purpose) for architecture in ARCHITECTURES]


@pytest.fixture
def exact(table: Path) -> TableFitness:
    return TableFitness(table)


@given(st.permutations(ARCHITECTURES[:8]), st.integers(0, 2**32), st.integers(1, 7))
def test_the_noise_knows_no_order(asked: list[Architecture], seed: int, cut: int) -> None:
    noisy = NoisyFitness(CallableFitness(lambda architecture: architecture.depth), 0.7, seed)
    whole = {told.architecture: told.value for told in noisy.evaluate(ARCHITECTURES[:8])}
    parts = [*noisy.evaluate(asked[:cut]), *noisy.evaluate(asked[cut:])]
    assert {told.architecture: told.value for told in parts} == whole


@given(st.integers(0, 2**63), st.sampled_from(ARCHITECTURES), st.floats(0, 1e6))
def test_the_noise_is_the_draw_in_units_of_its_sd(seed: int, architecture: Architecture, sd: float) -> None:
    (told,) = NoisyFitness(CallableFitness(lambda a: 10.0), sd, seed).evaluate([architecture])
    assert told.value == 10.0 + sd * standard_normal(seed, architecture, "evaluate")
    assert told.metrics == {"standard_error": sd}


@pytest.mark.parametrize("purpose", ["evaluate", "confirm"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_noise_is_standard_normal(purpose: str, seed: int) -> None:
    assert kstest(noises(seed, purpose), "norm").pvalue > 0.01


@pytest.mark.parametrize("other", [(0, "confirm"), (1, "evaluate"), (10, "evaluate")])
def test_other_seeds_and_purposes_have_noise_of_their_own(other: tuple[int, str]) -> None:
    assert pearsonr(noises(0, "evaluate"), noises(*other)).pvalue > 0.01
    assert not set(noises(0, "evaluate")) & set(noises(*other))


def test_the_noise_is_the_same_in_another_process() -> None:
    architecture = uniform(48, 3, 2, 3)
    code = (
        "from nasformer.architecture import uniform; from nasformer.fitness.noisy import standard_normal; "
        "print(standard_normal(5, uniform(48, 3, 2, 3), 'confirm').hex())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == standard_normal(5, architecture, "confirm").hex()


def test_every_strategy_of_a_seed_hears_the_same(exact: TableFitness, space: SearchSpace) -> None:
    heard = []
    for strategy in ("random", "evolution", "aging-evolution"):
        result = Searcher(space, strategy, NoisyFitness(exact, 3.0, 7), seed=7).run(evaluations=400, progress=False)
        heard.append({trial.architecture: trial.value for trial in result.trials})
    assert heard[0] == heard[1] == heard[2]
    assert len(heard[0]) == len(exact.architectures)


def test_the_winner_is_confirmed_by_fresh_noise(exact: TableFitness, space: SearchSpace) -> None:
    noisy = NoisyFitness(exact, 3.0, 7, confirmation_sd=0.0)
    result = Searcher(space, "random", noisy, seed=7).run(evaluations=60, progress=False)
    for trial in result.confirmed:
        assert trial.value == exact.true_value(trial.architecture)
    told = {trial.architecture: trial.value for trial in result.trials}
    again = {e.architecture: e.value for e in NoisyFitness(exact, 3.0, 7).confirm(list(told))}
    assert all(again[architecture] != value for architecture, value in told.items())


def test_the_truth_passes_and_the_loss_does_not(exact: TableFitness, space: SearchSpace) -> None:
    noisy, feasible = NoisyFitness(exact, 1.0), space.feasible(params=50e3)
    chosen = exact.architectures[3]
    assert known.true_value(noisy, chosen) == known.true_value(exact, chosen) is not None
    assert known.optimum(noisy, feasible) == exact.optimum(feasible)
    assert known.test_value(noisy, chosen) is None
    assert noisy.architectures == exact.architectures
    assert "loss" not in next(noisy.evaluate([chosen])).metrics
    assert "loss" in next(exact.evaluate([chosen])).metrics


def test_a_fitness_that_knows_nothing_is_asked_in_vain(space: SearchSpace) -> None:
    plain = CallableFitness(lambda architecture: architecture.depth)
    noisy = NoisyFitness(plain, 1.0)
    assert not hasattr(noisy, "architectures")
    assert not hasattr(noisy, "check")
    for fitness in (plain, noisy):
        assert known.true_value(fitness, space.largest) is None
        assert known.test_value(fitness, space.largest) is None
        assert known.optimum(fitness, space.feasible()) is None


def test_a_refusal_and_a_failure_pass(table: Path, space: SearchSpace) -> None:
    full = SurrogateFitness.fit(table)
    noisy = NoisyFitness(SurrogateFitness(0.0, full.network["embed_dim"], {2: 0.0}, full.layers), 1.0)
    with pytest.raises(FitnessError, match="does not know depth = 3"):
        noisy.check(space.feasible())
    (told,) = noisy.evaluate([space.largest])
    assert (told.value, told.error) == (None, "the surrogate does not know depth 4")


def test_its_seed_and_sd_are_told_apart(exact: TableFitness) -> None:
    """Else a study would go on with other noise."""
    kinds: list[Callable[[], NoisyFitness]] = [
        lambda: NoisyFitness(exact, 1.0),
        lambda: NoisyFitness(exact, 1.0, 1),
        lambda: NoisyFitness(exact, 2.0),
        lambda: NoisyFitness(exact, 1.0, 0, 0.5),
    ]
    said = [str(make().describe()) for make in kinds]
    assert len(set(said)) == len(kinds)
    assert NoisyFitness(exact, 1.0).describe()["kind"] == "table"


def test_it_travels_to_workers(exact: TableFitness) -> None:
    again: Any = pickle.loads(pickle.dumps(NoisyFitness(exact, 1.0, 5)))
    asked = exact.architectures[:5]
    assert list(again.evaluate(asked)) == list(NoisyFitness(exact, 1.0, 5).evaluate(asked))


@pytest.mark.parametrize("sd", [-0.1, float("nan"), float("inf"), "much"])
def test_a_bad_deviation_is_named(sd: Any, exact: TableFitness) -> None:
    with pytest.raises(FitnessError, match=f"noise must be a standard deviation of 0 or more, got {sd!r}"):
        NoisyFitness(exact, sd)
    with pytest.raises(FitnessError, match=f"confirmation_sd must be a standard deviation.*{sd!r}"):
        NoisyFitness(exact, 1.0, confirmation_sd=sd)


def test_a_race_is_refused(exact: TableFitness) -> None:
    exact.joint = True  # type: ignore[attr-defined]
    with pytest.raises(FitnessError, match=r"noise 1\.0 needs a fitness that evaluates architectures independently"):
        NoisyFitness(exact, 1.0)


def test_without_noise_values_are_exact(exact: TableFitness) -> None:
    told = np.array([e.value for e in NoisyFitness(exact, 0.0).evaluate(exact.architectures)])
    assert told.tolist() == [exact.true_value(architecture) for architecture in exact.architectures]
