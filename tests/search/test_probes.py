"""Probes: evaluated outside the budget to learn from, and never a winner, wherever trials are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from nasformer.architecture import Architecture
from nasformer.cli import app
from nasformer.compare import from_results
from nasformer.compare.comparison import VALUE
from nasformer.errors import StrategyError, StudyError
from nasformer.report.figures import draw_cost_scatter
from nasformer.search import BaseStrategy, Evaluation, Run, SearchResult, Trial
from nasformer.search.study import Study, import_study, read_lines
from nasformer.search.study.exchange import export_study
from nasformer.search.study.importance import importances
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, load_space
from nasformer.strategies.sensitivity import Sensitivity

BUDGET = 60e3
DIGITS = load_space("digits")


def size(architecture: Architecture) -> float:
    """Larger is better, so that every probe is above every member."""
    return DIGITS.params(architecture) / 1e3


def search(storage: Any = None, evaluations: int = 40, **run: Any) -> SearchResult:
    return Searcher("digits", "sensitivity", size, seed=1).run(
        BUDGET, evaluations=evaluations, storage=storage, progress=False, **run
    )


def within(trial: Trial) -> bool:
    return trial.costs["params"] <= BUDGET


def test_the_winner_and_every_best_is_within_the_budget() -> None:
    result = search()
    probes = [trial for trial in result.trials if trial.probe]
    assert len(probes) > 15
    assert all(within(trial) != trial.probe for trial in result.trials)
    best = max(trial.value or 0.0 for trial in result.trials if within(trial))
    assert min(trial.value or 0.0 for trial in probes) > best
    assert result.best.fitness == result.best_observed.value == best
    assert all(map(within, result.confirmed))
    assert all(map(within, result.pareto_front("macs")))
    frame = result.to_frame()
    assert frame["best_so_far"].max() == best
    assert frame["probe"].sum() == len(probes)
    assert "probe" not in Searcher("digits", "random", size).run(BUDGET, evaluations=3, progress=False).to_frame()


def test_comparisons_and_figures_leave_them_out() -> None:
    result = search()
    comparison = from_results([result], title="probes")
    probes = [trial.probe for trial in result.trials]
    assert comparison.trials["value"].isna().tolist() == probes
    assert comparison.cells["observed"].tolist() == [result.best.fitness]
    drawn = draw_cost_scatter(result, VALUE)
    assert drawn is not None
    parts = ElementTree.fromstring(drawn.svg).iter()
    (points,) = [part for part in parts if part.get("id") == "series-0-0"]
    assert sum(part.tag.endswith("use") for part in points.iter()) == probes.count(False)


@pytest.mark.parametrize("batch_size", [1, 7])
def test_a_study_keeps_them_apart(batch_size: int, tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    plain = search(batch_size=batch_size)
    search(storage, batch_size=batch_size, pause_after=9)
    result = search(storage, batch_size=batch_size)
    assert 9 <= result.counts["replayed"] < 40
    assert [(t.number, t.architecture, t.value, t.probe) for t in result.trials] == [
        (t.number, t.architecture, t.value, t.probe) for t in plain.trials
    ]
    assert result.findings == plain.findings != {}
    study = Study.load(storage)
    assert [trial.probe for trial in study.trials()] == [trial.probe for trial in result.trials]
    assert import_study(study.store, export_study(study), "copy") == "copy"
    assert Study.load(study.store, "copy").trials() == study.trials()
    told = CliRunner().invoke(app, ["study", "best", "--storage", storage, "--study", study.name, "--json"])
    assert f'"number": {result.best_observed.number}' in told.stdout
    assert set(importances(study)) <= {
        "embed_dim",
        "depth",
        *(f"{n}.{i}" for n in ("num_heads", "mlp_ratio") for i in (0, 1)),
    }


def test_a_saved_result_keeps_them_and_the_findings(tmp_path: Path) -> None:
    result = search()
    loaded = SearchResult.load(result.save(tmp_path / "result.jsonl"))
    assert loaded.trials == result.trials
    assert loaded.findings == result.findings


def test_an_unfinished_search_before_any_member_has_a_winner_and_no_best_trial(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")
    result = search(storage, pause_after=5)
    assert all(trial.probe for trial in result.trials)
    assert all(map(within, result.confirmed))
    assert result.pareto == []


def test_a_study_with_probes_alone_has_no_best(tmp_path: Path) -> None:
    storage = str(tmp_path / "study.log")

    def stopped(trial: Trial) -> None:
        if trial.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(storage, callback=stopped)
    told = CliRunner().invoke(app, ["study", "best", "--storage", storage])
    assert isinstance(told.exception, StudyError)
    assert "has no trial with a value yet" in str(told.exception)


def test_they_are_no_gain_and_do_not_end_a_search_for_want_of_one() -> None:
    run = Run()
    for number, (value, probe) in enumerate([(9.0, True), (8.0, True), (1.0, False), (0.5, False), (9.5, True)]):
        run.add(Trial(number, number, DIGITS.sample(5)[number], value, probe=probe))
    assert run.since_gain == 1
    result = search(evaluations=60, until_no_gain=5)
    assert result.stopped == "no gain"
    assert sum(not trial.probe for trial in result.trials) >= 5


def test_those_of_another_budget_warm_start_a_search() -> None:
    earlier = search()
    searcher = Searcher("digits", "sensitivity", size, seed=1)
    result = searcher.run(55e3, evaluations=12, warm_start=earlier, progress=False)
    assert not {trial.architecture for trial in earlier.trials} & {trial.architecture for trial in result.trials}
    assert not any(trial.probe for trial in result.trials)
    assert result.counts["warm_start"] > sum(trial.probe for trial in earlier.trials)


class Straying(BaseStrategy):
    """Asks for the largest architecture, with or without declaring it."""

    def __init__(self, feasible: FeasibleSet, *, declared: bool = True, **known: Any) -> None:
        super().__init__(feasible, **known)
        self.probes = frozenset([feasible.space.largest]) if declared else frozenset()

    def propose(self) -> Architecture:
        return self.draw()

    def ask(self, n: int = 1) -> list[Architecture]:
        return super().ask(n) if self._asked else [self._stray()]

    def _stray(self) -> Architecture:
        self._asked.add(self.space.largest)
        return self.space.largest


def test_only_declared_probes_may_be_outside() -> None:
    result = Searcher("digits", Straying, size).run(BUDGET, evaluations=5, progress=False)
    assert [trial.probe for trial in result.trials] == [True, False, False, False, False]
    with pytest.raises(StrategyError, match=r"Straying proposed .*outside params <= 60000"):
        Searcher("digits", Straying, size, declared=False).run(BUDGET, evaluations=5, progress=False)


def test_a_probe_is_in_the_table() -> None:
    class Listed:
        architectures = DIGITS.sample(200, seed=1)

        def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
            yield from (Evaluation(each, size(each)) for each in architectures)

    assert DIGITS.largest not in Listed.architectures
    with pytest.raises(StrategyError, match=r"Straying proposed .*outside params <= 60000"):
        Searcher("digits", Straying, Listed()).run(BUDGET, evaluations=5, progress=False)


class Racing:
    """Notes what a race may drop."""

    joint = True

    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []
        self.rivals: list[Architecture] = []

    def race_for(self, keep: int, rivals: Sequence[Architecture]) -> None:
        self.keep = keep
        self.rivals += rivals

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.kept.append((self.keep, len(architectures)))
        yield from (Evaluation(each, size(each)) for each in architectures)


def test_a_race_drops_no_probe_and_races_against_none() -> None:
    fitness = Racing()
    result = Searcher("digits", "sensitivity", fitness).run(BUDGET, evaluations=40, batch_size=8, progress=False)
    batches = {trial.batch: trial.probe for trial in result.trials}
    for (keep, count), probing in zip(fitness.kept, batches.values(), strict=False):
        assert keep > count if probing else keep == 1
    assert all(DIGITS.params(each) <= BUDGET for each in fitness.rivals)


def test_asynchronous_searches_wait_for_them() -> None:
    result = search(asynchronous=True, batch_size=8)
    assert len(result.trials) == 40
    assert all(within(trial) != trial.probe for trial in result.trials)


def test_a_shared_design_forwards_them() -> None:
    from nasformer.compare.design import shared_design

    strategy = shared_design(Sensitivity, 4)(DIGITS.feasible(params=BUDGET), seed=0, evaluations=40)
    assert strategy.probes  # type: ignore[attr-defined]
    result = Searcher("digits", shared_design(Sensitivity, 4), size).run(BUDGET, evaluations=40, progress=False)
    assert [trial.probe for trial in result.trials[:5]] == [False, False, False, False, True]


def test_lines_of_an_export_are_read(tmp_path: Path) -> None:
    result = search(str(tmp_path / "study.log"))
    assert sum('"probe": true' in line for line in _lines(tmp_path)) == sum(t.probe for t in result.trials)
    assert len(read_lines("\n".join(_lines(tmp_path)))) == 1 + len(result.trials)


def _lines(folder: Path) -> list[str]:
    CliRunner().invoke(app, ["study", "export", str(folder / "out.jsonl"), "--storage", str(folder / "study.log")])
    return (folder / "out.jsonl").read_text().splitlines()
