"""Whole comparisons: the same whatever the processes and their order, whole again after a stop."""

from __future__ import annotations

import gzip
import json
import linecache
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nasformer.architecture import Architecture
from nasformer.compare.cell import _code
from nasformer.compare.comparison import Comparison
from nasformer.compare.experiment import Experiment
from nasformer.compare.runner import run_experiment
from nasformer.compare.task import ComparisonTask
from nasformer.errors import ExperimentError, FitnessError, StrategyError
from nasformer.report import write_comparison
from nasformer.search import BaseStrategy
from nasformer.searcher import Searcher

TIMES = ["strategy_seconds", "evaluation_seconds", "total_seconds"]
KEYS = ["task", "strategy", "seed"]
MINE = f"{__name__}:Breaking"
KILLING = f"{__name__}:Killing"


class Breaking(BaseStrategy):
    """A strategy of somebody's that breaks after three trials with seed 1."""

    def propose(self) -> Any:
        if self.seed == 1 and len(self.told) == 3:
            raise ZeroDivisionError("no\nluck")
        return self.draw()


class Killing(BaseStrategy):
    """A strategy that kills its process, as the system does when memory runs out."""

    def propose(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


def declared(table: Path, **changes: Any) -> Experiment:
    tasks = [{"name": "small", "space": "digits", "fitness": f"table:{table}", "budget": "params <= 54K"}]
    whole = {"tasks": tasks, "strategies": ["random", "local-search"], "seeds": 2, "evaluations": 12}
    return Experiment.of({**whole, **changes})


def outcome(comparison: Comparison) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What does not depend on the clock, in an order of its own."""
    cells = comparison.cells.drop(columns=TIMES).sort_values(KEYS, ignore_index=True)
    trials = comparison.trials.drop(columns="seconds").sort_values([*KEYS, "evaluation"], ignore_index=True)
    return cells, trials


def assert_same(one: Comparison, other: Comparison) -> None:
    for mine, its in zip(outcome(one), outcome(other), strict=True):
        pd.testing.assert_frame_equal(mine, its)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparison")


@pytest.fixture(scope="module")
def whole(table: Path, folder: Path) -> Comparison:
    return run_experiment(declared(table), folder, workers=2, progress=False, command="typed")


def test_every_run_is_there(whole: Comparison) -> None:
    assert len(whole.cells) == 4
    assert whole.missing == 0
    assert (whole.cells.evaluations == 12).all()
    assert whole.trials.groupby(KEYS).size().tolist() == [12] * 4
    assert whole.trials.params.max() <= 54_000
    assert whole.labels == ["random", "local-search"]
    assert whole.command == "typed"
    assert whole.versions["nasformer"]


def test_cells_agree_with_trials(whole: Comparison) -> None:
    best = whole.trials.groupby(KEYS).value.max()
    assert whole.cells.set_index(KEYS).observed.sort_index().tolist() == best.sort_index().tolist()
    (task,) = whole.tasks
    assert task.optimum is not None
    assert whole.cells.regret.tolist() == (task.optimum - whole.cells.true).tolist()
    assert (whole.cells.confirmed <= task.optimum).all()


def test_neither_processes_nor_order_change_the_outcome(table: Path, whole: Comparison, tmp_path: Path) -> None:
    turned = declared(table, strategies=["local-search", "random"], seeds=[1, 0])
    assert_same(whole, run_experiment(turned, tmp_path, workers=1, progress=False))


def test_what_is_complete_is_not_run_again(table: Path, whole: Comparison, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.json.gz")}
    longer = run_experiment(declared(table, seeds=3), folder, workers=1, progress=False)
    assert len(longer.cells) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    shorter = run_experiment(declared(table), folder, workers=1, progress=False, only_complete=True)
    assert_same(whole, shorter)


def test_tables_on_disk_say_the_same(whole: Comparison, folder: Path) -> None:
    trials = pd.read_csv(folder / "trials.csv.gz")
    mine = trials[trials.seed < 2].sort_values([*KEYS, "evaluation"], ignore_index=True)
    pd.testing.assert_frame_equal(
        mine.drop(columns="seconds"), outcome(whole)[1], check_dtype=False, check_column_type=False
    )
    assert set(json.loads(trials.architecture[0])) == {"embed_dim", "depth", "num_heads", "mlp_ratio"}


def test_a_strategy_from_outside_is_run_again_once_its_code_has_changed(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from nasformer.strategies.random import Random\nclass Mine(Random):\n    pass\n"
    module = tmp_path / "a_strategy_of_mine.py"
    module.write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = declared(table, strategies=["a_strategy_of_mine:Mine"], seeds=1)
    assert len(run_experiment(mine, tmp_path / "out", workers=1, progress=False).cells) == 1
    module.write_text(f"{code}    max_proposals = 7\n")
    monkeypatch.delitem(sys.modules, "a_strategy_of_mine")
    _code.cache_clear()
    linecache.checkcache()
    with pytest.raises(ExperimentError, match=r"a_strategy_of_mine:Mine on small, seed 0, run with other .* code"):
        run_experiment(mine, tmp_path / "out", workers=1, progress=False)


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is here")
def test_parquet_without_pyarrow_is_refused_before_anything_runs(table: Path, tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="needs pyarrow: pip install 'nasformer"):
        run_experiment(declared(table), tmp_path, parquet=True, progress=False)
    assert not list(tmp_path.iterdir())


def test_parquet_says_the_same(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    found = run_experiment(declared(table, seeds=1), tmp_path, workers=1, parquet=True, progress=False)
    for name in ("cells", "trials"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(tmp_path / f"{name}.parquet"), getattr(found, name), check_dtype=False
        )


def test_studies_are_kept_where_asked(table: Path, tmp_path: Path) -> None:
    run_experiment(declared(table, seeds=1), tmp_path, workers=1, progress=False, keep_studies=True)
    assert sorted(path.parent.name for path in tmp_path.rglob("*.log")) == ["local-search", "random"]


def test_other_settings_are_refused(table: Path, whole: Comparison, folder: Path) -> None:
    with pytest.raises(ExperimentError, match="run with other settings, files or code; choose another --out"):
        run_experiment(declared(table, evaluations=13), folder, progress=False)


def test_a_damaged_run_is_named(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "cells" / "small" / "random" / "seed-0.json.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b'{"identity"')[:-9])
    with pytest.raises(ExperimentError, match=r"seed-0.json.gz cannot be read .*; delete it to rerun"):
        run_experiment(declared(table), tmp_path, progress=False)


def test_noise_is_the_same_for_every_strategy(table: Path, tmp_path: Path) -> None:
    task = {"name": "noisy", "space": "digits", "fitness": f"table:{table}", "noise": 2.0}
    found = run_experiment(declared(table, tasks=[task], evaluations=60), tmp_path, workers=1, progress=False)
    trials = found.trials
    noise = trials.assign(noise=trials.value - trials.true).groupby(["seed", "architecture"]).noise
    assert noise.nunique().max() == 1
    assert (noise.size() > 1).sum() > 10
    assert (trials.groupby("architecture").seed.nunique() > 1).any()
    assert (found.cells.confirmed != found.cells.observed).all()


def test_architectures_stay_out_of_a_report_of_aggregates(table: Path, tmp_path: Path) -> None:
    task = {"name": "t", "space": "digits", "fitness": f"table:{table}", "aggregates_only": True}
    found = run_experiment(declared(table, tasks=[task]), tmp_path / "out", workers=1, progress=False)
    assert (found.cells.architecture == "").all()
    assert found.cells[["params", "macs"]].isna().all(axis=None)
    page = write_comparison(tmp_path / "report", found, formats=("html", "markdown", "json"))
    written = "".join(path.read_text() for path in page.parent.iterdir() if path.is_file())
    winners = found.trials.loc[found.trials.groupby(KEYS).value.idxmax()]
    assert found.cells.sort_values(KEYS).confirmed.tolist() == winners.value.tolist()
    for architecture in winners.architecture:
        assert str(Architecture.from_dict(json.loads(architecture))) not in written
        assert architecture not in written


def test_a_shared_design_is_shared(table: Path, tmp_path: Path) -> None:
    found = run_experiment(declared(table, initial_design=5), tmp_path, workers=1, progress=False)
    trials = found.trials
    first = trials[trials.evaluation <= 5].groupby(["seed", "evaluation"]).architecture.nunique()
    assert first.tolist() == [1] * 10
    assert trials.groupby(KEYS).size().tolist() == [12] * 4
    assert not trials.groupby(KEYS).architecture.nunique().lt(12).any()


def test_nothing_is_made_to_look_at_what_is_complete(
    table: Path, whole: Comparison, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Searcher, "make", lambda *_: pytest.fail("a strategy was made"))
    assert_same(run_experiment(declared(table), folder, progress=False), whole)


def test_a_run_that_breaks_does_not_stop_the_others(
    table: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root))
    found = run_experiment(declared(table, strategies=["random", MINE]), tmp_path, workers=1, progress=False)
    assert len(found.cells) == 3
    (broken,) = found.left_out
    assert (broken.strategy, broken.seed) == (MINE, 1)
    assert "ZeroDivisionError: no luck" in broken.reason
    assert "\n" not in broken.reason
    (story,) = tmp_path.glob("failures/**/*.txt")
    assert "in propose" in story.read_text()
    assert found.missing == 1


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_killed_process_ends_the_comparison_in_one_line(
    table: Path, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(root))
    with pytest.raises(ExperimentError, match="a process was killed, possibly out of memory; resume with the same"):
        run_experiment(declared(table, strategies=["random", KILLING]), tmp_path, workers=2, progress=False)


def test_a_task_that_a_strategy_refuses_is_left_out(table: Path, tmp_path: Path, caplog: Any) -> None:
    large = {"name": "large", "space": "autoformer-tiny", "fitness": "training-free", "evaluations": 1}
    small = {"name": "small", "space": "digits", "fitness": f"table:{table}"}
    experiment = declared(table, tasks=[small, large], strategies=["grid"], seeds=1)
    found = run_experiment(experiment, tmp_path, workers=1, progress=False)
    assert [(each.task, each.strategy) for each in found.left_out] == [("large", "grid")]
    assert "grid lists at most" in found.left_out[0].reason
    assert "grid is excluded from 'large'" in caplog.text
    assert found.missing == 0
    with pytest.raises(StrategyError, match="grid lists at most"):
        run_experiment(declared(table, tasks=[large], strategies=["grid"]), tmp_path, progress=False)


def test_tasks_of_one_file_have_one_source(table: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(table, tmp_path))
    budgets = ((table, 54_000), (table, 58_000), (other, 54_000))
    tasks = [declared(file, tasks=[_task(file, most)]).tasks[0] for file, most in budgets]
    one, same, apart = (ComparisonTask.open(task)._source for task in tasks)
    assert one == same != apart, "the files have the same name and other folders"


def _task(file: Path, most: int) -> dict[str, Any]:
    return {"space": "digits", "fitness": f"table:{file}", "budget": most}


def test_absent_files_leave_out_what_is_optional(table: Path, tmp_path: Path) -> None:
    gone: dict[str, Any] = {"name": "gone", "space": "digits", "fitness": "table:gone.jsonl"}
    small = {"name": "small", "space": "digits", "fitness": f"table:{table}"}
    with pytest.raises(ExperimentError, match=r"task 'gone' needs gone.jsonl, which is missing"):
        run_experiment(declared(table, tasks=[small, gone]), tmp_path, progress=False)
    with pytest.raises(ExperimentError, match="no task is left"):
        run_experiment(declared(table, tasks=[{**gone, "optional": True}]), tmp_path, progress=False)
    both = declared(table, tasks=[small, {**gone, "optional": True}], strategies=["random"], seeds=1)
    assert [task.name for task in run_experiment(both, tmp_path, workers=1, progress=False).tasks] == ["small"]


def test_what_is_wrong_is_told_before_anything_runs(table: Path, tmp_path: Path) -> None:
    with pytest.raises(StrategyError, match="unknown strategy 'radom'; did you mean 'random'"):
        run_experiment(declared(table, strategies=["random", "radom"]), tmp_path, progress=False)
    wrong = {"name": "random", "options": {"population": 3}}
    with pytest.raises(StrategyError, match="has no option 'population'"):
        run_experiment(declared(table, strategies=[wrong]), tmp_path, progress=False)
    with pytest.raises(FitnessError, match="unknown fitness 'tabel:x'"):
        run_experiment(declared(table, tasks=[{"space": "digits", "fitness": "tabel:x"}]), tmp_path, progress=False)
    assert not list(tmp_path.rglob("*.gz"))


@pytest.mark.skipif(os.name != "posix", reason="sends signals to a process group")
@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_a_stopped_comparison_goes_on(how: signal.Signals, table: Path, tmp_path: Path, root: Path) -> None:
    experiment = declared(table, strategies=["random", "tpe"], evaluations=40)
    (tmp_path / "e.json").write_text(json.dumps(experiment.to_dict()))
    lines = (
        "from nasformer.compare.runner import run_experiment",
        "if __name__ == '__main__': run_experiment('e.json', 'out', workers=2, progress=False)",
    )
    (tmp_path / "go.py").write_text("\n".join(lines))
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, "go.py"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: process.poll() is not None or bool(list(tmp_path.glob("out/cells/**/*.gz"))))
    process.send_signal(how)  # Ctrl-C reaches the whole group; here the parent alone has to end it
    _, told = process.communicate(timeout=60)
    assert process.returncode != 0, told
    wait_until(lambda: not alive(process.pid))
    stopped = len(list(tmp_path.glob("out/cells/**/*.gz")))
    assert 1 <= stopped < 4, told
    assert_same(
        run_experiment(experiment, tmp_path / "out", workers=1, progress=False),
        run_experiment(experiment, tmp_path / "whole", workers=2, progress=False),
    )


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(group: int) -> bool:
    """Whether a process of a group runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
