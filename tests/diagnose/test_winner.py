"""The benchmark that sets a winner beside plain ViTs: its table is of trained networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import winner
from nasformer.data import Dataset
from nasformer.diagnose import Plan
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import done
from nasformer.errors import NasformerError
from nasformer.supernet import Supernet, load_network
from nasformer.training import evaluate


def test_the_table_is_of_networks_that_were_trained(
    found: dict[str, Any], net: Supernet, data: Dataset, plan: Plan, folder: Path, tmp_path: Path
) -> None:
    bench = Bench(net, data, plan, folder, "cpu")
    teacher = next((folder / "jobs").glob("retrain-*/network.safetensors"))
    params = found["pieces"]["winner"]["rows"][0]["params"]
    sizes = winner.nearest_sizes(net.space.geometry, params)
    jobs = winner.jobs_of(found, sizes, str(teacher), long=1)
    counts = {winner.TUNED: 2, winner.TAUGHT: 2, winner.LONG: 1, winner.TIMM: 2}
    assert {name: len(row) for name, row in jobs.items()} == counts
    assert len({job.name(bench) for row in jobs.values() for job in row}) == 7
    scores = {
        name: [each["accuracy"] for each in done(bench, row, workers=1, progress=False, what=name)]
        for name, row in jobs.items()
    }
    for job, score in zip(jobs[winner.TAUGHT], scores[winner.TAUGHT], strict=True):
        kept = load_network(folder / "jobs" / job.name(bench) / "network.safetensors")
        assert evaluate(kept, data.test).accuracy == pytest.approx(score)
    rows = winner.table(found, sizes, net.space.geometry, scores)
    assert [len(row["accuracies"]) for row in rows] == [1, 2, 2, 2, 1, 1, 2, 2]
    assert rows[4]["epochs"] == net.metadata["training"]["recipe"]["epochs"]
    walk = tmp_path / "walk.md"
    walk.write_text("Before.\n<!-- winner -->\nold\n<!-- /winner -->\nAfter.\n")
    winner.write(rows, tmp_path / "winner.json", walk)
    assert walk.read_text() == f"Before.\n<!-- winner -->\n{winner.shown(rows)}<!-- /winner -->\nAfter.\n"
    assert json.loads((tmp_path / "winner.json").read_text())["rows"] == rows
    walk.write_text("no place")
    with pytest.raises(NasformerError, match="has 0 places <!-- winner -->"):
        winner.write(rows, tmp_path / "none.json", walk)
    assert not (tmp_path / "none.json").exists()


def test_a_folder_that_is_no_diagnosis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert winner.main([str(tmp_path)]) == 2
    assert "diagnosis.json" in capsys.readouterr().err
    (tmp_path / "diagnosis.json").write_text(json.dumps({"pieces": {}}))
    assert winner.main([str(tmp_path)]) == 2
    assert "no piece winner yet; run nasformer diagnose" in capsys.readouterr().err
