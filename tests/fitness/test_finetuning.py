"""A short fine-tuning of the best of a search: it decides, survives kills, and keeps the winner's weights."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.architecture import Architecture
from nasformer.data import Dataset, load_dataset
from nasformer.errors import FitnessError, RecipeError
from nasformer.fitness import Finetuning, InheritedFitness
from nasformer.search import Evaluation, SearchResult
from nasformer.searcher import Searcher
from nasformer.space import load_space
from nasformer.supernet import Supernet, load_network
from nasformer.training import Recipe, evaluate

QUICK = Recipe.for_dataset("digits").replace(epochs=1, affine={})  # at its full learning rate


class Counted(Finetuning):
    """Counts, and is stopped before the fine-tuning of a number."""

    count, stop_before = 0, 99

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        if self.count == self.stop_before:
            raise KeyboardInterrupt
        self.count += len(architectures)
        return super().confirm(architectures)


def search(net: Supernet, data: Dataset, rerank: Finetuning | None, **options: Any) -> SearchResult:
    racing = options.pop("racing", False)
    judge = InheritedFitness(net, data.search, device="cpu", racing=racing)
    arguments: dict[str, Any] = {"evaluations": 12, "batch_size": 12, "progress": False, **options}
    return Searcher(net.space, "random", judge).run(80e3, rerank=rerank, **arguments)


@pytest.mark.parametrize("racing", [False, True])
def test_the_best_after_a_short_finetuning_wins(net: Supernet, digits: Dataset, tmp_path: Path, racing: bool) -> None:
    plain = search(net, digits, None, confirm=3, racing=racing)
    assert plain.reranking is None
    judge = Counted(net, digits, top=3, recipe=QUICK, out=tmp_path, device="cpu")
    result = search(net, digits, judge, racing=racing)
    assert judge.count == 3
    if not racing:
        assert {t.architecture: t.value for t in plain.confirmed} == {
            t.architecture: t.metrics["before"] for t in result.confirmed
        }
    figures = result.reranking
    assert figures is not None
    rows = figures["candidates"]
    assert [row["rank_after"] for row in rows] == sorted(row["rank_after"] for row in rows)
    assert all(row["after"] > row["before"] for row in rows), "an untrained supernet learns something in an epoch"
    assert figures["flipped"] == (rows[0]["rank_before"] > 1)
    assert result.best.fitness == rows[0]["after"]
    winner = load_network(tmp_path / "network.safetensors")
    assert winner.architecture == result.best.architecture
    assert evaluate(winner, digits.search, task=digits.task).accuracy == pytest.approx(result.best.fitness)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confirm.json", "network.safetensors"]
    assert SearchResult.load(result.save(tmp_path / "result.jsonl")).reranking == figures
    fully = {trial.images for trial in result.confirmed}
    assert fully == {len(digits.search)}


def test_a_kill_repeats_no_candidate(net: Supernet, digits: Dataset, tmp_path: Path) -> None:
    whole = search(net, digits, Counted(net, digits, top=4, recipe=QUICK, device="cpu"))
    stopped = Counted(net, digits, top=4, recipe=QUICK, out=tmp_path / "out", device="cpu")
    stopped.stop_before = 2
    with pytest.raises(KeyboardInterrupt):
        search(net, digits, stopped, storage=tmp_path / "s.log")
    resumed = Counted(net, digits, top=4, recipe=QUICK, out=tmp_path / "out", device="cpu")
    result = search(net, digits, resumed, storage=tmp_path / "s.log")
    assert resumed.count == 2
    assert [(t.architecture, t.value) for t in result.confirmed] == [(t.architecture, t.value) for t in whole.confirmed]
    assert load_network(tmp_path / "out" / "network.safetensors").architecture == result.best.architecture
    written = (tmp_path / "out" / "network.safetensors").stat().st_mtime_ns
    again = Counted(net, digits, top=4, recipe=QUICK, out=tmp_path / "out", device="cpu")
    assert search(net, digits, again, storage=tmp_path / "s.log").confirmed == result.confirmed
    assert again.count == 0
    assert (tmp_path / "out" / "network.safetensors").stat().st_mtime_ns == written, "not trained again"
    fewer = Counted(net, digits, top=2, recipe=QUICK, out=tmp_path / "fewer", device="cpu")
    best = search(net, digits, fewer, storage=tmp_path / "s.log").best
    assert (fewer.count, load_network(tmp_path / "fewer/network.safetensors").architecture) == (0, best.architecture)
    longer = Counted(net, digits, top=2, recipe=QUICK, epochs=2, device="cpu")
    search(net, digits, longer, storage=tmp_path / "s.log")
    assert longer.count == 2, "another recipe, other values"
    plain = search(net, digits, None, storage=tmp_path / "s.log")
    assert (plain.reranking, len(plain.confirmed)) == (None, 5)


def test_a_candidate_that_fails_is_left_out(
    net: Supernet, digits: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    judge = Finetuning(net, digits, top=2, recipe=QUICK, device="cpu")
    found = search(net, digits, judge)
    worse = found.confirmed[-1].architecture
    extract = net.extract

    def broken(architecture: Architecture) -> torch.nn.Module:
        if architecture == worse:
            raise ValueError("no weights for it")
        return extract(architecture)

    monkeypatch.setattr(net, "extract", broken)
    with caplog.at_level(logging.WARNING):
        result = search(net, digits, judge)
    assert [trial.architecture for trial in result.confirmed] == [found.best.architecture]
    assert "left out of the re-ranking: " in caplog.text
    assert "ValueError: no weights for it" in caplog.text
    monkeypatch.setattr(net, "extract", lambda _: 1 / 0)
    with pytest.raises(FitnessError, match=r"none of 2 re-ranked architectures has a value: .*ZeroDivisionError"):
        search(net, digits, judge)


def test_what_cannot_be_meant_is_refused(net: Supernet, digits: Dataset) -> None:
    with pytest.raises(RecipeError, match="top of a fine-tuning is at least 1, got 0"):
        Finetuning(net, digits, top=0)
    with pytest.raises(RecipeError, match="epochs of a fine-tuning is at least 1, got -1"):
        Finetuning(net, digits, epochs=-1)


def test_the_divergence_judges_no_fine_tuned_network() -> None:
    space, data = load_space("digits"), load_dataset("digits")
    with pytest.raises(RecipeError, match=r"judged by accuracy or .*, not by divergence; search by one"):
        Finetuning(Supernet(space), data, objective="divergence")
