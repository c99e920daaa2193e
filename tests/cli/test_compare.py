"""``nasformer compare`` as people type it: a file or options, a report, faults in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from nasformer.cli import run
from nasformer.cli.compare import _strategy, _task
from nasformer.errors import StrategyError
from nasformer.space import load_space


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "t.jsonl"
    architectures = dict.fromkeys(load_space("digits").sample(100, seed=1))
    path.write_text("".join(json.dumps({**each.to_dict(), "top1": each.embed_dim}) + "\n" for each in architectures))
    return path


@pytest.fixture
def experiment(table: Path, tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    task = {"name": "small", "space": "digits", "fitness": f"table:{table}"}
    path.write_text(yaml.safe_dump({"tasks": [task], "strategies": ["random"], "seeds": 2, "evaluations": 8}))
    return path


def test_a_file_becomes_a_report(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", str(experiment), "--strategy", "local-search", "--quiet", "--workers", "1"]
    assert run([*arguments, "--format", "html", "--format", "markdown", "--format", "json"]) == 0
    told = capsys.readouterr().out
    assert "local-search" in told
    assert max(map(len, told.splitlines()[:-1])) <= 80
    folder = Path("runs/compare-mine")
    assert {"report.html", "report.md", "report.json", "cells.csv", "trials.csv.gz"} <= {
        path.name for path in folder.iterdir()
    }
    assert f"compare {experiment}" in (folder / "report.html").read_text()
    assert run([*arguments, "--report-only", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"report", "summary", "warnings"}


def test_failed_runs_are_told_and_the_others_reported(
    experiment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("from nasformer.strategies.random import Random", "class Breaking(Random):", "    def propose(self):")
    code = "\n".join([*lines, "        return 1 / (self.seed != 1) and super().propose()"])
    (tmp_path / "breaks_with_seed_one.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = ["-s", "breaks_with_seed_one:Breaking", "-q", "--workers", "1", "--out", str(tmp_path / "out")]
    assert run(["compare", str(experiment), *arguments]) == 2
    told = capsys.readouterr()
    assert "1 of 4 runs failed, the first of breaks_with_seed_one:Breaking on small, seed 1: ZeroDivis" in told.err
    assert "breaks_with_seed_one:Breaking with seed 1 failed" in " ".join(told.out.split())
    assert (tmp_path / "out" / "report.html").exists()


def test_options_declare_one_task(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = ["--space", "digits", "--fitness", f"table:{table}", "--params", "54e3", "--seeds", "2", "-n", "6"]
    chosen = ["-s", "random", "-s", "nevergrad optimizer=DE", "--out", str(tmp_path), "-q", "--workers", "1"]
    assert run(["compare", *task, *chosen]) == 0
    assert "nevergrad (optimizer=DE)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an EXPERIMENT.yaml, --task, or --space with --strategy and --fitness"),
        (["--space", "digits"], "strategies: .* at least 1"),
        (["{file}", "--noise", "1"], "tasks are declared in mine.yaml; omit --noise"),
        (["{file}", "-s", "random"], "the strategy 'random' occurs 2 times"),
        (["{file}", "--format", "pdf"], "unknown format 'pdf'; known: html, markdown, json"),
        (["{file}", "--report-only"], "no run is complete in .*compare-mine"),
        (["{file}", "-s", "tpe 'x"], '--strategy is a name and KEY=VALUE, got "tpe \'x"'),
        (["absent.yaml"], "cannot read the experiment 'absent.yaml'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    message: str,
    experiment: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["compare", *(each.format(file=experiment) for each in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1

    assert re.search(message, error)


def test_tables_are_tasks_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    space, rng = load_space("digits"), np.random.default_rng(0)
    drawn = [each for each in dict.fromkeys(space.sample(300, seed=1)) for _ in range(2)]
    rows = [{**each.to_dict(), "perplexity": -20 - each.depth + rng.normal(scale=0.5)} for each in drawn]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    space.save(tmp_path / "space.yaml")
    task = f"table:{tmp_path / 't.jsonl'}?column=perplexity@{tmp_path / 'space.yaml'}"
    options = ["--params", "60e3", "--seeds", "2", "-n", "6", "-q", "--workers", "1", "--out", str(tmp_path / "out")]
    assert run(["compare", "--task", f"mine={task}", "-s", "random", "--format", "json", *options]) == 0
    assert "mine: value" in capsys.readouterr().out
    (written,) = json.loads((tmp_path / "out" / "report.json").read_text())["tasks"]
    assert written["noise"] == pytest.approx(0.5, rel=0.2)
    assert written["metric"]["unit"] == ""
    assert written["optimum"] < -20
    assert written["additivity"]["additive"] > 0.5
    assert written["limits"]["params"][1] == 60_000
    monkeypatch.chdir(tmp_path)
    (tmp_path / "apart").mkdir()
    (tmp_path / "apart" / "mine.yaml").write_text("{strategies: [random], evaluations: 6, seeds: 2}")
    more = ["--task", "mine=table:t.jsonl?column=perplexity@space.yaml", "--out", "again", "-q", "--workers", "1"]
    assert run(["compare", "apart/mine.yaml", *more]) == 0, capsys.readouterr().err


def test_a_wrong_task_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for given, words in {"t.jsonl": "--task is NAME=FITNESS@SPACE", "a=table:t.jsonl": "got 'a=table:t.jsonl'"}.items():
        assert run(["compare", "--task", given, "-s", "random"]) == 2
        assert words in capsys.readouterr().err
    assert run(["compare", "--task", "a=table:t.jsonl@digits", "--space", "digits", "-s", "random"]) == 2
    assert "--task names space and fitness; omit --space" in capsys.readouterr().err
    assert _task("a=fit:t.jsonl?model=trees@s@.yaml")["space"] == ".yaml"


def test_a_strategy_and_its_options_are_one_word_each() -> None:
    assert _strategy("thompson startup=10") == {"name": "thompson", "options": {"startup": 10}}
    with pytest.raises(StrategyError, match="got 'startup'"):
        _strategy("tpe startup")


@pytest.mark.parametrize("fitness", [[], ["--fitness", "inherited"]])
def test_an_objective_means_inherited_weights(
    fitness: list[str], weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = ["compare", "--space", "digits", *fitness, "-s", "random", "-n", "3", "--seeds", "1", "-q", "--workers", "1"]
    assert run([*task, "--objective", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: objective is ")
    assert told.count("\n") == 1
    assert not Path("runs/compare-digits/cells").exists()
    assert run([*task, "--objective", "loss"]) == 0
    assert "digits" in (out := capsys.readouterr().out)
    assert "loss" in out


@pytest.mark.parametrize("option", [{"objective": "loss"}, {"racing": True}, {"data": "digits"}, {"root": "/"}])
def test_an_option_of_inherited_weights_is_not_ignored(
    option: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"tasks": [{"space": "digits", **option}], "strategies": ["random"]}))
    assert run(["compare", str(path), "-q", "--workers", "1", "--out", str(tmp_path / "out")]) == 2
    assert "no trained weights for space 'digits'" in capsys.readouterr().err
