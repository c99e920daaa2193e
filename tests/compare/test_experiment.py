"""What is compared, as it is declared; each fault is one line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasformer.compare.cell import Cell, cells_of
from nasformer.compare.experiment import Experiment, absent_files, read_declaration
from nasformer.errors import ExperimentError

TASK: dict[str, Any] = {"space": "digits", "fitness": "table:t.jsonl"}
WHOLE: dict[str, Any] = {"tasks": [TASK], "strategies": ["random"]}


def test_short_forms_stand_for_long_ones() -> None:
    short = Experiment.of({**WHOLE, "seeds": 3})
    long = Experiment.of({"tasks": [TASK], "strategies": [{"name": "random", "options": {}}], "seeds": [0, 1, 2]})
    assert short == long
    assert short.tasks[0].name == "digits table"


def test_a_strategy_with_options_is_named_by_them() -> None:
    chosen = {"name": "nevergrad", "options": {"optimizer": "DE"}}
    declared = Experiment.of({**WHOLE, "strategies": ["nevergrad", chosen, {**chosen, "label": "mine"}]})
    assert [each.label for each in declared.entrants] == ["nevergrad", "nevergrad (optimizer=DE)", "mine"]


def test_runs_are_all_combinations_seeds_outermost() -> None:
    tasks = [{**TASK, "name": "a", "evaluations": 7}, {**TASK, "name": "b"}]
    runs = cells_of(Experiment.of({"tasks": tasks, "strategies": ["random", "tpe"], "seeds": 2}))
    assert [(run.seed, run.task.name, run.entrant.label, run.evaluations) for run in runs][:5] == [
        (0, "a", "random", 7),
        (0, "a", "tpe", 7),
        (0, "b", "random", 200),
        (0, "b", "tpe", 200),
        (1, "a", "random", 7),
    ]
    assert len({run.path for run in runs}) == len(runs) == 8


def test_names_that_differ_in_signs_alone_are_kept_apart() -> None:
    tasks = [{**TASK, "name": name} for name in ("a/b", "a b", "a-b", "../a-b")]
    runs = cells_of(Experiment.of({**WHOLE, "tasks": tasks, "seeds": 1}))
    assert len({run.path for run in runs}) == 4
    assert all(".." not in run.path.parts and not run.path.is_absolute() for run in runs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strategy": ["random"]}, "there is no 'strategy' here; did you mean 'strategies'"),
        ({"tasks": []}, "tasks: .* at least 1"),
        ({"tasks": [{"fitness": "x"}]}, "tasks.0.space: Field required"),
        ({"tasks": [{**TASK, "nois": 1}]}, "tasks.0: there is no 'nois' here; did you mean 'noise'"),
        ({"tasks": [{**TASK, "noise": -1}]}, "noise: .* got -1"),
        ({"tasks": [TASK, TASK]}, "the task 'digits table' occurs 2 times"),
        ({"strategies": ["tpe", "tpe"]}, "the strategy 'tpe' occurs 2 times"),
        ({"seeds": [1, 1]}, "the seed 1 occurs 2 times"),
        ({"seeds": [-1]}, "seeds are 0 or more, got -1"),
        ({"seeds": 0}, "seeds are 1 to 10,000, got 0"),
        ({"seeds": 300_000_000}, "seeds are 1 to 10,000, got 300000000"),
        ({"seeds": -1}, "seeds are 1 to 10,000, got -1"),
        ({"seeds": [2**63]}, "seeds are 0 or more, got 9223372036854775808"),
        ({"evaluations": 10**18}, "evaluations: .*1000000000, got 1000000000000000000"),
        ({"seeds": "many"}, "seeds: .*"),
        ({"evaluations": 0}, "evaluations: .* got 0"),
        ({"evaluations": 5, "initial_design": 5}, "an initial_design of 5 leaves no evaluations"),
        ({"strategies": None}, "strategies: .*"),
    ],
)
def test_a_fault_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=f"^the experiment: .*{message}") as caught:
        Experiment.of({**WHOLE, **change})
    assert "\n" not in str(caught.value)


def test_a_pattern_is_a_task_for_each_file(tmp_path: Path) -> None:
    for name in ("t-b.jsonl", "t-a.jsonl", "other.jsonl"):
        (tmp_path / name).touch()
    task = {**TASK, "name": "t", "fitness": "table:t-*.jsonl?column=acc", "held_out": True, "optional": True}
    declared = Experiment.of({**WHOLE, "tasks": [task]}, "mine.yaml", tmp_path)
    assert [(each.name, each.fitness, each.held_out) for each in declared.tasks] == [
        (name, f"table:{tmp_path / name}.jsonl?column=acc", True) for name in ("t-a", "t-b")
    ]
    assert not any(map(absent_files, declared.tasks))
    (none,) = Experiment.of({**WHOLE, "tasks": [{**task, "fitness": "table:u-*.jsonl"}]}, "mine.yaml", tmp_path).tasks
    assert absent_files(none) == [str(tmp_path / "u-*.jsonl")]
    with pytest.raises(ExperimentError, match=r"mine\.yaml: the task 't-a' occurs 2 times"):
        Experiment.of({**WHOLE, "tasks": [task, {**TASK, "name": "t-a"}]}, "mine.yaml", tmp_path)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"cannot read the experiment .*absent.yaml.*No such file"):
        Experiment.load(tmp_path / "absent.yaml")
    for text, message in (
        (b"{", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"- 1", "must be a mapping with"),
        (b"a: 1\na: 2", "'a' is given twice"),
    ):
        (tmp_path / "bad.yaml").write_bytes(text)
        with pytest.raises(ExperimentError, match=message):
            read_declaration(tmp_path / "bad.yaml")


def test_paths_start_at_the_declaration_and_know_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "/tables")
    fits = ("table:t.jsonl", "table:${TABLES}/t.jsonl", "surrogate:~/s.json", "table:digits-exhaustive", "inherited")
    tasks = [{**TASK, "name": str(number), "fitness": fitness} for number, fitness in enumerate(fits)]
    declared = Experiment.of({**WHOLE, "tasks": tasks}, folder=tmp_path)
    assert [task.fitness for task in declared.tasks] == [
        f"table:{tmp_path}/t.jsonl",
        "table:/tables/t.jsonl",
        f"surrogate:{Path.home()}/s.json",
        "table:digits-exhaustive",
        "inherited",
    ]


def test_a_relative_path_of_the_environment_starts_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLES", "../tables")
    declared = Experiment.of({**WHOLE, "tasks": [{**TASK, "fitness": "table:$TABLES/t.jsonl"}]}, folder=tmp_path)
    assert declared.tasks[0].fitness == "table:../tables/t.jsonl"


def test_absent_files_are_told_with_the_variable_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "t.jsonl").touch()
    tasks = [{**TASK, "name": name, "fitness": f"table:{name}"} for name in ("t.jsonl", "u.jsonl", "$NOWHERE/t.jsonl")]
    declared = Experiment.of({**WHOLE, "tasks": tasks}, folder=tmp_path)
    assert [list(absent_files(task)) for task in declared.tasks] == [
        [],
        [str(tmp_path / "u.jsonl")],
        ["$NOWHERE/t.jsonl (set NOWHERE)"],
    ]


def test_what_is_written_is_read_back() -> None:
    declared = Experiment.of({**WHOLE, "seeds": 3, "evaluations": 20, "title": "Try"})
    assert Experiment.of(declared.to_dict()) == declared


def test_a_run_says_what_it_is() -> None:
    run = cells_of(Experiment.of({**WHOLE, "seeds": 1}))[0]
    assert isinstance(run, Cell)
    assert str(run) == "random on digits table, seed 0"
