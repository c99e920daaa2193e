"""Measured latency: every block of a space, whole networks, and both as costs. No test waits on a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nasformer.cost import LatencyTable
from nasformer.errors import BudgetError
from nasformer.space import SearchSpace
from nasformer.supernet.latency import (
    Prediction,
    check_prediction,
    measure_blocks,
    measure_networks,
    measured_cost,
)


@pytest.fixture
def table(space: SearchSpace) -> LatencyTable:
    return measure_blocks(space, repeats=2)


def test_every_block_of_the_space_is_measured(space: SearchSpace, table: LatencyTable, tmp_path: Path) -> None:
    assert set(table.stem) == set(space.codec.values["embed_dim"])
    blocks = {(e, h, int(e * r)) for e in space.codec.values["embed_dim"] for h in (1, 2, 3) for r in (1, 2)}
    assert set(table.layer) == blocks
    assert all(microseconds > 0 for microseconds in [*table.stem.values(), *table.layer.values()])
    assert (table.geometry, table.batch_size, table.repeats) == (space.geometry, 1, 2)
    assert f"{torch.get_num_threads()} threads" in table.device
    table.save(tmp_path / "table.json")
    assert LatencyTable.load(tmp_path / "table.json") == table


def test_a_table_is_a_budget_in_milliseconds(space: SearchSpace, table: LatencyTable) -> None:
    timed = space.with_cost(table.cost())
    low, high = timed.feasible().bounds("latency_ms")
    limit = (low + high) / 2
    within = timed.feasible(latency_ms=limit)
    assert 0 < within.count() < space.size()
    assert all(table.predict(architecture) <= 1000 * limit for architecture in within.sample(50))
    predicted = [table.predict(architecture) for architecture in space.decode(space.feasible().codes())]
    assert within.count() == sum(microseconds <= 1000 * limit for microseconds in predicted)


def test_a_prediction_is_compared_with_networks_of_the_space(space: SearchSpace, table: LatencyTable) -> None:
    found = check_prediction(table, space, networks=3, seed=1)
    assert list(found.networks) == space.sample(3, seed=1)
    assert list(found.predicted) == [table.predict(architecture) for architecture in found.networks]
    assert all(microseconds > 0 for microseconds in found.measured)


def test_errors_are_relative_and_signed(space: SearchSpace) -> None:
    networks = [space.smallest, space.centroid, space.largest]
    found = Prediction(networks, [110, 100, 70], [100, 100, 100])
    assert found.errors == pytest.approx([0.1, 0.0, -0.3])
    assert found.median_error == pytest.approx(0.1)


def test_the_time_of_whole_networks_is_a_cost_too(space: SearchSpace) -> None:
    cost = measured_cost(space, repeats=1)
    timed = space.with_cost(cost)
    assert timed.costs(space.smallest)["latency_ms"] > 0
    assert len(timed.feasible(latency_ms=1e6).sample(3)) == 3  # a limit that everything meets
    assert len(measure_networks(space.geometry, [space.smallest, space.largest], repeats=1)) == 2


def test_no_rounds_are_refused(space: SearchSpace) -> None:
    with pytest.raises(BudgetError, match="repeats must be at least 1, got 0"):
        measure_blocks(space, repeats=0)
