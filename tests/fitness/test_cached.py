"""An evaluation is made once, whoever asks, and costs everyone what it cost the first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness import CachedFitness
from nasformer.search import Evaluation
from nasformer.searcher import Searcher
from nasformer.space import load_space

SPACE = load_space("digits")
SOME = list(dict.fromkeys(SPACE.sample(12, seed=0)))[:6]


class Counting:
    """Counts what it is asked; depth 2 fails."""

    def __init__(self, name: str = "counting") -> None:
        self.asked: list[Architecture] = []
        self.name = name

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for each in architectures:
            self.asked.append(each)
            value = None if each.depth == 2 else each.embed_dim + 0.1
            yield Evaluation(each, value, None if value else "too shallow", 7.5, {"loss": 1.25})

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        return self.evaluate(architectures)

    def describe(self) -> dict[str, Any]:
        return {"kind": "counting", "name": self.name}


def test_what_is_known_is_not_evaluated_again(tmp_path: Path) -> None:
    path, first, second = tmp_path / "sub" / "cache.sqlite", Counting(), Counting()
    made = {each.architecture: each for each in CachedFitness(first, path).evaluate(SOME)}
    found = {each.architecture: each for each in CachedFitness(second, path).evaluate(SOME)}
    assert found == made
    assert first.asked == SOME
    assert second.asked == [each for each in SOME if each.depth == 2]  # what failed is tried again
    assert 0 < len(second.asked) < len(SOME)


def test_a_search_is_the_same_and_costs_the_same(tmp_path: Path) -> None:
    plain = Searcher(SPACE, "random", Counting(), seed=1).run(evaluations=10, progress=False, max_failures=10)
    for _ in range(2):
        cached = CachedFitness(Counting(), tmp_path / "cache.sqlite")
        again = Searcher(SPACE, "random", cached, seed=1).run(evaluations=10, progress=False, max_failures=10)
        assert again.trials == plain.trials
        assert again.settings == plain.settings
        assert again.seconds["evaluation"] == plain.seconds["evaluation"] == 75.0


def test_confirmation_is_made_anew(tmp_path: Path) -> None:
    fitness = Counting()
    cached = CachedFitness(fitness, tmp_path / "cache.sqlite")
    list(cached.evaluate(SOME))
    list(cached.confirm(SOME))
    assert fitness.asked == SOME * 2


def test_a_file_is_of_one_fitness(tmp_path: Path) -> None:
    CachedFitness(Counting(), tmp_path / "cache.sqlite")
    with pytest.raises(FitnessError, match=r"cache.sqlite' caches evaluations of .*counting.*, not of .*other.*; use"):
        CachedFitness(Counting("other"), tmp_path / "cache.sqlite")


def test_no_file_of_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_text("no database, but long enough to be read as one" * 40)
    with pytest.raises(FitnessError, match=r"cannot cache evaluations in .*cache.sqlite"):
        CachedFitness(Counting(), tmp_path / "cache.sqlite")


def test_a_race_is_refused(tmp_path: Path) -> None:
    racing = Counting()
    racing.joint = True  # type: ignore[attr-defined]
    with pytest.raises(FitnessError, match="evaluates architectures jointly"):
        CachedFitness(racing, tmp_path / "cache.sqlite")


def test_many_share_one_file(tmp_path: Path) -> None:
    def search(seed: int) -> list[Evaluation]:
        return list(CachedFitness(Counting(), tmp_path / "cache.sqlite").evaluate(SPACE.sample(40, seed=seed % 3)))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(search, range(12)))
    kept = sqlite3.connect(tmp_path / "cache.sqlite").execute("SELECT count(*) FROM evaluations").fetchone()[0]
    assert kept == len({each.architecture for one in found for each in one if each.value is not None})


def test_a_file_that_is_lost_loses_no_evaluation(tmp_path: Path) -> None:
    cached = CachedFitness(Counting(), tmp_path / "cache.sqlite")
    with sqlite3.connect(tmp_path / "cache.sqlite") as other:
        other.execute("DROP TABLE evaluations")
    assert [each.architecture for each in cached.evaluate(SOME)] == SOME
