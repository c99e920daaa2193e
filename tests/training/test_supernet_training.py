"""The benchmark of ways to train a supernet gives each the same compute, and goes on with what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import supernet_training as ways
from nasformer.data import load_dataset

MACS = 1.5e9
ROWS: list[dict[str, Any]] = [
    {"way": "uniform", "seed": 0, "seconds": 10, "macs": 1e12, "accuracies": [[50.0, 52.0], [60.0, 62.0]]},
    {"way": "uniform", "seed": 1, "seconds": 20, "macs": 1e12, "accuracies": [[54.0, 56.0], [64.0, 66.0]]},
    {"way": "bins", "seed": 0, "seconds": 15, "macs": 2e12, "accuracies": [[53.0, 53.0], [61.0, 61.0]]},
    {"way": "bins", "seed": 1, "seconds": 50, "macs": 2e12, "accuracies": [[58.0, 58.0], [66.0, 66.0]]},
    {"way": "shift", "seed": 7, "seconds": 9, "macs": 1e12, "accuracies": [[53.0, 53.0], [61.0, 61.0]]},
]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A space, data and a recipe for a few seconds."""
    recipe = tmp_path / "small.yaml"
    text = ways.RECIPE.read_text().replace("batch_size: 128", "batch_size: 16")
    recipe.write_text(text.replace("500K:8M", "60K:1M").replace("cost_bins: 8", "cost_bins: 3"))
    data = load_dataset("digits")
    data.test = data.search
    for name, value in {"RECIPE": recipe, "SPACE": "digits-wide", "EPOCHS": 5, "SUBNETS": 1}.items():
        monkeypatch.setattr(ways, name, value)
    monkeypatch.setattr(ways, "ENDS", (60e3, 200e3, 1e6))
    monkeypatch.setattr(ways, "data_of", lambda folder, images: data)
    return tmp_path


@pytest.mark.parametrize("way", ways.WAYS)
def test_every_way_takes_the_compute_and_is_kept(small: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways.judges.cache_clear()
    row = ways.cell(way, 1, MACS, small, None)
    assert row["macs"] == pytest.approx(MACS, rel=0.15), "the draws are few"
    assert [len(own) for own in row["accuracies"]] == [1, 1]
    monkeypatch.setattr(ways, "train_supernet", None)
    assert ways.cell(way, 1, MACS, small, None) == row
    with pytest.raises(TypeError):
        ways.cell(way, 1, 1.5 * MACS, small, None)


def test_the_table_compares_seed_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "ENDS", (0.5e6, 1e6, 1.7e6))
    *_, uniform, bins, shift = ways.table(ROWS).splitlines()
    assert uniform == "| uniform | 53.0 | 63.0 | +0.00 ± 0.00 | 1.00 | 1.00 |"
    assert bins == "| bins | 55.5 | 63.5 | +1.50 ± 0.50 | 2.00 | 2.00 |"
    assert shift == "| shift | 53.0 | 61.0 | – | 1.00 | – |", "there is no uniform training of this seed"
