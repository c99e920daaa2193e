"""An earlier search, study or table seeds another: told once, first, and never counted as evaluations."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import StudyError
from nasformer.fitness import TableFitness
from nasformer.search import Evaluation, SearchResult
from nasformer.search.study import Study
from nasformer.searcher import Searcher
from tests.search import sitting


class Counted(sitting.Noted):
    """Counts its evaluations."""

    count = 0

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.count += len(architectures)
        return super().evaluate(architectures)


@pytest.fixture
def earlier(tmp_path: Path) -> SearchResult:
    result = sitting.search(str(tmp_path / "earlier.log"), "random", evaluations=30)
    result.save(tmp_path / "result.jsonl")
    return result


@pytest.mark.parametrize("kind", ["result", "result file", "study", "study file", "table", "table file"])
def test_what_an_earlier_search_found_is_told_first(kind: str, earlier: SearchResult, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    valued = [trial for trial in earlier.trials if trial.value is not None]
    frame = earlier.to_frame().dropna(subset="value")
    frame = frame[["embed_dim", "depth", "num_heads", "mlp_ratio", "value"]].rename(columns={"value": "top1"})
    frame.to_csv(table, index=False)
    source: Any = {
        "result": earlier,
        "result file": tmp_path / "result.jsonl",
        "study": Study.load(tmp_path / "earlier.log"),
        "study file": str(tmp_path / "earlier.log"),
        "table": TableFitness(table),
        "table file": table,
    }[kind]
    fitness = Counted()
    result = sitting.search(None, "tpe", fitness, warm_start=source, evaluations=12)
    assert result.counts["warm_start"] == len(valued) < 30
    assert len(result.trials) == fitness.count - sum(each.number == 12 for each in result.confirmed) == 12
    known = {trial.architecture for trial in valued}
    assert not known & {trial.architecture for trial in result.trials}
    cold = sitting.search(None, "tpe", evaluations=12)
    assert sitting.what(result.trials) != sitting.what(cold.trials), "it learnt"
    assert result.best.fitness >= max(trial.value or 0 for trial in valued), "the best of before may win again"


def test_a_warm_started_study_is_resumed_without_its_source(
    earlier: SearchResult, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = sitting.search(None, "tpe", warm_start=earlier)
    sitting.search(url, "tpe", warm_start=tmp_path / "result.jsonl", pause_after=20)
    rest = sitting.search(url, "tpe")
    assert sitting.what(rest.trials) == sitting.what(plain.trials)
    assert rest.counts["warm_start"] == plain.counts["warm_start"]
    again = sitting.search(url, "tpe", warm_start=earlier)
    assert sitting.what(again.trials) == sitting.what(plain.trials)
    grown = sitting.search(None, "random", evaluations=35)
    again = sitting.search(url, "tpe", warm_start=grown)
    assert sitting.what(again.trials) == sitting.what(plain.trials)
    assert "study 'digits-tpe-seed3' keeps the warm start that it was begun with" in caplog.text


def test_a_warm_start_that_does_not_fit_is_one_line(earlier: SearchResult, tmp_path: Path) -> None:
    sitting.search(str(tmp_path / "cold.log"), "random", evaluations=4)
    with pytest.raises(StudyError, match="study 'digits-random-seed3' was begun without warm start; leave it out"):
        sitting.search(str(tmp_path / "cold.log"), "random", warm_start=earlier)
    with pytest.raises(StudyError, match=r"the warm start has no architecture with a value within .*params <= 16000"):
        Searcher("digits", "random", sitting.Noted()).run(16e3, warm_start=earlier, evaluations=2)


def test_members_alone_are_told(earlier: SearchResult, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    few = [t for t in earlier.trials if t.value is not None and t.costs["params"] <= 60e3]
    searcher = Searcher("digits", "random", sitting.Noted())
    result = searcher.run(60e3, warm_start=earlier, evaluations=3, max_failures=3, progress=False)
    assert result.counts["warm_start"] == len(few) > 0
    assert f"warm start with {len(few)} architectures" in caplog.text
