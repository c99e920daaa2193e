"""TableFitness: the same rows from each format, a search confined to them, and every bad row by its number."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nasformer.architecture import Architecture, uniform
from nasformer.errors import BudgetError, FitnessError
from nasformer.fitness import TableFitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace

Rows = list[dict[str, Any]]
GOOD: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": [3, 2], "mlp_ratio": [1, 2], "top1": 71.5}
LISTS = ("num_heads", "mlp_ratio")


def write(path: Path, rows: Rows) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif path.suffix == ".csv":
        pd.DataFrame([{k: json.dumps(v) if k in LISTS else v for k, v in row.items()} for row in rows]).to_csv(path)
    else:
        pd.DataFrame(rows).to_parquet(path)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_every_format_holds_the_same_table(suffix: str, rows: Rows, tmp_path: Path) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    rows[3]["loss"] = None
    table = TableFitness(write(tmp_path / f"table{suffix}", rows))
    expected = {Architecture(r["embed_dim"], r["num_heads"], r["mlp_ratio"]): r for r in rows}
    assert table.architectures == list(expected)
    for evaluation in table.evaluate(table.architectures):
        row = expected[evaluation.architecture]
        assert evaluation.value == pytest.approx(row["top1"], rel=1e-12)
        assert dict(evaluation.metrics) == ({} if row["loss"] is None else {"loss": 0.5})
    assert table.describe()["rows"] == len(rows)


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is here")
def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(FitnessError, match=r"t\.parquet needs pyarrow: pip install 'nasformer\[parquet\]'"):
        TableFitness(tmp_path / "t.parquet")


def test_depth_may_be_left_out_and_the_value_be_another_column(tmp_path: Path) -> None:
    row = {key: value for key, value in GOOD.items() if key != "depth"} | {"elo": 1200}
    table = TableFitness(write(tmp_path / "t.jsonl", [row, row]), value="elo")
    assert [e.value for e in table.evaluate(table.architectures)] == [1200.0]


def test_what_the_table_lacks_has_failed(table: Path) -> None:
    (evaluation,) = TableFitness(table).evaluate([uniform(640, 2, 3, 1)])
    assert (evaluation.value, evaluation.error) == (None, "not in table.jsonl")


BAD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"embed": 3, "embed_dim": ...}, "lacks 'embed_dim'"),
    "depth": ({"depth": 3}, "depth is 3 but num_heads lists 2"),
    "heads": ({"num_heads": [-1, 2]}, "num_heads must be a whole number of at least 0, got -1"),
    "ratio": ({"mlp_ratio": [1, -2]}, "mlp_ratio must be a number of 0 or more, got -2"),
    "no list": ({"mlp_ratio": 2}, "mlp_ratio lists one entry per layer, got 2"),
    "no value": ({"top1": ...}, "no column 'top1'; it has embed_dim, depth"),
    "word": ({"top1": "good"}, "'good'"),
    "nan": ({"top1": float("nan")}, "top1 is nan"),
    "infinite": ({"top1": float("inf")}, "top1 is inf"),
    "null": ({"top1": None}, "top1 is None"),
    "bad loss": ({"loss": "low"}, "'low'"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_bad_row_is_named_with_its_fault(case: str, suffix: str, tmp_path: Path) -> None:
    changes, fault = BAD_ROWS[case]
    bad = {key: value for key, value in {**GOOD, "embed_dim": 64, **changes}.items() if value is not ...}
    if suffix == ".csv":
        if "..." in map(str, changes.values()) or ... in changes.values():
            pytest.skip("a CSV row has every column")
        fault = {"no list": "per layer, got 2", "nan": "top1", "null": "top1"}.get(case, fault)
    path = write(tmp_path / f"t{suffix}", [GOOD, bad])
    with pytest.raises(FitnessError, match=rf"t{suffix} row 2\b.*{fault}") as caught:
        TableFitness(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", json.dumps(GOOD) + "\n{", r"t.jsonl line 2 is not JSON"),
        ("t.jsonl", json.dumps(GOOD) + "\n7", r"t.jsonl row 2.* a row is a mapping.*7"),
        ("t.jsonl", json.dumps(GOOD) + "\n[1]", r"t.jsonl row 2.* a row is a mapping.*\[1\]"),
        ("t.jsonl", "", r"t.jsonl holds no rows"),
        ("t.csv", "embed_dim,num_heads,mlp_ratio,top1\n", r"t.csv holds no rows"),
        ("t.csv", "embed_dim,num_heads,mlp_ratio,top1\n48,[3,[1],5\n", r"t.csv row 1: dimensions are JSON"),
        ("t.csv", "embed_dim,num_heads,mlp_ratio,top1\n48\n", r"t.csv row 1"),
        ("t.jsonl", b"\xff\xfe{", r"cannot read the table '.*t.jsonl'"),
        ("t.xlsx", "", r"a table is .jsonl, .csv or .parquet, or is named digits-exhaustive; got 't.xlsx'"),
    ],
    ids=str,
)
def test_a_bad_file_is_one_line(name: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FitnessError, match=message) as caught:
        TableFitness(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FitnessError, match=r"cannot read the table '.*absent.jsonl': No such file or directory$"):
        TableFitness(tmp_path / "absent.jsonl")


@pytest.mark.parametrize("strategy", ["random", "evolution", "tpe", "nevergrad"])
def test_a_search_is_confined_to_the_table(strategy: str, rows: Rows, table: Path, space: SearchSpace) -> None:
    fitness = TableFitness(table)
    inside = [a for a in fitness.architectures if space.params(a) <= 40e3]
    result = Searcher(space, strategy, fitness, seed=2).run(40e3, evaluations=500, max_failures=0, progress=False)
    assert {trial.architecture for trial in result.trials} == set(inside)
    assert (result.stopped, result.feasible) == ("exhausted", len(inside))
    top1 = {Architecture(r["embed_dim"], r["num_heads"], r["mlp_ratio"]): r["top1"] for r in rows}
    assert result.best.fitness == max(top1[a] for a in inside)


def test_a_budget_that_no_row_meets_says_so(table: Path, space: SearchSpace) -> None:
    with pytest.raises(BudgetError, match=r"none of the \d+ architectures that the fitness knows has params <= 15082"):
        Searcher(space, "random", TableFitness(table)).run(15_082, progress=False)


def test_the_test_column_is_known_but_never_told(rows: Rows, tmp_path: Path) -> None:
    for number, row in enumerate(rows):
        row["test_top1"] = None if number == 1 else 50.0 + number
    path = write(tmp_path / "t.csv", rows)
    table = TableFitness(path)
    found = [table.test_value(architecture) for architecture in table.architectures]
    assert found == [row["test_top1"] for row in rows]
    assert all(set(told.metrics) == {"loss"} for told in table.evaluate(table.architectures))
    assert [table.true_value(a) for a in table.architectures] == [row["top1"] for row in rows]
    assert table.true_value(uniform(640, 2, 3, 1)) is None
    assert table.test_value(uniform(640, 2, 3, 1)) is None
    rows[0]["test_top1"] = "good"
    with pytest.raises(FitnessError, match=r"t\.csv row 1: .*'good'"):
        TableFitness(write(path, rows))


def test_the_optimum_is_the_best_row_within_the_budget(rows: Rows, table: Path, space: SearchSpace) -> None:
    fitness, feasible = TableFitness(table), space.feasible(params=40e3)
    within = [row["top1"] for row in rows if space.params(Architecture.from_dict(dimensions(row))) <= 40e3]
    assert fitness.optimum(feasible) == max(within) < max(row["top1"] for row in rows)
    least = space.feasible().bounds("params")[0]
    smallest = [row for row in rows if space.params(Architecture.from_dict(dimensions(row))) <= least]
    assert not smallest
    assert fitness.optimum(space.feasible(params=least)) is None


def dimensions(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("embed_dim", "num_heads", "mlp_ratio")}


def test_rows_of_one_architecture_are_averaged_and_their_spread_is_known(tmp_path: Path) -> None:
    other = {**GOOD, "embed_dim": 64, "top1": -3.0}
    values = [-71.0, -72.0, -76.0]
    repeated = [{**GOOD, "top1": value, "test_top1": value + 1, "loss": -value} for value in values]
    table = TableFitness(
        write(tmp_path / "t.jsonl", [*repeated, other, {**other, "top1": -5.0}, {**other, "depth": 2}])
    )
    assert [each.value for each in table.evaluate(table.architectures)] == pytest.approx([-73.0, -11 / 3])
    first, second = table.architectures
    assert (table.test_value(first), table.test_value(second)) == (-72.0, None)
    assert [dict(each.metrics) for each in table.evaluate([first, second])] == [{"loss": 73.0}, {}]
    squares = [4.0, 1.0, 9.0, (2 / 3) ** 2, (4 / 3) ** 2, (2 / 3) ** 2]
    assert table.spread == pytest.approx((sum(squares) / 4) ** 0.5)
    assert table.describe()["spread"] == table.spread


def test_a_table_without_repeats_has_no_spread(table: Path) -> None:
    assert TableFitness(table).spread == 0
    assert "spread" not in TableFitness(table).describe()


def test_an_edited_table_is_another_fitness(table: Path, rows: Rows, tmp_path: Path) -> None:
    """Else a study would go on with values from both."""
    before = TableFitness(table).describe()
    rows[0]["top1"] += 1
    assert TableFitness(write(table, rows)).describe() != before
