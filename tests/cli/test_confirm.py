"""A short fine-tuning of the best of a search: shown in a line, gone on from, and no longer used once it is stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from nasformer.search import SearchResult
from nasformer.supernet import Supernet, load_network
from tests.cli.conftest import Command

SEARCH = ("search", "digits", "--strategy", "random", "-n", 6, "--batch-size", 6, "--out", "run", "-q")
SHORT = ("--confirm-epochs", 1, "--confirm-top", 3)


def test_the_finetuned_winner_is_shown_and_gone_on_from(nasformer: Command, weights: Path) -> None:
    done = nasformer(*SEARCH, *SHORT)
    assert done.code == 0, done.err
    assert "3 fine-tuned for 1 epoch: winner's rank " in done.out
    assert "next: nasformer finetune run" in done.out
    summary = json.loads(nasformer(*SEARCH, *SHORT, "--json").out)
    rows = summary["reranking"]["candidates"]
    assert [row["rank_after"] for row in rows] == [1, 2, 3]
    assert (summary["architecture"], summary["fitness"]) == (rows[0]["architecture"], rows[0]["after"])
    result = SearchResult.load("run/result.jsonl")
    assert result.reranking == summary["reranking"]
    assert f"winner's rank {rows[0]['rank_before']}" in done.out
    tuned, net = load_network("run/network.safetensors"), Supernet.load(weights)
    assert not torch.equal(tuned.head.weight, result.best.extract(net).head.weight)
    done = nasformer("finetune", "run", "--epochs", 1, "--freeze", "backbone", "--device", "cpu", "-q", "--out", "fine")
    assert done.code == 0, done.err
    assert torch.equal(load_network("fine/network.safetensors").norm.weight, tuned.norm.weight)
    record = json.loads(Path("fine/finetune.json").read_text())
    assert (record["source"]["strategy"], record["source"]["training"]) == ("random", "confirm")
    rate = net.metadata["training"]["recipe"]["learning_rate"]
    assert record["training"]["recipe"]["learning_rate"] == rate / 10, "a tenth of the supernet's, not of a tenth"


def test_weights_of_another_winner_are_not_used(nasformer: Command, weights: Path) -> None:
    assert nasformer(*SEARCH, *SHORT).code == 0
    assert nasformer(*SEARCH).code == 0
    for options in ((), ("--supernet", weights)):
        done = nasformer("export", "run", *options, "--out", f"of{len(options)}")
        assert done.code == 0, done.err
        described = json.loads(Path(f"of{len(options)}", "nasformer.json").read_text())
        assert described["provenance"]["training"] == "weights inherited from a supernet, not trained further"


def test_a_study_can_be_confirmed_so_at_any_time(
    nasformer: Command, refused: Callable[..., None], weights: Path
) -> None:
    study = ("study", "create", "digits", "--storage", "s.log", "--strategy", "random", "-n", 4, "--batch-size", 4)
    refused("--confirm-top 3 needs --confirm-epochs N", *study, "--confirm-top", 3)
    refused("--confirm-top 2 needs --confirm-epochs N", *SEARCH, "--confirm-top", 2)
    assert nasformer(*study, "--confirm-epochs", 1, "--confirm-top", 2).code == 0
    run = ("study", "run", "--storage", "s.log", "-q", "--json")
    first = json.loads(nasformer(*run).out)
    assert len(first["reranking"]["candidates"]) == 2
    best = json.loads(nasformer("study", "best", "--storage", "s.log", "--json").out)
    assert (best["confirmed"], best["value"]) == (True, first["fitness"])
    more = nasformer(*run, "--confirm-epochs", 1, "--confirm-top", 3, "--out", "out")
    assert len(json.loads(more.out)["reranking"]["candidates"]) == 3
    assert Path("out/network.safetensors").is_file()
