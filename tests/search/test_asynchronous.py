"""Without waiting: results are told as they come; nothing is lost, and nothing is evaluated twice."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nasformer.search.study import Study
from tests.search import sitting


@pytest.mark.parametrize("strategy", sitting.STRATEGIES)
def test_without_waiting_nothing_is_lost_and_nothing_done_twice(strategy: str, tmp_path: Path) -> None:
    storage, notes = str(tmp_path / "study.log"), tmp_path / "notes"
    found: list[Any] = []

    def work() -> None:
        found.append(sitting.search(storage, strategy, sitting.Noted(0.002, notes), asynchronous=True, evaluations=20))

    if strategy.startswith("nevergrad"):  # it goes by global generators, which threads would share
        work()
        work()
    else:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 2
    assert sitting.what(found[0].trials) == sitting.what(found[1].trials)
    assert [trial.number for trial in found[0].trials] == list(range(20))
    assert Counter(notes.read_text().splitlines()) == Counter(str(t.architecture) for t in found[0].trials)


def test_an_asynchronous_search_stays_so_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    sitting.search(storage, "tpe", asynchronous=True, pause_after=15)
    assert Study.load(storage).asynchronous
    result = sitting.search(storage, "tpe")
    assert len({trial.architecture for trial in result.trials}) == 40
