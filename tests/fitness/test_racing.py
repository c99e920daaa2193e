"""Racing: the stated error holds where architectures are equal, survivors see all, dropped ones say so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness
from nasformer.fitness.outcome import Outcome, judged, mean_of
from nasformer.fitness.racing import Answers, Racing, race
from nasformer.search import Evaluation, SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from tests.fitness import killed

IMAGES = 2000
SIZES = (1300, 400, 200, 100)
"""Images of each class."""
BY_CLASS = ("balanced_accuracy", "macro_f1")
TASK = get_task("classification")(tuple("abcd"))
ARCHS = load_space("digits").sample(60, seed=0)[:20]
EARLY = {"first": 20, "growth": 1.3}
"""Options for splits of a few hundred images."""


def outcome(correct: NDArray[np.bool_], loss: NDArray[np.float64], actual: NDArray[np.int_] | None = None) -> Outcome:
    """Return an outcome in which errors are of the next class."""
    actual = np.arange(len(loss)) % len(SIZES) if actual is None else actual
    predicted = np.where(correct, actual, (actual + 1) % len(SIZES))
    return Outcome({"accuracy": correct, "loss": loss.astype(np.float32), "actual": actual, "predicted": predicted})


def equal_on_the_whole(rng: np.random.Generator, n: int, *, squared: bool = False) -> list[Outcome]:
    """Return outcomes that differ in order alone: on 2,000 images every architecture is worth the same.

    Images are hard or easy for all; on a tenth of them architectures go their own ways, in heavy-tailed losses, or in
    squared errors of a regression with outliers (t with 3 degrees of freedom, whose squares have no variance).
    """
    hard = rng.exponential(0.3, IMAGES)
    own = rng.permutation(IMAGES)[: IMAGES // 10]
    amounts = rng.standard_t(3, len(own)) ** 2 if squared else rng.lognormal(0.0, 1.2, len(own))
    outcomes = []
    for _ in range(n):
        loss = hard.copy()
        loss[own] = rng.permutation(amounts)
        outcomes.append(outcome(loss < np.median(amounts), loss))
    return outcomes


def equal_in_every_class(rng: np.random.Generator, n: int) -> list[Outcome]:
    """Return outcomes that differ in order alone within each of four classes of unequal size."""
    actual = rng.permutation(np.repeat(np.arange(len(SIZES)), SIZES))
    hard, own = rng.random(IMAGES) < 0.15, rng.random(IMAGES) < 0.3
    outcomes = []
    for _ in range(n):
        right = ~hard
        for label in range(len(SIZES)):
            these = np.flatnonzero(own & (actual == label))
            right[these] = rng.permutation(np.arange(len(these)) % 2 == 0)
        outcomes.append(outcome(right, np.zeros(IMAGES), actual))
    return outcomes


def showing(outcomes: Sequence[Outcome]) -> Callable[[Sequence[Architecture], int, int], Answers]:
    table = dict(zip(ARCHS, outcomes, strict=False))
    return lambda archs, start, stop: {a: table[a].part(start, stop) for a in archs}


@pytest.mark.parametrize("error", [0.05, 0.2])
@pytest.mark.parametrize("objective", ["accuracy", "loss", "squared", "balanced_accuracy", "macro_f1"])
@pytest.mark.parametrize(("n", "keep"), [(2, 1), (20, 1), (20, 5)])
def test_equals_are_dropped_as_often_as_stated(objective: str, n: int, keep: int, error: float) -> None:
    rng, racing, parts = np.random.default_rng(7), Racing(error=error), []
    squared = objective == "squared"
    metric = TASK.objective("loss" if squared else objective)
    for _ in range(100):
        by_class = objective in BY_CLASS
        compute = showing(equal_in_every_class(rng, n) if by_class else equal_on_the_whole(rng, n, squared=squared))
        found = race(racing, ARCHS[:n], compute, images=IMAGES, task=TASK, objective=metric, keep=keep)
        parts.append(np.mean([o.seen < IMAGES for o in found.values() if isinstance(o, Outcome)]))
    dropped, scatter = np.mean(parts), np.std(parts) / np.sqrt(len(parts))
    assert dropped <= error + 3 * scatter, f"{dropped:.3f} ± {scatter:.3f} of the equals were dropped"
    least = error / (8 if squared else 4)  # the heavier the tails, the fewer
    assert dropped >= least, f"{dropped:.3f}: far fewer than stated, races could end sooner"


@pytest.mark.parametrize("objective", TASK.objectives)
def test_the_worse_are_dropped_and_the_best_see_every_image(objective: str) -> None:
    rng = np.random.default_rng(1)
    skill = np.linspace(0.5, 0.9, len(ARCHS))
    hardness = rng.random(IMAGES)
    outcomes = [
        outcome(hardness < each, np.maximum(hardness - each, 0) * 5 + rng.normal(1, 0.1, IMAGES)) for each in skill
    ]
    found = race(
        Racing(), ARCHS, showing(outcomes), images=IMAGES, task=TASK, objective=TASK.objective(objective), keep=5
    )
    seen = [o.seen for a in ARCHS if isinstance(o := found[a], Outcome)]
    assert all(each == IMAGES for each in seen[-5:])
    assert sum(seen) < 0.5 * IMAGES * len(ARCHS)
    assert min(seen) == Racing().first


def test_rivals_are_to_be_beaten_too() -> None:
    rng = np.random.default_rng(2)
    good, bad = ([outcome(rng.random(IMAGES) < skill, np.ones(IMAGES)) for _ in range(3)] for skill in (0.9, 0.5))
    alone, against = (
        race(
            Racing(),
            ARCHS[:3],
            showing(bad),
            images=IMAGES,
            task=TASK,
            objective=TASK.objective("accuracy"),
            keep=3,
            rivals=rivals,
        )
        for rivals in ((), good)
    )
    assert {o.seen for o in alone.values() if isinstance(o, Outcome)} == {IMAGES}
    assert {o.seen for o in against.values() if isinstance(o, Outcome)} == {Racing().first}


def test_what_raises_leaves_the_race() -> None:
    outcomes = showing(equal_on_the_whole(np.random.default_rng(0), 3))

    def compute(archs: Sequence[Architecture], start: int, stop: int) -> Answers:
        failed = {ARCHS[1]: RuntimeError("late")} if start and ARCHS[1] in archs else {}
        return {**outcomes(archs, start, stop), **failed}

    found = race(Racing(), ARCHS[:3], compute, images=IMAGES, task=TASK, objective=TASK.objective("loss"), keep=3)
    assert [getattr(found[a], "seen", "failed") for a in ARCHS[:3]] == [IMAGES, "failed", IMAGES]


def test_a_value_from_few_images_is_corrected_for_how_easy_they_were() -> None:
    rng = np.random.default_rng(3)
    easy = np.linspace(1, 0, IMAGES)  # the first images are easy
    best, other = (outcome(rng.random(IMAGES) < p * easy, np.ones(IMAGES)) for p in (0.9, 0.8))
    accuracy = TASK.objective("accuracy")
    truth = float(other.values(TASK, accuracy).mean())
    whole = judged(ARCHS[0], other, TASK, accuracy)
    estimate = judged(ARCHS[0], other.part(0, 500), TASK, accuracy, reference=mean_of([best], TASK, 500))
    assert (whole.value, whole.images, whole.dropped) == (truth, IMAGES, False)
    assert (estimate.images, estimate.dropped) == (500, True)
    assert other.part(0, 500).values(TASK, accuracy).mean() > truth + 20
    assert estimate.value == pytest.approx(truth, abs=10)
    assert whole.standard_error == pytest.approx(np.sqrt(truth * (100 - truth) / IMAGES))
    assert (estimate.standard_error or 0) > (whole.standard_error or 0)


@pytest.mark.parametrize(
    ("objective", "seen"),
    [(name, seen) for name in TASK.objectives for seen in (50, 100, 160, 199) if seen > 50 or name not in BY_CLASS],
)
def test_the_standard_error_is_the_scatter_over_splits(objective: str, seen: int) -> None:
    """Splits of 200 images are drawn anew: what of them was not seen adds to the scatter, nothing else does.

    Means over classes are linearised, which holds from about twenty images of each class.
    """
    rng, images, splits = np.random.default_rng(4), 200, 1500
    values, errors = np.empty(splits), np.empty(splits)
    for split in range(splits):
        hard = rng.random(images)
        actual = rng.choice(len(SIZES), images, p=[0.4, 0.2, 0.2, 0.2])
        skills = [np.array([p, p, p / 2, p / 3])[actual] for p in (0.9, 0.6)]
        best, other = (outcome(rng.random(images) < p * hard, hard + rng.normal(0, 1, images), actual) for p in skills)
        reference = mean_of([best], TASK, seen)
        estimate = judged(ARCHS[0], other.part(0, seen), TASK, TASK.objective(objective), reference=reference)
        values[split], errors[split] = estimate.value, estimate.standard_error
    stated, found = np.sqrt(np.mean(errors**2)), np.std(values)
    assert stated == pytest.approx(found, rel=4 / np.sqrt(2 * splits)), f"{stated:.4g} stated, {found:.4g} found"


@pytest.fixture
def varied(net: Supernet) -> Supernet:
    """A supernet whose architectures differ much: on it, races end early."""
    net.head.weight.data.mul_(20)
    return net


@pytest.fixture(params=["classification", "regression"])
def raced(request: pytest.FixtureRequest, varied: Supernet, digits: Dataset) -> tuple[Supernet, Dataset]:
    return (varied, digits) if request.param == "classification" else killed.regression()


def told(evaluations: Sequence[Evaluation]) -> dict[Architecture, tuple[float | None, dict[str, float]]]:
    return {e.architecture: (e.value, dict(e.metrics)) for e in evaluations}


def test_a_race_of_the_fitness_shows_fewer_images_and_repeats_itself(
    space: SearchSpace, raced: tuple[Supernet, Dataset]
) -> None:
    net, data = raced
    how: dict[str, Any] = {"task": data.task, "device": "cpu", "objective": "loss"}
    archs = list(dict.fromkeys(space.sample(40, seed=1)))
    fitness = InheritedFitness(net, data.search, racing=EARLY, **how)
    fitness.race_for(3)
    found = told(list(fitness.evaluate(archs)))
    assert fitness.work["images"] < fitness.work["every_image"] == len(archs) * len(data.search)
    again = InheritedFitness(net, data.search, racing=EARLY, **how)
    again.race_for(3)
    assert told(list(again.evaluate(archs))) == found
    assert told(list(again.evaluate(archs))) == found, "what it remembers must change nothing"
    full = {e.architecture: e for e in InheritedFitness(net, data.search, **how).evaluate(archs)}
    best = sorted(archs, key=lambda a: -(full[a].value or 0))[:3]
    for architecture, (value, metrics) in found.items():
        assert metrics["images"] <= len(data.search)
        if "dropped" not in metrics:
            assert value == pytest.approx(full[architecture].value, rel=1e-5)
        assert architecture not in best or "dropped" not in metrics


def search(net: Supernet, data: Dataset, objective: str = "loss", **options: object) -> SearchResult:
    fitness = InheritedFitness(net, data.search, device="cpu", objective=objective, racing=EARLY)
    searcher = Searcher(net.space, "evolution", fitness, seed=1, population=12, parents=3, mutants=6, crossovers=6)
    return searcher.run(evaluations=36, batch_size=12, progress=False, **options)  # type: ignore[arg-type]


def figures(trials: Sequence[Trial]) -> list[tuple[Architecture, float | None, dict[str, float]]]:
    return [(t.architecture, t.value, dict(t.metrics)) for t in trials]


@pytest.mark.parametrize(("objective", "stop"), [("loss", 5), ("loss", 12), ("loss", 19), ("macro_f1", 19)])
def test_a_search_that_races_goes_on_exactly_after_a_stop(
    objective: str, stop: int, varied: Supernet, digits: Dataset, tmp_path: Path
) -> None:
    expected = search(varied, digits, objective)
    assert any(trial.dropped for trial in expected.trials)

    def interrupt(trial: Trial) -> None:
        if trial.number == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(varied, digits, objective, storage=tmp_path / "study.log", callback=interrupt)
    resumed = search(varied, digits, objective, storage=tmp_path / "study.log")
    assert resumed.counts["replayed"] > 0
    assert figures(resumed.trials) == figures(expected.trials)
    assert figures(resumed.confirmed) == figures(expected.confirmed)
    loaded = SearchResult.load(resumed.save(tmp_path / "result.jsonl"))
    assert figures(loaded.trials) == figures(expected.trials)
    assert [t.standard_error for t in loaded.trials] == [t.standard_error for t in expected.trials]


@pytest.mark.skipif(os.name != "posix", reason="kills processes by signals")
def test_a_killed_search_of_a_regression_ends_with_the_same_trials(root: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    command = [sys.executable, "-m", "tests.fitness.killed", url, "19"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    resumed, expected = killed.search(storage=url), killed.search()
    assert resumed.counts["replayed"] == 20
    assert any(trial.dropped for trial in expected.trials)
    assert figures(resumed.trials) == figures(expected.trials)
    assert figures(resumed.confirmed) == figures(expected.confirmed)


def test_nothing_dropped_wins_unconfirmed(varied: Supernet, digits: Dataset) -> None:
    result = search(varied, digits, confirm=30)
    assert any(trial.dropped for trial in result.trials)
    assert len(result.confirmed) == 30
    assert {trial.images for trial in result.confirmed} == {len(digits.search)}


@pytest.mark.parametrize("objective", TASK.objectives)
def test_the_objective_is_the_value_and_the_others_metrics(
    objective: str, space: SearchSpace, net: Supernet, digits: Dataset
) -> None:
    (plain,) = InheritedFitness(net, digits.search, device="cpu").evaluate([space.smallest])
    fitness = InheritedFitness(net, digits.search, device="cpu", objective=objective)
    (found,) = fitness.evaluate([space.smallest])
    figures = {**plain.metrics, "accuracy": plain.value or 0}
    assert found.value == (-1 if objective == "loss" else 1) * figures[objective]
    assert {**found.metrics, objective: figures[objective]}.items() >= {
        (name, figures[name]) for name in TASK.objectives
    }
    assert (found.images, found.dropped) == (len(digits.search), False)
    assert fitness.describe()["objective"] == objective


@pytest.mark.parametrize(
    ("racing", "said"),
    [
        ({"eror": 0.1}, "racing has no option 'eror'; did you mean 'error'"),
        ({"error": 0}, "error must be a probability between 0 and 1, got 0"),
        ({"first": 1}, "first must be a whole number of at least 2, got 1"),
        ({"growth": 1.0}, "growth must be finite and above 1, got 1.0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_options_out_of_range_are_refused(racing: dict[str, float], said: str, net: Supernet, digits: Dataset) -> None:
    with pytest.raises(FitnessError, match=said):
        InheritedFitness(net, digits.search, racing=racing)


def test_an_unknown_objective_is_refused(net: Supernet, digits: Dataset) -> None:
    with pytest.raises(FitnessError, match=r"objective is 'accuracy', 'loss', .* for classification, got 'speed'"):
        InheritedFitness(net, digits.search, objective="speed")
