"""Files that version 0.1 wrote still open, and mean what they meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import nasformer as nf
from nasformer.supernet import load_network

FILES = Path(__file__).parent / "files_of_0_1"
FACTS: dict[str, Any] = json.loads((FILES / "facts.json").read_text(encoding="utf-8"))
IMAGES = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def space() -> nf.SearchSpace:
    return nf.load_space(FILES / "space.yaml")


def test_a_space_has_the_same_identity_and_costs(space: nf.SearchSpace) -> None:
    assert space.fingerprint == FACTS["fingerprint"]
    assert space.params(space.largest) == FACTS["params"]


def test_weights_give_the_same_logits(space: nf.SearchSpace) -> None:
    expected = torch.tensor(FACTS["logits"])
    with torch.inference_mode():
        torch.testing.assert_close(
            nf.Supernet.load(FILES / "supernet.safetensors", space)(IMAGES, space.largest), expected
        )
        torch.testing.assert_close(load_network(FILES / "network.safetensors")(IMAGES), expected)


def test_tables_keep_their_identity(space: nf.SearchSpace) -> None:
    assert nf.LatencyTable.load(FILES / "latency.json").identity == FACTS["latency"]
    assert nf.SurrogateFitness.load(FILES / "surrogate.json").describe()["sha256"] == FACTS["surrogate"]
    table = nf.TableFitness(FILES / "table.jsonl")
    assert all(architecture in space.feasible() for architecture in table.architectures)


def test_a_result_is_read(space: nf.SearchSpace) -> None:
    result = nf.SearchResult.load(FILES / "result.jsonl")
    assert result.space == space
    assert result.best.architecture.to_dict() == FACTS["best"]
    assert [trial.architecture.to_dict() for trial in result.trials] == FACTS["trials"]


@pytest.mark.parametrize("share", [1.0, pytest.param(0.5, marks=pytest.mark.slow)])  # waits for a lost worker
def test_a_study_is_continued_to_the_same_trials(share: float, space: nf.SearchSpace, tmp_path: Path) -> None:
    lines = (FILES / "study.log").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "study.log").write_text("".join(lines[: int(share * len(lines))]), encoding="utf-8")
    options = {"population": 4, "parents": 2, "mutants": 2, "crossovers": 2}
    searcher = nf.Searcher(space, "evolution", nf.TableFitness(FILES / "table.jsonl"), seed=1, **options)
    result = searcher.run(evaluations=12, storage=tmp_path / "study.log", study="old", progress=False)
    assert [trial.architecture.to_dict() for trial in result.trials] == FACTS["trials"]
    assert result.best.architecture.to_dict() == FACTS["best"]
