"""The loop: a fitness and a strategy may misbehave in any way; the trials stay right, or the fault is named."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest

from nasformer.architecture import Architecture, uniform
from nasformer.errors import FitnessError, StrategyError, StudyError
from nasformer.registry import get_strategy
from nasformer.search import (
    Evaluation,
    Fitness,
    SearchLoop,
    StoppingCriteria,
    Strategy,
    Trial,
    as_fitness,
    evaluate_each,
)
from nasformer.search.trial_store import TrialStore
from nasformer.space import EnumeratedSet, FeasibleSet

Judge = Callable[[Architecture], float]


class Scripted:
    """A fitness that runs a script, and counts what it was given."""

    def __init__(self, script: Callable[[Sequence[Architecture]], Iterable[Any]]) -> None:
        self.script = script
        self.batches: list[list[Architecture]] = []

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.batches.append(list(architectures))
        yield from self.script(architectures)


@pytest.fixture
def archs(feasible: FeasibleSet) -> list[Architecture]:
    return list(dict.fromkeys(feasible.sample(20, seed=3)))[:6]


def values(evaluations: Iterable[Evaluation]) -> dict[Architecture, float | None]:
    pairs = [(evaluation.architecture, evaluation.value) for evaluation in evaluations]
    assert len(dict(pairs)) == len(pairs), "an architecture was judged twice"
    return dict(pairs)


# evaluate_each


def test_what_raises_in_a_batch_fails_alone_and_the_others_are_judged_once(
    archs: list[Architecture], worth: Judge
) -> None:
    bad = archs[2]

    def script(architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            if architecture == bad:
                raise RuntimeError("bad\n weather")
            yield Evaluation(architecture, worth(architecture))

    fitness = Scripted(script)
    evaluations = list(evaluate_each(fitness, archs))
    assert values(evaluations) == {a: None if a == bad else worth(a) for a in archs}
    assert [e.error for e in evaluations if e.architecture == bad] == ["RuntimeError: bad weather"]
    assert fitness.batches == [archs, *([a] for a in archs[2:])]


def test_a_result_travels_with_its_architecture_not_by_order(archs: list[Architecture], worth: Judge) -> None:
    fitness = Scripted(lambda batch: [Evaluation(a, worth(a)) for a in reversed(batch)])
    assert values(evaluate_each(fitness, archs)) == {a: worth(a) for a in archs}
    assert len(fitness.batches) == 1


def test_what_was_not_asked_or_comes_twice_is_ignored(archs: list[Architecture]) -> None:
    stranger = uniform(48, 2, 3, 2)
    assert stranger not in archs

    def script(batch: Sequence[Architecture]) -> Iterator[Evaluation]:
        yield Evaluation(stranger, 99.0)
        for value in (1.0, 2.0):
            yield from (Evaluation(a, value) for a in batch)

    assert values(evaluate_each(Scripted(script), archs)) == dict.fromkeys(archs, 1.0)


@pytest.mark.parametrize("answer", [[], [None], [91.5]], ids=["nothing", "None", "a number"])
def test_an_architecture_that_no_evaluation_comes_for_has_failed(answer: list[Any], archs: list[Architecture]) -> None:
    evaluations = list(evaluate_each(Scripted(lambda batch: answer), archs))
    assert values(evaluations) == dict.fromkeys(archs)
    expected = "AttributeError" if answer else "the fitness returned nothing for it"
    assert all((e.error or "").startswith(expected) for e in evaluations)


def test_nothing_to_evaluate_leaves_the_fitness_alone() -> None:
    fitness = Scripted(lambda batch: [])
    assert list(evaluate_each(fitness, [])) == []
    assert fitness.batches == []


def test_an_interrupt_is_no_failed_evaluation(archs: list[Architecture]) -> None:
    def stop(architecture: Architecture) -> float:
        raise KeyboardInterrupt("by hand")

    with pytest.raises(KeyboardInterrupt, match="by hand"):
        list(evaluate_each(as_fitness(stop), archs))


def test_the_fitness_may_tell_its_seconds_else_they_are_measured(archs: list[Architecture]) -> None:
    def script(batch: Sequence[Architecture]) -> Iterator[Evaluation]:
        yield Evaluation(batch[0], 1.0, seconds=1234.0)
        time.sleep(0.02)
        yield Evaluation(batch[1], 1.0, metrics={"loss": 0.5})

    told, measured = evaluate_each(Scripted(script), archs[:2])
    assert told.seconds == 1234.0
    assert 0.02 <= measured.seconds < 10
    assert measured.metrics == {"loss": 0.5}


# SearchLoop


class Listed:
    """A third-party strategy that asks what it is given, whatever it was asked for."""

    keeps = 1

    def __init__(self, batches: Iterable[list[Any]]) -> None:
        self.batches, self.told = iter(batches), [[]]  # type: ignore[var-annotated]

    def ask(self, n: int = 1) -> list[Architecture]:
        return next(self.batches, [])

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told.append(list(trials))

    def recommend(self, k: int = 1) -> list[Architecture]:
        return []


def loop(
    strategy: Strategy, fitness: Fitness | Judge, feasible: FeasibleSet, record: TrialStore | None = None, **limits: Any
) -> SearchLoop:
    record = record or TrialStore()
    callback = limits.pop("callback", None)
    return SearchLoop(
        strategy,
        as_fitness(fitness),
        feasible,
        StoppingCriteria(**{"evaluations": 6, **limits}),
        record,
        () if callback is None else (callback,),
    )


def test_a_repeated_ask_is_a_strategy_error_that_names_it(
    archs: list[Architecture], feasible: FeasibleSet, worth: Judge
) -> None:
    for batches in ([[archs[0]], [archs[0]]], [[archs[0], archs[0]]]):
        with pytest.raises(StrategyError, match=f"Listed proposed {archs[0]} twice") as caught:
            loop(Listed(batches), worth, feasible, batch_size=2).run()
        assert caught.value.value == archs[0]


def test_an_infeasible_ask_is_a_strategy_error_that_names_it(
    archs: list[Architecture], feasible: FeasibleSet, worth: Judge
) -> None:
    large = feasible.space.largest
    search = loop(Listed([[archs[0]], [large]]), worth, feasible)
    with pytest.raises(StrategyError, match=rf"Listed proposed {large}, outside .*80000") as caught:
        search.run()
    assert caught.value.value == large
    assert [trial.architecture for trial in search.record.trials()] == archs[:1]


def test_more_than_was_asked_for_is_a_strategy_error(
    archs: list[Architecture], feasible: FeasibleSet, worth: Judge
) -> None:
    with pytest.raises(StrategyError, match="Listed returned 3 architectures, more than the 2 asked for"):
        loop(Listed([archs[:3]]), worth, feasible, batch_size=2, evaluations=2).run()


@pytest.mark.parametrize("thing", [None, {"embed_dim": 48}, "small", 7], ids=repr)
def test_an_ask_that_is_no_architecture_is_a_strategy_error(thing: Any, feasible: FeasibleSet, worth: Judge) -> None:
    with pytest.raises(StrategyError, match=f"Listed proposed .*{re.escape(str(thing))}"):
        loop(Listed([[thing]]), worth, feasible).run()


def test_trials_are_numbered_by_the_ask_and_told_once_each(
    archs: list[Architecture], feasible: FeasibleSet, worth: Judge
) -> None:
    strategy = Listed([archs[:4], archs[4:]])
    backwards = Scripted(lambda batch: [Evaluation(a, worth(a), metrics={"loss": 1.0}) for a in reversed(batch)])
    run = loop(strategy, backwards, feasible, batch_size=4).run()
    assert [(t.number, t.batch, t.architecture) for t in run.trials] == [
        (number, int(number > 3), a) for number, a in enumerate(archs)
    ]
    assert [trial for batch in strategy.told for trial in batch] == run.trials
    assert all(t.value == worth(t.architecture) and t.metrics == {"loss": 1.0} for t in run.trials)
    assert all(t.costs == feasible.space.costs(t.architecture) for t in run.trials)


def failing(*bad: Architecture) -> Judge:
    def judge(architecture: Architecture) -> float:
        if architecture in bad:
            raise ValueError("out of luck")
        return 1.0

    return judge


def test_as_many_failures_as_allowed_are_borne(archs: list[Architecture], feasible: FeasibleSet) -> None:
    strategy = Listed([[a] for a in archs])
    run = loop(strategy, failing(*archs[1:4]), feasible, max_failures=3).run()
    assert [t.value for t in run.trials] == [1.0, None, None, None, 1.0, 1.0]
    assert [t.error for t in run.failures] == ["ValueError: out of luck"] * 3
    assert len(strategy.told) == 7, "a strategy hears of failures too"


def test_one_failure_more_than_allowed_raises_and_what_was_done_is_kept(
    archs: list[Architecture], feasible: FeasibleSet
) -> None:
    search = loop(Listed([[a] for a in archs]), failing(*archs[1:5]), feasible, max_failures=3)
    message = rf"4 evaluations failed, more than max_failures=3.*{archs[4]}: ValueError: out of luck"
    with pytest.raises(FitnessError, match=message):
        search.run()
    assert len(search.record.trials()) == 5


def test_time_is_up_between_batches(feasible: FeasibleSet) -> None:
    def slow(architecture: Architecture) -> float:
        time.sleep(0.02)
        return 1.0

    strategy = get_strategy("random")(feasible, seed=0)
    run = loop(strategy, slow, feasible, evaluations=1000, batch_size=3, seconds=0.1).run()
    assert run.stopped == "seconds"
    assert len(run.trials) in range(3, 1000, 3)
    again = loop(get_strategy("random")(feasible, seed=0), slow, feasible, evaluations=1000, seconds=1e-9).run()
    assert (again.stopped, len(again.trials)) == ("seconds", 1), "some headway however short the time"


@pytest.mark.parametrize(
    ("told", "evaluations"),
    [
        ([1.0, 3.0, 3.0, 3.0, 3.0, 3.0], 4),
        ([1.0, 2.0, 2.0, 3.0, 4.0, 4.0], 6),
        ([None, None, 1.0, 0.0, 1.0, 1.0], 5),
        ([None, None, None, 1.0, 1.0, 1.0], 3),
    ],
    ids=["ties", "gains", "late", "failures"],
)
def test_an_evaluation_as_good_as_the_best_is_no_gain(
    told: list[float | None], evaluations: int, archs: list[Architecture], feasible: FeasibleSet
) -> None:
    value = dict(zip(archs, told, strict=True))
    fitness = Scripted(lambda batch: [Evaluation(a, value[a]) for a in batch])
    run = loop(Listed([[a] for a in archs]), fitness, feasible, until_no_gain=2).run()
    assert len(run.trials) == evaluations
    assert run.stopped == ("no gain" if evaluations < 6 else "evaluations")


class Raced(Scripted):
    """A fitness that races, and notes what it was told of each race."""

    def __init__(self, script: Callable[[Sequence[Architecture]], Iterable[Any]]) -> None:
        super().__init__(script)
        self.races: list[tuple[int, list[Architecture]]] = []

    def race_for(self, keep: int, rivals: Sequence[Architecture] = ()) -> None:
        self.races.append((keep, list(rivals)))


@pytest.mark.parametrize(("keeps", "holders"), [(1, [[], [3], [3]]), (2, [[], [3, 0], [3, 4]])])
def test_a_race_is_told_how_many_places_there_are_and_who_has_them(
    keeps: int, holders: list[list[int]], archs: list[Architecture], feasible: FeasibleSet
) -> None:
    told = dict(zip(archs, [2.0, None, 9.0, 5.0, 3.0, 4.0], strict=True))
    dropped = {archs[2]: {"dropped": 1.0}}
    fitness = Raced(lambda batch: [Evaluation(a, told[a], metrics=dropped.get(a, {})) for a in batch])
    strategy = Listed([archs[:4], archs[4:5], archs[5:]])
    strategy.keeps = keeps
    loop(strategy, fitness, feasible, batch_size=4).run()
    assert fitness.races == [(keeps, [archs[place] for place in places]) for places in holders]


def test_an_exhausted_set_ends_the_search(archs: list[Architecture], feasible: FeasibleSet, worth: Judge) -> None:
    few = EnumeratedSet(feasible.space, archs, {})
    run = loop(get_strategy("random")(few, seed=0), worth, few, evaluations=50, batch_size=4).run()
    assert run.stopped == "exhausted"
    assert {t.architecture for t in run.trials} == set(archs)


def test_the_callback_sees_each_trial_when_it_is_on_record(
    archs: list[Architecture], feasible: FeasibleSet, worth: Judge
) -> None:
    record, seen = TrialStore(), []

    def callback(trial: Trial) -> None:
        assert trial in record.trials()
        seen.append(trial)

    run = loop(Listed([archs]), worth, feasible, record, batch_size=6, callback=callback).run()
    assert seen == run.trials
    again = loop(Listed([archs]), failing(*archs), feasible, record, batch_size=6, callback=callback).run()
    assert again.replayed == 6
    assert again.trials == run.trials
    assert seen == 2 * run.trials


def test_a_record_of_another_stream_is_refused(feasible: FeasibleSet, worth: Judge) -> None:
    record = TrialStore()
    run = loop(get_strategy("random")(feasible, seed=0), worth, feasible, record).run()
    other, count = get_strategy("random")(feasible, seed=1), Counter[Architecture]()

    def counted(architecture: Architecture) -> float:
        count[architecture] += 1
        return worth(architecture)

    with pytest.raises(StudyError, match=rf"its trial 0 is {run.trials[0].architecture}, but the strategy now asks"):
        loop(other, counted, feasible, record).run()
    assert not count, "nothing is evaluated before the record is found wrong"
