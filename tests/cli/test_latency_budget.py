"""``--latency`` with a table that was measured before: counts, figures, a search, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend, JournalStorage

from nasformer.cost import FunctionCost, LatencyTable
from nasformer.registry import make_fitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchSpace]:
    space = load_space("digits")
    blocks = [(int(e), int(h), int(e * r)) for e in space.embed_dim for h in space.num_heads for r in space.mlp_ratio]
    layer = {(e, h, f): e + 20 * h + f // 2 + h * f % 7 for e, h, f in blocks}
    table = LatencyTable("a model", space.geometry, {int(e): 90 + int(e) for e in space.embed_dim}, layer)
    path = tmp_path_factory.mktemp("tables") / "digits.json"
    table.save(path)
    return path, space.with_cost(table.cost())


def test_a_measured_latency_is_a_budget(
    nasformer: Callable[..., Any], timed: tuple[Path, SearchSpace], tmp_path: Path
) -> None:
    path, space = timed
    budget = ("--latency-table", path, "--latency", "0.4:0.5")
    count = space.feasible(latency_ms=(0.4, 0.5)).count()
    assert f"{count:,} with 0.4 <= latency_ms <= 0.5" in nasformer("spaces", "digits", *budget).out
    figures = json.loads(nasformer("cost", "digits", "centroid", *budget, "--json").out)
    assert figures["latency_ms"] == space.costs(space.centroid)["latency_ms"]
    assert figures["feasible"] is False
    found = nasformer(
        *("search", "digits", *budget, "--fitness", "training-free", "-n", 3, "--json", "--out", tmp_path / "run")
    )
    assert (found.code, found.err) == (0, "")
    assert 0.4 <= json.loads(found.out)["latency_ms"] <= 0.5
    assert json.loads(found.out)["feasible"] == count
    stored = optuna.load_study(study_name=None, storage=JournalStorage(JournalFileBackend(f"{tmp_path}/run/study.log")))
    latency = stored.best_trial.user_attrs["latency_ms"]
    assert stored.best_trial.constraints == {
        "latency_ms at most 0.5": latency - 0.5,
        "latency_ms at least 0.4": 0.4 - latency,
    }


def test_a_latency_without_its_table_is_refused(refused: Callable[..., None], timed: tuple[Path, SearchSpace]) -> None:
    refused("--latency 5 needs --latency-table FILE; 'nasformer latency digits'", "spaces", "digits", "--latency", 5)
    refused(
        "the latency table of 'a model' was measured for Geometry",
        *("cost", "autoformer-tiny", "--latency", 5, "--latency-table", timed[0]),
    )
    refused("cannot read the latency table 'none.json'", "search", "digits", "--latency-table", "none.json")


def test_a_folder_is_refused_before_anything_is_measured(
    nasformer: Callable[..., Any],
    refused: Callable[..., None],
    tmp_path: Path,
) -> None:
    refused("is a folder; give a file", "latency", "digits", "--out", tmp_path)
    refused("unknown runtime 'tflite'", "latency", "digits", "--runtime", "tflite", "--out", tmp_path / "t.json")
    out = tmp_path / "new" / "table.json"
    options = ("--runtime", "torch", "--threads", 1, "--repeats", 1, "--check", 1)
    shown = nasformer("latency", "digits", *options, "--out", out)
    assert shown.code == 0
    assert "exported files usually run in onnxruntime" in shown.err
    table = LatencyTable.load(out)
    assert (table.runtime, table.threads, table.dtype) == ("torch", 1, "fp32")


def test_the_uniform_vit_of_a_loaded_result_meets_the_latency_budget(
    nasformer: Callable[..., Any], timed: tuple[Path, SearchSpace], weights: Path
) -> None:
    path, space = timed
    fastest = min(space.costs(each)["latency_ms"] for each in space.feasible().uniform())
    largest = space.feasible(latency_ms=(None, fastest)).uniform()[-1]
    search = ("search", "digits", "--latency-table", path, "--latency", fastest, "-n", 2, "-q", "--out", "run")
    assert nasformer(*search).code == 0
    winner, uniform = json.loads(nasformer("evaluate", "run", "--json").out)["results"]
    assert uniform["architecture"] == largest.to_dict()
    assert max(winner["latency_ms"], uniform["latency_ms"]) <= fastest
    shown = nasformer("evaluate", "run").out
    assert "latency ms" in shown
    assert str(uniform["latency_ms"])[:5] in shown


def test_no_uniform_vit_within_a_budget_that_a_result_does_not_hold(
    nasformer: Callable[..., Any], weights: Path
) -> None:
    space = load_space("digits").with_cost(FunctionCost("heads", lambda architecture: sum(architecture.num_heads)))
    result = Searcher(space, "random", make_fitness("inherited", space)).run(
        {"heads": 8}, evaluations=2, progress=False
    )
    result.save("result.jsonl")
    shown = nasformer("evaluate", "result.jsonl")
    assert (shown.code, "winner" in shown.out, "uniform" in shown.out) == (0, True, False)
    assert shown.err.startswith("no uniform ViT: the result does not hold the cost heads")
    assert [each["name"] for each in json.loads(nasformer("evaluate", "result.jsonl", "--json").out)["results"]] == [
        "winner"
    ]
