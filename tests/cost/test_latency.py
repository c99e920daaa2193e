"""Latency tables: whole microseconds, read back as written, and refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.cost import AdditiveCost, FunctionCost, Geometry, LatencyTable
from nasformer.errors import BudgetError

SIZES, TIMES = st.integers(1, 999), st.integers(0, 10**6)
TABLES = st.builds(
    LatencyTable,
    st.text(max_size=5),
    st.builds(Geometry, max_distance=st.none() | st.integers(1, 9)),
    st.dictionaries(SIZES, TIMES, min_size=1, max_size=3),
    st.dictionaries(st.tuples(SIZES, SIZES, SIZES), TIMES, min_size=1, max_size=3),
    batch_size=SIZES,
    repeats=SIZES,
    spread=st.none() | st.floats(0, 1),
    runtime=st.just("torch") | st.just("onnxruntime"),
    threads=SIZES,
    dtype=st.just("fp32") | st.just("int8"),
)
TABLE = LatencyTable("a model", Geometry(), {64: 200}, {(64, 2, 128): 350, (64, 2, 256): 500})


@given(TABLES)
def test_a_table_is_read_back_as_written(table: LatencyTable) -> None:
    copy = LatencyTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert copy == table
    assert (copy.identity, hash(copy)) == (table.identity, hash(table))


def test_a_table_of_version_0_1_keeps_its_identity() -> None:
    assert not {"runtime", "threads", "dtype"} & {*TABLE.to_dict()}
    assert LatencyTable.from_dict(TABLE.to_dict()) == TABLE


def test_a_network_takes_the_time_of_its_blocks(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "t.json")
    table = LatencyTable.load(tmp_path / "t.json")
    arch = Architecture(64, (2, 2), (2, 4))
    assert table.predict(arch) == 200 + 350 + 500
    cost = table.cost()
    assert (cost.name, cost.scale, cost.identity) == ("latency_ms", 1000, table.identity)
    assert cost(Geometry(), arch) == 1.05
    assert table.cost("phone_ms").name == "phone_ms"


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (uniform(32, 1, 2, 2), "the latency table of 'a model' lacks the stem of embed_dim 32; measure it"),
        (uniform(64, 1, 3, 2), "lacks the layer of embed_dim 64, num_heads 3, hidden_dim 128"),
        (uniform(64, 1, 2, 3), "lacks the layer of embed_dim 64, num_heads 2, hidden_dim 192"),
    ],
)
def test_a_block_that_was_not_measured_is_named(architecture: Architecture, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        TABLE.predict(architecture)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stem_us": [[64, 1.5]]}, r"t\.json: the time of stem 64 is whole microseconds, got 1\.5"),
        ({"stem_us": [[64, -1]]}, "the time of stem 64 is whole microseconds, got -1"),
        ({"layer_us": [[64, 2, 128, True]]}, r"the time of layer \(64, 2, 128\) is whole microseconds, got True"),
        ({"layer_us": []}, r"a latency table's layer maps sizes to microseconds, got \{\}"),
        (
            {"layer_us": [[64, 2, 1]]},
            r"is not a latency table: layer rows have 3 sizes and a time, got \[64, 2, 1\]",
        ),
        ({"geometry": {"colour": 1}}, "this is not a latency table: .*colour"),
        ({"format": 2}, "a latency table has the format 1, got 2"),
    ],
)
def test_a_broken_table_is_one_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    (tmp_path / "t.json").write_text(json.dumps({**TABLE.to_dict(), **change}))
    with pytest.raises(BudgetError, match=words) as e:
        LatencyTable.load(tmp_path / "t.json")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", r"t\.json' is not JSON"),
        ("[]", r"t\.json: a latency table has the format 1, got \[\]"),
        ('{"format": 1}', "lacks"),
    ],
)
def test_a_file_that_holds_none_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BudgetError, match=words):
        LatencyTable.load(tmp_path / "t.json")
    with pytest.raises(BudgetError, match=r"cannot read the latency table '.*none\.json': No such file"):
        LatencyTable.load(tmp_path / "none.json")


def test_costs_say_what_they_are() -> None:
    thousandths = AdditiveCost(
        "seconds", lambda network: network.embed_dim, lambda _, layer: layer.num_heads, scale=1000
    )
    assert thousandths(Geometry(), uniform(64, 3, 2, 1)) == 0.07
    assert FunctionCost("depth", lambda a: a.depth)(uniform(64, 3, 2, 1)) == 3.0
    assert (thousandths.identity, FunctionCost.scale) == ("", None)
