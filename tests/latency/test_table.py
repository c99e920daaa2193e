"""Latency tables: every block of a space, and what they predict. No test waits on a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasformer.cost import LatencyTable
from nasformer.errors import BudgetError
from nasformer.latency import Prediction, measure_blocks, measured_cost
from nasformer.space import SearchSpace


@pytest.fixture(scope="module", params=["torch", "onnxruntime"])
def measured(request: pytest.FixtureRequest, space: SearchSpace) -> tuple[LatencyTable, Prediction]:
    if request.param == "onnxruntime":
        pytest.importorskip("onnxscript", reason="onnxscript comes with nasformer[onnx]")
    options = {"runtime": request.param, "threads": 1, "repeats": 2, "max_spread": float("inf")}
    return measure_blocks(space, networks=3, seed=1, **options)


def test_every_block_of_the_space_is_measured(
    space: SearchSpace, measured: tuple[LatencyTable, Prediction], tmp_path: Path
) -> None:
    table, _ = measured
    assert set(table.stem) == {16, 24}
    assert set(table.layer) == {(e, h, e * r) for e in (16, 24) for h in (1, 2) for r in (1, 2)}
    assert min(table.stem.values()) > 0
    assert sum(table.layer.values()) > 0
    assert (table.geometry, table.batch_size, table.repeats) == (space.geometry, 1, 2)
    assert (table.threads, table.dtype) == (1, "fp32")
    assert "cpu, 1 threads" in table.device
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table


def test_a_table_is_a_budget_in_milliseconds(space: SearchSpace, measured: tuple[LatencyTable, Prediction]) -> None:
    table, _ = measured
    timed = space.with_cost(table.cost())
    low, high = timed.feasible().bounds("latency_ms")
    limit = (low + high) / 2
    within = timed.feasible(latency_ms=limit)
    assert 0 < within.count() < space.size()
    predicted = [table.predict(architecture) for architecture in space.decode(space.feasible().codes())]
    assert within.count() == sum(microseconds <= 1000 * limit for microseconds in predicted)


def test_a_prediction_is_compared_with_networks_of_the_space(
    space: SearchSpace, measured: tuple[LatencyTable, Prediction]
) -> None:
    table, found = measured
    assert list(found.networks) == space.sample(3, seed=1)
    assert list(found.predicted) == [table.predict(architecture) for architecture in found.networks]
    assert all(microseconds > 0 for microseconds in found.measured)


def test_errors_are_relative_and_signed(space: SearchSpace) -> None:
    networks = [space.smallest, space.centroid, space.largest]
    found = Prediction(networks, [110, 100, 70], [100, 100, 100])
    assert found.errors == pytest.approx([0.1, 0.0, -0.3])
    assert found.median_error == pytest.approx(0.1)


def test_a_spread_that_is_too_wide_is_measured_again_then_refused(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BudgetError, match=r"spread by .*% in 3 measurements, more than 0%.*\(--max-spread "):
        measure_blocks(space, runtime="torch", repeats=3, max_spread=0)


def test_the_time_of_whole_networks_is_a_cost_too(space: SearchSpace) -> None:
    timed = space.with_cost(measured_cost(space, runtime="torch", repeats=1))
    assert timed.costs(space.smallest)["latency_ms"] > 0
    assert len(timed.feasible(latency_ms=1e6).sample(3)) == 3  # a limit that everything meets
