"""A search that was stopped anywhere, any number of times, ends as if it had never been stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError, StudyError
from nasformer.registry import strategy_names
from nasformer.search import Evaluation, SearchResult, Trial
from nasformer.search.study import Study
from nasformer.searcher import Searcher

Judge = Callable[[Architecture], float]
EVALUATIONS = 34
OPTIONS: dict[str, dict[str, Any]] = {
    "random": {},
    "nsga2": {"population": 8},
    "evolution": {"population": 8, "parents": 3, "mutants": 4, "crossovers": 3},
    "tpe": {"startup": 6},
    "nevergrad": {"optimizer": "TwoPointsDE"},
}


class Flaky:
    """Judges a batch backwards, fails now and then, and is stopped after so many evaluations."""

    def __init__(self, worth: Judge, stop_after: int | None = None) -> None:
        self.worth, self.left = worth, stop_after
        self.judged: Counter[Architecture] = Counter()

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in reversed(architectures):
            if self.left == sum(self.judged.values()):
                raise KeyboardInterrupt
            self.judged[architecture] += 1
            value = None if sum(architecture.num_heads) % 5 == 0 else self.worth(architecture)
            yield Evaluation(architecture, value, metrics={"loss": 1.0})


def search(strategy: str, fitness: Any, **run: Any) -> SearchResult:
    searcher = Searcher("digits", strategy, fitness, seed=3, **OPTIONS.get(strategy, {}))
    return searcher.run(
        (40e3, 80e3), **{"evaluations": EVALUATIONS, "max_failures": EVALUATIONS, "progress": False, **run}
    )


def what(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    return [(t.number, t.batch, t.architecture, t.value, t.error, t.metrics, t.costs) for t in trials]


@pytest.mark.parametrize(
    ("strategy", "batch_size"), [*((name, 7) for name in strategy_names()), *((name, 1) for name in OPTIONS)]
)
def test_a_search_stopped_many_times_equals_one_that_was_not(
    strategy: str, batch_size: int, worth: Judge, tmp_path: Path
) -> None:
    plain = search(strategy, Flaky(worth), batch_size=batch_size)
    assert any(trial.value is None for trial in plain.trials)
    storage, judged = tmp_path / "study.log", Counter[Architecture]()
    for stop_after in (0, 1, 9, 3, 0, 8):
        fitness = Flaky(worth, stop_after)
        with pytest.raises(KeyboardInterrupt):
            search(strategy, fitness, batch_size=batch_size, storage=storage)
        judged += fitness.judged
    last = Flaky(worth)
    result = search(strategy, last, batch_size=batch_size, storage=storage)
    # An evaluation that was stopped before it was recorded may be made again, no other.
    assert max((judged + last.judged).values()) == 1
    assert what(result.trials) == what(plain.trials)
    assert result.counts["replayed"] == judged.total() == EVALUATIONS - last.judged.total()
    assert what(result.confirmed) == what(plain.confirmed)
    assert {k: v for k, v in result.counts.items() if k != "replayed"} == {
        k: v for k, v in plain.counts.items() if k != "replayed"
    }


def test_a_finished_search_is_read_from_the_record_alone(worth: Judge, tmp_path: Path) -> None:
    first = search("random", Flaky(worth), storage=tmp_path / "study.log")
    idle = Flaky(worth, stop_after=0)
    again = search("random", idle, storage=tmp_path / "study.log")
    assert not idle.judged
    assert (again.trials, again.confirmed) == (first.trials, first.confirmed)
    assert again.counts["replayed"] == EVALUATIONS


@pytest.mark.parametrize(
    ("name", "reason"), [("study.log", "File too large$"), ("study.db", "(disk I/O error|disk is full)$")]
)
def test_a_search_stopped_by_a_full_disk_goes_on_where_it_was(
    name: str, reason: str, worth: Judge, tmp_path: Path, disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    plain, storage = search("evolution", Flaky(worth)), f"{'sqlite:///' if name == 'study.db' else ''}{tmp_path}/{name}"
    search("evolution", Flaky(worth), storage=storage, pause_after=2)
    room = (tmp_path / name).stat().st_size + 16_000
    with disk(room), pytest.raises(StudyError, match=rf"{name}.*{reason}"):
        search("evolution", Flaky(worth), storage=storage)
    fitness = Flaky(worth)
    result = search("evolution", fitness, storage=storage)
    assert what(result.trials) == what(plain.trials)
    assert 2 < result.counts["replayed"] == EVALUATIONS - fitness.judged.total()


@pytest.mark.parametrize(
    ("changed", "key"),
    [({"batch_size": 2}, "batch_size"), ({"confirm": 1}, "confirm")],
)
def test_a_search_is_not_continued_with_other_settings(
    changed: dict[str, Any], key: str, worth: Judge, tmp_path: Path
) -> None:
    search("random", Flaky(worth), storage=tmp_path / "study.log", study="mine")
    before = (tmp_path / "study.log").read_bytes()
    with pytest.raises(StudyError, match=rf"study 'mine' was made with {key}=\d+, now {changed[key]};"):
        search("random", Flaky(worth), storage=tmp_path / "study.log", study="mine", **changed)
    with pytest.raises(StudyError, match='study \'mine\' was made with strategy="random", now "tpe"'):
        search("tpe", Flaky(worth), storage=tmp_path / "study.log", study="mine")
    assert (tmp_path / "study.log").read_bytes().startswith(before), "what was kept stays"


def test_limits_of_time_and_failures_may_change(worth: Judge, tmp_path: Path) -> None:
    storage = tmp_path / "study.log"
    with pytest.raises(Exception, match="more than max_failures=0"):
        search("random", Flaky(worth), storage=storage, max_failures=0)
    result = search("random", Flaky(worth), storage=storage, max_failures=30, seconds=1e6)
    assert what(result.trials) == what(search("random", Flaky(worth)).trials)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("strategy", strategy_names())
def test_a_search_that_has_ended_goes_on_as_if_begun_with_more(
    strategy: str, batch_size: int, worth: Judge, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = search(strategy, Flaky(worth), batch_size=batch_size)
    known = search(strategy, Flaky(worth), batch_size=batch_size, storage=tmp_path / "study.log", evaluations=17)
    more = Flaky(worth)
    result = search(strategy, more, batch_size=batch_size, storage=tmp_path / "study.log")
    assert more.judged.total() == len(result.trials) - 17 == EVALUATIONS - 17
    assert what(result.trials[:17]) == what(known.trials)
    if strategy.partition(":")[0] in ("nevergrad", "sensitivity", "thompson"):
        assert "planned for 17 evaluations and keeps to that plan; a search of 34 from the start may" in caplog.text
    else:
        assert what(result.trials) == what(plain.trials)
        assert not caplog.text
    idle = Flaky(worth, stop_after=0)
    assert what(search(strategy, idle, batch_size=batch_size, storage=tmp_path / "study.log").trials) == what(
        result.trials
    )


class Busy:
    """A fitness that fails where another job has the GPU."""

    def __init__(self, worth: Judge, busy: bool) -> None:
        self.worth, self.busy = worth, busy
        self.judged: Counter[Architecture] = Counter()

    def __call__(self, architecture: Architecture) -> float:
        self.judged[architecture] += 1
        if self.busy and architecture.depth != 3:
            raise RuntimeError("CUDA out of memory")
        return self.worth(architecture)


@pytest.mark.parametrize("strategy", strategy_names())
def test_failed_trials_are_evaluated_again_and_replayed(strategy: str, worth: Judge, tmp_path: Path) -> None:
    """The strategy is told the new values where it was told them first, also when the search is resumed."""
    known: dict[str, Any] = {"storage": tmp_path / "study.log", "batch_size": 4}
    with pytest.raises(FitnessError, match=r"more than max_failures=3; .*CUDA out of memory; .* with --retry-failed"):
        search(strategy, Busy(worth, True), **known, max_failures=3)
    with pytest.raises(FitnessError, match="more than max_failures=3"):
        search(strategy, idle := Busy(worth, False), **known, max_failures=3)
    assert not idle.judged, "nothing is evaluated again that was not asked for"
    fitness = Busy(worth, False)
    result = search(strategy, fitness, **known, max_failures=3, retry_failed=True, pause_after=20)
    assert result.counts["failed"] == 0
    assert all(trial.value == worth(trial.architecture) for trial in result.trials)
    assert [trial.number for trial in result.trials] == list(range(20))
    assert max(fitness.judged.values()) == 1
    rest = search(strategy, Busy(worth, False), **known)
    assert what(rest.trials[:20]) == what(result.trials)
    idle = Busy(worth, True)
    again = search(strategy, idle, **known)
    assert not idle.judged
    assert what(again.trials) == what(rest.trials)
    assert what(again.confirmed) == what(rest.confirmed)


def test_retries_that_fail_are_counted_once(worth: Judge, tmp_path: Path) -> None:
    known: dict[str, Any] = {"storage": tmp_path / "study.log", "retry_failed": True}
    for _ in range(2):
        result = search("random", Busy(worth, True), **known)
    assert result.counts["failed"] == sum(trial.architecture.depth != 3 for trial in result.trials)
    assert len(result.trials) == EVALUATIONS
    assert search("random", Busy(worth, False), **known).counts["failed"] == 0


def test_retries_hold_where_the_end_had_cut_a_batch(worth: Judge, tmp_path: Path) -> None:
    """20 evaluations in batches of 8, retried, then 34: the third batch is completed, then the retries are told."""
    known: dict[str, Any] = {"storage": tmp_path / "study.log", "batch_size": 8}
    first = search("evolution", Busy(worth, True), **known, evaluations=20)
    assert first.counts["failed"] > 2
    assert search("evolution", Busy(worth, False), **known, evaluations=20, retry_failed=True).counts["failed"] == 0
    result = search("evolution", Busy(worth, False), **known)
    assert result.counts["failed"] == 0
    again = search("evolution", idle := Busy(worth, False), **known)
    assert not idle.judged
    assert what(again.trials) == what(result.trials)


def test_stored_trials_are_not_cut_off_by_a_pause(worth: Judge, tmp_path: Path) -> None:
    known: dict[str, Any] = {"storage": tmp_path / "study.log", "batch_size": 2}
    whole = search("evolution", Flaky(worth), **known)
    for pause in ({"pause_after": 4}, {"until_no_gain": 2}):
        again = search("evolution", Flaky(worth, stop_after=0), **known, **pause)
        assert what(again.trials) == what(whole.trials)
    shorter = search("evolution", Flaky(worth), **known, evaluations=10)
    assert what(shorter.trials) == what(whole.trials[:10])
    with Study.begin(tmp_path / "study.log", "digits-evolution-seed3", whole.settings) as study:
        assert what(study.confirmation()) == what(whole.confirmed), "a look back leaves the confirmation"
