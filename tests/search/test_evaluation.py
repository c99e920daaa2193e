"""Evaluations and trials: what has failed, what is better, and that nothing is lost on the way through JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.errors import FitnessError
from nasformer.search import Evaluation, Trial, as_fitness

ARCH = uniform(48, 2, 3, 2)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 10**9)
ARCHITECTURES = st.builds(
    lambda embed_dim, layers: Architecture(embed_dim, *zip(*layers, strict=True)),
    st.integers(2, 640),
    st.lists(st.tuples(st.integers(1, 10), st.floats(0.5, 4)), min_size=1, max_size=5),
)
TRIALS = st.builds(
    Trial,
    COUNT,
    COUNT,
    ARCHITECTURES,
    st.none() | FINITE,
    st.none() | st.text(),
    FINITE,
    st.dictionaries(st.text(), FINITE),
    st.dictionaries(st.sampled_from(["params", "macs"]), COUNT),
)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_value_that_is_not_finite_has_failed_and_says_so(value: float) -> None:
    evaluation = Evaluation(ARCH, value)
    assert (evaluation.value, evaluation.error) == (None, f"the fitness is {value}")


@pytest.mark.parametrize(("error", "reason"), [("diverged", "diverged"), (None, "no value"), ("", "no value")])
def test_a_failure_always_has_a_reason_and_keeps_its_own(error: str | None, reason: str) -> None:
    assert Evaluation(ARCH, None, error).error == reason
    assert (Evaluation(ARCH, math.nan, error).error == reason) == bool(error)


@pytest.mark.parametrize("value", [np.float32(91.5), np.int64(91), 91])
def test_a_value_of_any_numeric_type_becomes_a_plain_float(value: float) -> None:
    evaluation = Evaluation(ARCH, value, metrics={"loss": value})
    assert json.loads(json.dumps([evaluation.value, dict(evaluation.metrics)])) == [float(value), {"loss": value}]
    assert type(evaluation.value) is float


@given(TRIALS)
def test_a_trial_comes_back_from_json_as_it_was(trial: Trial) -> None:
    again = Trial.from_dict(json.loads(json.dumps(trial.to_dict())))
    assert again == trial
    assert hash(again.architecture) == hash(trial.architecture)


def test_rank_orders_by_value_then_loss_then_parameters() -> None:
    def trial(value: float | None, loss: float | None, params: int) -> Trial:
        return Trial(
            0, 0, ARCH, value, metrics={} if loss is None else {"loss": loss}, costs={"params": params, "macs": 1}
        )

    ordered = [
        trial(92.0, 9.0, 900),
        trial(91.0, 0.1, 800),
        trial(91.0, 0.2, 100),
        trial(91.0, 0.2, 200),
        trial(91.0, None, 1),
        trial(-5.0, 0.0, 1),
        trial(None, 0.0, 1),
    ]
    assert sorted([*ordered[3:], *ordered[:3]], key=lambda t: t.rank) == ordered


def test_a_plain_function_serves_as_a_fitness_and_a_fitness_stays_itself() -> None:
    fitness = as_fitness(lambda architecture: architecture.depth)
    assert [e.value for e in fitness.evaluate([ARCH, uniform(8, 5, 1, 1)])] == [2.0, 5.0]
    assert as_fitness(fitness) is fitness


@pytest.mark.parametrize("fitness", [3, "inherited", None])
def test_what_cannot_judge_is_refused(fitness: Any) -> None:
    with pytest.raises(FitnessError, match=rf"evaluate\(architectures\) or is a callable, got {fitness!r}"):
        as_fitness(fitness)
