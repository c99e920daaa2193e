"""Without waiting: results are told as they come; nothing is lost, and nothing is evaluated twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from nasformer.architecture import Architecture
from nasformer.search import Evaluation
from nasformer.search.study import Study
from tests.search import sitting


class Streaming(sitting.Noted):
    """Three workers, whose results come out of order: the oldest of three last."""

    def stream(self, architectures: Iterable[Architecture]) -> Iterator[Evaluation]:
        running: list[Architecture] = []
        waiting = iter(architectures)
        while True:
            while len(running) < 3 and (architecture := next(waiting, None)) is not None:
                running.append(architecture)
            if not running:
                return
            yield from self.evaluate([running.pop()])


@pytest.mark.parametrize("kind", [sitting.Noted, Streaming], ids=["batches", "workers"])
@pytest.mark.parametrize("strategy", sitting.STRATEGIES)
def test_without_waiting_nothing_is_lost_and_nothing_done_twice(
    strategy: str, kind: type[sitting.Noted], tmp_path: Path
) -> None:
    storage, notes = str(tmp_path / "study.log"), tmp_path / "notes"
    stopped = kind(notes=notes)
    stop_after(stopped, 8)
    with pytest.raises(KeyboardInterrupt):
        sitting.search(storage, strategy, stopped, asynchronous=True, evaluations=20)
    result = sitting.search(storage, strategy, kind(notes=notes), evaluations=20)
    assert result.counts["replayed"] == 8
    assert [trial.number for trial in result.trials] == list(range(20))
    evaluated = Counter(notes.read_text().splitlines())
    assert evaluated == Counter(str(trial.architecture) for trial in result.trials)
    again = sitting.search(storage, strategy, kind(notes=tmp_path / "idle"), evaluations=20)
    assert sitting.what(again.trials) == sitting.what(result.trials)
    assert not (tmp_path / "idle").exists()


def stop_after(fitness: sitting.Noted, evaluations: int) -> None:
    evaluate, left = fitness.evaluate, iter(range(evaluations))

    def limited(architectures: list[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            if next(left, None) is None:
                raise KeyboardInterrupt
            yield from evaluate([architecture])

    fitness.evaluate = limited  # type: ignore[assignment, method-assign]


def test_an_asynchronous_search_stays_so_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    sitting.search(storage, "tpe", asynchronous=True, pause_after=15)
    assert Study.load(storage).asynchronous
    result = sitting.search(storage, "tpe")
    assert len({trial.architecture for trial in result.trials}) == 40
