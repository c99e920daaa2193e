"""Searcher: every form of a budget, clear refusals, the weights that are there, strategies of others."""

from __future__ import annotations

import functools
import logging
import math
from pathlib import Path
from typing import Any

import pytest

import nasformer as nf
from nasformer.cost import Bounds
from nasformer.data import load_dataset
from nasformer.errors import BudgetError, FitnessError, SpaceError, StrategyError
from nasformer.search import BaseStrategy, Trial


class Mine(BaseStrategy):
    """Somebody's strategy, with an option."""

    def __init__(self, feasible: nf.FeasibleSet, *, seed: int, greed: float = 0.5, **common: Any) -> None:
        super().__init__(feasible, seed=seed, **common)
        self.greed = greed

    def propose(self) -> nf.Architecture:
        return self.draw()


class Strict(BaseStrategy):
    """A strategy without options."""

    def __init__(self, feasible: nf.FeasibleSet, *, seed: int, evaluations: int | None, batch_size: int) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)

    def propose(self) -> nf.Architecture:
        return self.draw()


def depth(architecture: nf.Architecture) -> float:
    return architecture.depth


def run(strategy: Any = "random", fitness: Any = depth, budget: Any = None, **further: Any) -> nf.SearchResult:
    options = {key: further.pop(key) for key in list(further) if key in ("seed", "greed", "startup")}
    searcher = nf.Searcher(further.pop("space", "digits"), strategy, fitness, **options)
    return searcher.run(budget, **{"evaluations": 8, "progress": False, **further})


@pytest.mark.parametrize(
    ("budget", "limits"),
    [
        (None, {}),
        (60e3, {"params": (None, 60_000)}),
        ("60K", {"params": (None, 60_000)}),
        ((40e3, 60e3), {"params": (40_000, 60_000)}),
        ((40e3, None), {"params": (40_000, None)}),
        ("40K:60K", {"params": (40_000, 60_000)}),
        ({"params": 60e3, "macs": (None, 1.2e6)}, {"params": (None, 60_000), "macs": (None, 1_200_000)}),
        ({"macs": "1.2M"}, {"macs": (None, 1_200_000)}),
        ("40K <= params < 60K and macs <= 1.2M", {"params": (40_000, 59_999), "macs": (None, 1_200_000)}),
    ],
    ids=str,
)
def test_every_form_of_a_budget_holds(budget: Any, limits: dict[str, tuple[Any, Any]]) -> None:
    result = run(budget=budget, evaluations=30)
    assert result.limits == {name: Bounds(*bounds) for name, bounds in limits.items()}
    for trial in result.trials:
        assert all(trial.costs[name] in bounds for name, bounds in result.limits.items())
    assert result.feasible == result.space.feasible(**result.limits).count()


def test_the_spaces_own_constraints_hold_beside_the_budget() -> None:
    declared = nf.load_space("digits").to_dict()
    space = nf.SearchSpace.from_dict({**declared, "constraints": "params <= 60K and macs <= 1M"})
    result = run(space=space, budget=(40e3, 90e3))
    assert result.limits == {"params": Bounds(40_000, 60_000), "macs": Bounds(None, 1_000_000)}


def test_autoformer_tiny_at_six_million_runs_as_it_stands() -> None:
    result = run("evolution", space="autoformer-tiny", budget=6e6)
    assert 5e6 < result.best.params <= 6e6


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (10_000, r"params <= 10000; the nearest reachable params is 15,082 \(smallest member 15,082"),
        ((1e6, None), r"nearest reachable params is 171,210"),
        ({"latency": 3}, "unknown cost 'latency' in the budget; known: macs, params"),
        ({"parms": 3}, "unknown cost 'parms' in the budget; did you mean 'params'"),
        ("params = 3", "'params = 3' cannot be read at column 8"),
        ((1, 2, 3), r"params takes a number or a \(lower, upper\) pair, got \(1, 2, 3\)"),
        (math.nan, "params must be finite, got nan"),
        ("small", "'small' is not a number"),
    ],
    ids=str,
)
def test_a_budget_that_cannot_be_met_or_read(budget: Any, message: str, caplog: pytest.LogCaptureFixture) -> None:
    for fitness in (depth, None):
        with pytest.raises(BudgetError, match=message):
            run(budget=budget, fitness=fitness)
    assert not caplog.records, "the budget is checked before the fitness is made"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(StrategyError, match="unknown strategy 'evolutoin'; did you mean 'evolution'"):
        run("evolutoin")
    with pytest.raises(StrategyError, match="'evolution' has no option 'populatoin'; did you mean 'population'"):
        nf.Searcher("digits", "evolution", depth, populatoin=3)
    with pytest.raises(StrategyError, match="Strict' has no option 'greed'; it has none"):
        run(Strict, greed=3)
    with pytest.raises(SpaceError, match="no built-in space 'digit'; did you mean 'digits'"):
        run(space="digit")
    with pytest.raises(FitnessError, match="got 'inherited'"):
        run(fitness="inherited")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"evaluations": 0}, "evaluations must be a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"confirm": 0}, "confirm must be at least 1, got 0"),
        ({"seed": -1}, "seed must be .*, got -1"),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_refused_before_anything_is_evaluated(wrong: dict[str, int], message: str) -> None:
    seen: list[Trial] = []
    with pytest.raises(nf.NasformerError, match=message):
        run(callback=seen.append, **wrong)
    assert not seen


def test_a_class_or_a_factory_serves_as_a_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(Mine, greed=0.25)
    assert result.strategy.endswith("test_searcher:Mine")
    assert result.settings["options"] == {"greed": 0.25}
    named = run(functools.partial(Mine, greed=0.1))
    assert [t.architecture for t in named.trials] == [t.architecture for t in result.trials]
    (tmp_path / "elsewhere.py").write_text("from nasformer.strategies.random import Random\nclass Own(Random): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [t.architecture for t in run("elsewhere:Own").trials] == [t.architecture for t in run("random").trials]


def test_the_former_name_of_the_fitness_specification_warns(tmp_path: Path) -> None:
    searcher, spec = nf.Searcher("digits", "random", depth), {"fitness": {"spec": "training-free"}}
    with pytest.warns(DeprecationWarning, match="recipe= is now fitness_spec="):
        study = searcher.create(tmp_path / "study.log", "old", evaluations=2, recipe=spec)
    assert study.fitness_spec["fitness"] == spec["fitness"]
    with pytest.warns(DeprecationWarning, match="recipe= is now fitness_spec="):
        searcher.run(evaluations=2, recipe=spec, progress=False)


@pytest.mark.parametrize("fitness", [depth, None], ids=["given", "default"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["in step", "asynchronous"])
def test_a_strategy_is_made_once_for_each_run(
    fitness: Any, asynchronous: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path))
    made: list[int] = []

    class Counted(Mine):
        def __init__(self, feasible: nf.FeasibleSet, **known: Any) -> None:
            made.append(known["seed"])
            super().__init__(feasible, **known)

    storage = tmp_path / "study.log"
    searcher = nf.Searcher("digits", Counted, fitness, seed=5)
    assert made == []
    searcher.create(storage, evaluations=6)
    assert made == [5]
    for runs in (1, 2):
        searcher.run(evaluations=6, storage=storage, asynchronous=asynchronous, progress=False)
        assert made == [5] * (1 + runs)


def test_seeds_and_only_seeds_change_a_search() -> None:
    streams = [[t.architecture for t in run("tpe", seed=seed, startup=3).trials] for seed in (0, 0, 1)]
    assert streams[0] == streams[1] != streams[2]


def test_the_callback_sees_every_trial_and_no_bar_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Trial] = []
    result = run(callback=seen.append, batch_size=3)
    assert seen == list(result.trials)
    assert capsys.readouterr() == ("", "")
    run(progress=True)
    assert "8/8" in capsys.readouterr().err


def test_failures_are_borne_up_to_a_number() -> None:
    def odd(architecture: nf.Architecture) -> float:
        if architecture.depth == 3:
            raise ValueError("depth 3 diverged")
        return float("nan") if architecture.depth == 2 else 1.0

    result = run(fitness=odd, evaluations=20, max_failures=20)
    assert result.counts["failed"] == sum(t.architecture.depth < 4 for t in result.trials) > 2
    assert {t.error for t in result.trials} == {None, "ValueError: depth 3 diverged", "the fitness is nan"}
    assert result.best.architecture.depth == 4
    with pytest.raises(FitnessError, match="3 evaluations failed, more than max_failures=2; the last, of embed"):
        run(fitness=odd, evaluations=20, max_failures=2)
    with pytest.raises(FitnessError, match=r"no architecture has a fitness after 4 evaluations: .*nan"):
        run(fitness=lambda architecture: math.nan, evaluations=4)


def test_without_weights_a_warning_says_what_ranks_and_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    result = run(fitness=None, evaluations=2)
    assert result.settings["fitness"]["proxy"] == "params"
    assert result.best.fitness == result.best.params
    (warning,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "no trained weights for space 'digits'" in warning
    assert "training-free (score by parameters), which is no accuracy" in warning
    assert "nasformer train" in warning


@pytest.fixture
def net(tmp_path: Path) -> nf.Supernet:
    """A supernet of digits after one epoch, kept for its space."""
    net = nf.Supernet(nf.load_space("digits"))
    recipe = nf.Recipe.for_dataset("digits").replace(epochs=1)
    nf.train_supernet(net, load_dataset("digits"), recipe, out=tmp_path, device="cpu", progress=False)
    return net


def test_the_weights_of_the_space_are_used_where_there_are_some(
    net: nf.Supernet, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="nasformer"):
        result = run(fitness=None, budget=60e3)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    fitness = nf.InheritedFitness(net, load_dataset("digits").search)
    recorded = result.settings["fitness"]
    assert (recorded["kind"], recorded["weights"], recorded["images"]) == ("inherited", fitness.fingerprint, 360)
    assert any("safetensors" in record.getMessage() for record in caplog.records)
    (again,) = fitness.evaluate([result.best.architecture])
    assert again.value == result.best.fitness
    assert again.metrics["loss"] == pytest.approx(result.best.loss, rel=1e-6)


def test_the_winner_is_extracted_at_its_own_size(net: nf.Supernet) -> None:
    best = run(budget=60e3).best
    subnet = best.extract(net)
    assert sum(parameter.numel() for parameter in subnet.parameters()) == best.params
    images = load_dataset("digits").search[0][0][None]
    assert net.eval()(images, best.architecture).allclose(subnet.eval()(images), atol=1e-5)


def test_a_strategy_that_recommends_what_it_was_never_told_is_confirmed() -> None:
    class Model(Mine):
        def recommend(self, k: int = 1) -> list[nf.Architecture]:
            return [self.feasible.space.largest, *super().recommend(k)][:k]

    judged: list[nf.Architecture] = []

    def params(architecture: nf.Architecture) -> float:
        judged.append(architecture)
        return nf.load_space("digits").params(architecture)

    result = run(Model, params, confirm=3)
    assert result.best.architecture == result.space.largest
    assert judged[-1] == result.space.largest
    assert len(judged) == len(set(judged)) == 9


@pytest.mark.parametrize("fault", ["infeasible", "nothing"])
def test_a_bad_recommendation_does_not_win(fault: str) -> None:
    class Bad(Mine):
        def recommend(self, k: int = 1) -> list[nf.Architecture]:
            return [self.feasible.space.largest] if fault == "infeasible" else []

    with pytest.raises(StrategyError, match="recommended"):
        run(Bad, budget=60e3)
