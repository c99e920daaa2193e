"""digits-exhaustive: all of the space, each once, with what a supernet says of it; and the command that made it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nasformer.fitness import InheritedFitness, TableFitness
from nasformer.fitness.tables import table_names, table_record, table_rows
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet

NAME = "digits-exhaustive"


@pytest.fixture(scope="module")
def shipped() -> TableFitness:
    return TableFitness(NAME)


@pytest.fixture(scope="module")
def benchmark(root: Path) -> object:
    sys.path.insert(0, str(root))
    try:
        from benchmarks import digits_exhaustive
    finally:
        sys.path.remove(str(root))
    return digits_exhaustive


def test_it_holds_every_architecture_of_the_space_once(shipped: TableFitness) -> None:
    space = load_space("digits")
    codes = space.encode(shipped.architectures)
    assert len(codes) == len(np.unique(codes, axis=0)) == space.size() == 22_113


def test_its_rows_are_what_the_space_says_of_them(shipped: TableFitness) -> None:
    """Costs by the one formula and in the other way, over all rows."""
    space = load_space("digits")
    architectures = shipped.architectures
    costs = space.params_batch(space.encode(architectures))
    assert [space.params(architecture) for architecture in architectures[::97]] == costs[::97].tolist()
    assert SearchSpace.from_dict(table_record(NAME)["space"]).fingerprint == space.fingerprint


def test_its_accuracies_are_whole_images(shipped: TableFitness) -> None:
    images = table_record(NAME)["images"]
    for column, split in (("top1", "search"), ("test_top1", "test")):
        counts = np.array([row[column] for row in table_rows(NAME)]) * images[split] / 100
        np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    assert all(shipped.test_value(architecture) is not None for architecture in shipped.architectures)
    assert all(0 < told.metrics["loss"] < 3 for told in shipped.evaluate(shipped.architectures))


def test_its_record_says_how_it_was_made_and_it_is_informative(shipped: TableFitness) -> None:
    record = table_record(NAME)
    assert record["rows"] == len(shipped.architectures)
    assert {"images", "training", "versions", "machine", "made_by", "space", "summary"} <= set(record)
    values = np.array([shipped.true_value(architecture) for architecture in shipped.architectures], dtype=float)
    tests = np.array([shipped.test_value(architecture) for architecture in shipped.architectures], dtype=float)
    assert record["summary"]["standard_deviation"] == pytest.approx(values.std())
    assert record["summary"]["correlation_with_test"] == pytest.approx(np.corrcoef(values, tests)[0, 1])
    assert values.max() < 95, "nobody is near the ceiling"
    assert record["summary"]["shared_with_test"] > record["summary"]["scatter_of_images"]


def test_a_search_by_name_finds_the_optimum_of_the_table(shipped: TableFitness, space: SearchSpace) -> None:
    searcher = Searcher(space, "random", shipped, seed=1)
    feasible = searcher.feasible((20e3, 24e3), shipped)
    result = searcher.run((20e3, 24e3), evaluations=500, progress=False)
    assert result.stopped == "exhausted"
    assert result.best.fitness == shipped.optimum(feasible) == shipped.optimum(space.feasible(params=(20e3, 24e3)))


def test_any_column_may_be_the_value(shipped: TableFitness) -> None:
    tests = TableFitness(NAME, value="test_top1")
    assert tests.architectures == shipped.architectures
    assert all(tests.true_value(a) == shipped.test_value(a) for a in tests.architectures[::1000])
    assert tests.test_value(tests.architectures[0]) is None


def test_the_package_names_its_tables() -> None:
    assert table_names() == [NAME]


@pytest.mark.slow
def test_the_benchmark_says_what_a_supernet_says(benchmark: object, space: SearchSpace, tmp_path: Path) -> None:
    """The columns of a few architectures, of an untrained supernet, against the fitness one by one."""
    net = Supernet(space, seed=4)
    net.metadata["training"] = {"data": {}, "history": []}
    path = net.save(tmp_path / "supernet.safetensors")
    architectures = list(dict.fromkeys(space.sample(12, seed=3)))
    columns = benchmark.evaluate(path, architectures)  # type: ignore[attr-defined]
    benchmark.write(tmp_path / "few.npz", path, columns)  # type: ignore[attr-defined]
    data = benchmark.images()  # type: ignore[attr-defined]
    for split in ("search", "test"):
        own = {told.architecture: told for told in InheritedFitness(net, data.splits[split]).evaluate(architectures)}
        size = len(data.splits[split])
        accuracies = 100 * columns[f"{split}_correct"] / size
        assert accuracies == pytest.approx([own[a].value for a in architectures])
        losses = [own[a].metrics["loss"] for a in architectures]
        np.testing.assert_allclose(columns[f"{split}_loss"], losses, rtol=1e-5)
    assert json.loads((tmp_path / "few.json").read_text())["rows"] == len(architectures)
