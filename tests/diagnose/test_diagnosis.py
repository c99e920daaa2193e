"""A diagnosis: its figures are what they say, and a stop loses none of them."""

from __future__ import annotations

import json
import shutil
from copy import copy
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from torch.utils.data import Subset

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.diagnose import PIECES, Plan, diagnose
from nasformer.diagnose.bench import Bench, some
from nasformer.diagnose.intervals import kendall, ranks
from nasformer.diagnose.jobs import Alone, done, reseeded
from nasformer.diagnose.pieces import MEASURES
from nasformer.diagnose.pieces.shared import _own
from nasformer.errors import DataError, DiagnosisError, RecipeError
from nasformer.report import write_diagnosis_report
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet, load_network
from nasformer.training import Recipe, evaluate
from nasformer.training.loop import Trainer

Json = dict[str, Any]


def architecture(row: Json) -> Architecture:
    return Architecture.from_dict(row["architecture"])


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder / "found").iterdir()}


def test_every_piece_is_measured_and_kept(found: Json, folder: Path) -> None:
    assert set(found["pieces"]) == {*PIECES, "gap"}
    assert json.loads((folder / "diagnosis.json").read_text()) == found


def test_inherited_accuracy_is_that_of_the_supernet_on_test_images(
    found: Json, net: Supernet, data: Dataset, space: SearchSpace
) -> None:
    rows = found["pieces"]["fidelity"]["architectures"]
    assert len({architecture(row) for row in rows}) == 5
    for row in rows:
        assert row["inherited"] == pytest.approx(evaluate(net, data.test, architecture(row)).accuracy)
        assert row["params"] == space.params(architecture(row)) <= 5000


def test_retrained_accuracy_is_that_of_the_network_that_was_kept(found: Json, folder: Path, data: Dataset) -> None:
    kept = [load_network(path) for path in (folder / "jobs").glob("retrain-*/network.safetensors")]
    by_architecture: dict[Architecture, set[float]] = {}
    for net in kept:
        by_architecture.setdefault(net.architecture, set()).add(round(evaluate(net, data.test).accuracy, 6))
    for row in found["pieces"]["fidelity"]["architectures"]:
        assert round(row["retrained"], 6) in by_architecture[architecture(row)]


def test_some_are_fine_tuned_and_the_gap_is_of_those(found: Json) -> None:
    rows = found["pieces"]["fidelity"]["architectures"]
    assert [row["finetuned"] is None for row in rows] == [False] * 3 + [True] * 2
    by_pair = {(row["of"], row["minus"]): row for row in found["pieces"]["gap"]["differences"]}
    assert {pair: row["n"] for pair, row in by_pair.items()} == {
        ("retrained", "inherited"): 5,
        ("retrained", "finetuned"): 3,
        ("finetuned", "inherited"): 3,
    }
    differences = [row["retrained"] - row["inherited"] for row in rows]
    told = by_pair["retrained", "inherited"]["mean"]
    assert told["value"] == pytest.approx(np.mean(differences))
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (told["low"], told["high"]) == pytest.approx((low, high))


def test_rank_correlations_are_scipys(found: Json) -> None:
    piece = found["pieces"]["fidelity"]
    row = next(each for each in piece["ranks"] if (each["of"], each["against"]) == ("inherited", "retrained"))
    columns = [[each[name] for each in piece["architectures"]] for name in ("inherited", "retrained")]
    assert np.ptp(columns[0]), "otherwise there is no rank to speak of"
    assert np.ptp(columns[1])
    expected = stats.kendalltau(*columns)
    assert (row["kendall"]["value"], row["kendall"]["p"]) == pytest.approx((expected.statistic, expected.pvalue))


def test_both_ways_of_sharing_are_trained_alike(found: Json, space: SearchSpace) -> None:
    piece = found["pieces"]["sharing"]
    entangled, classical = piece["rows"]
    assert (entangled["name"], classical["name"]) == ("entangled", "classical")
    assert entangled["parameters"] == space.params(space.supernet_architecture) < classical["parameters"]
    assert [row["architecture"] for row in entangled["architectures"]] == [
        row["architecture"] for row in found["pieces"]["fidelity"]["architectures"]
    ]
    cells = [(row["sharing"], row["strategy"]) for row in piece["ablation"]]
    assert cells == [(a, b) for a in ("entangled", "classical") for b in ("random", "evolution")]
    assert all(row["params"] <= 5000 for row in piece["ablation"])


def test_a_supernet_that_was_trained_as_the_plan_says_is_not_trained_again(
    net: Supernet, data: Dataset, plan: Plan, recipe: Recipe, tmp_path: Path
) -> None:
    same = replace(plan, sharing=recipe.to_dict(), pieces=("sharing",))
    piece = diagnose(net, data, same, tmp_path, device="cpu", progress=False)["pieces"]["sharing"]
    assert not list(tmp_path.glob("jobs/entangled-*"))
    assert len(list(tmp_path.glob("jobs/classical-*"))) == 1
    assert not any("kendall" in row for row in piece["rows"]), "nothing was retrained to compare with"


def test_strategies_have_equal_evaluations(found: Json) -> None:
    piece = found["pieces"]["strategies"]
    assert [row["strategy"] for row in piece["rows"]] == ["evolution", "thompson", "random"]
    for row in piece["rows"]:
        assert [count for count, _ in row["curve"]] == [1, 2, 3, 4, 5, 6]
        values = [value for _, value in row["curve"]]
        assert values == sorted(values)
        assert len(row["test"]) == len(row["search"]) == 3
    assert [row["of"] for row in piece["differences"]] == ["evolution", "thompson"]


def test_the_winner_meets_a_uniform_vit_of_the_nearest_cost(found: Json, space: SearchSpace) -> None:
    best, plain = found["pieces"]["winner"]["rows"]
    uniform = architecture(plain)
    assert len(set(uniform.num_heads)) == len(set(uniform.mlp_ratio)) == 1
    distance = abs(plain["params"] - best["params"])
    others = space.feasible(params=5000).uniform()
    assert distance == min(abs(space.params(each) - best["params"]) for each in others)
    assert len(best["retrained"]) == len(plain["retrained"]) == 2
    assert found["pieces"]["fidelity"]["noise"] is not None


def test_more_images_rank_more_like_all(found: Json) -> None:
    piece = found["pieces"]["images"]
    assert [row["images"] for row in piece["rows"]] == [50]
    assert piece["full"] == 64
    assert -1 <= piece["rows"][0]["loss"]["low"] <= piece["rows"][0]["loss"]["high"] <= 1


def test_the_best_of_more_looks_better_on_what_chose_it(found: Json) -> None:
    rows = found["pieces"]["curse"]["rows"]
    assert [row["evaluations"] for row in rows] == [1, 2, 5]
    for fewer, more in pairwise(rows):
        assert more["search"] >= fewer["search"]
    assert all(row["difference"]["value"] == pytest.approx(row["search"] - row["test"]) for row in rows)


def test_what_is_measured_is_not_measured_again(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path
) -> None:
    before = files(folder)
    again = diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False)
    assert again == found
    assert files(folder) == before


def test_a_stop_between_jobs_changes_nothing(
    found: Json, net: Supernet, data: Dataset, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nasformer.diagnose import jobs

    finish, finished = jobs._finish, list[str]()

    def stopping(bench: Any, name: str, job: Any) -> None:
        if len(finished) == 4:
            raise KeyboardInterrupt
        finish(bench, name, job)
        finished.append(name)

    only = replace(plan, pieces=("fidelity",))
    monkeypatch.setattr(jobs, "_finish", stopping)
    with pytest.raises(KeyboardInterrupt):
        diagnose(net, data, only, tmp_path, device="cpu", progress=False)
    monkeypatch.setattr(jobs, "_finish", finish)
    kept = files(tmp_path)
    assert len(kept) == 4
    resumed = diagnose(net, data, only, tmp_path, device="cpu", progress=False)["pieces"]
    assert kept.items() <= files(tmp_path).items()
    assert resumed["fidelity"]["architectures"] == found["pieces"]["fidelity"]["architectures"]
    assert resumed["gap"] == found["pieces"]["gap"]


def test_a_stop_within_a_training_goes_on_from_its_last_epoch(
    found: Json, net: Supernet, data: Dataset, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(net, data, plan, tmp_path, "cpu")
    row = found["pieces"]["fidelity"]["architectures"][0]
    job = Alone("retrain", architecture(row), plan.recipe)
    train, begun = Trainer._epoch, list[int]()

    def stopping(loop: Trainer, epoch: int, log: Any) -> Any:
        begun.append(epoch)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return train(loop, epoch, log)

    monkeypatch.setattr(Trainer, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        done(bench, [job], workers=1, progress=False, what="")
    (told,) = done(bench, [job], workers=1, progress=False, what="")
    assert begun == [0, 1, 2, 2]
    assert told["accuracy"] == row["retrained"]


def _untimed(told: Any) -> Any:
    """Return what was found without how long it took."""
    if isinstance(told, list):
        return [_untimed(each) for each in told]
    if isinstance(told, dict):
        return {key: _untimed(value) for key, value in told.items() if key != "seconds"}
    return told


@pytest.mark.slow
def test_two_processes_find_what_one_finds(
    found: Json, net: Supernet, data: Dataset, plan: Plan, tmp_path: Path
) -> None:
    two = diagnose(net, data, plan, tmp_path, device="cpu", workers=2, progress=False)["pieces"]
    for name in ("fidelity", "sharing", "strategies", "winner"):
        assert _untimed(two[name]) == _untimed(found["pieces"][name])


def test_other_settings_are_other_jobs(net: Supernet, data: Dataset, plan: Plan, folder: Path, found: Json) -> None:
    other = replace(plan, pieces=("fidelity",), recipe={**plan.recipe, "epochs": 2})
    before = files(folder)
    diagnose(net, data, other, folder, device="cpu", progress=False)
    assert len(files(folder)) == len(before) + 5


def test_pieces_are_declared_once() -> None:
    assert tuple(MEASURES) == PIECES
    declared = {each.name for each in fields(Plan)} - {"budget", "pieces"}
    assert {size for measure in MEASURES.values() for size in measure.sizes} == declared


def test_a_longer_sample_goes_on_from_a_shorter_one(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    bench = Bench(net, data, plan, tmp_path)
    drawn = bench.sample(30, "fidelity")
    assert len(set(drawn)) == 30
    assert bench.sample(10, "fidelity") == drawn[:10]
    assert bench.sample(10, "pool") != drawn[:10]


def test_one_piece_alone_keeps_those_that_are_there(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path
) -> None:
    before = files(folder)
    only = replace(plan, pieces=("curse",))
    assert diagnose(net, data, only, folder, file="supernet.safetensors", device="cpu", progress=False) == found
    smaller = replace(only, pool=6)
    fewer = diagnose(net, data, smaller, folder, device="cpu", progress=False)["pieces"]
    assert set(fewer) == {*PIECES, "gap"} - {"images"}, "its pool was another"
    assert fewer["curse"]["architectures"] == 6
    assert files(folder) == before
    diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False)


def test_each_kind_of_weights_ranks_what_was_retrained(found: Json) -> None:
    alone = [row["retrained"] for row in found["pieces"]["fidelity"]["architectures"]]
    for row in found["pieces"]["sharing"]["rows"]:
        assert [each["retrained"] for each in row["architectures"]] == alone
        inherited = [each["inherited"] for each in row["architectures"]]
        assert row["kendall"]["value"] == kendall(inherited, alone)


def test_seconds_are_those_of_the_jobs(found: Json, folder: Path) -> None:
    told = {path.name: json.loads(path.read_text())["seconds"] for path in (folder / "found").iterdir()}
    assert all(seconds > 0 for seconds in told.values())
    searches = sum(seconds for name, seconds in told.items() if name.startswith(("evolution", "thompson", "random")))
    assert 0 < found["pieces"]["strategies"]["seconds"] <= searches
    assert found["pieces"]["fidelity"]["seconds"] <= sum(told.values())


def test_a_moved_folder_is_still_whole(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    shutil.rmtree(moved / "pieces")
    before = files(moved)
    diagnose(net, data, replace(plan, pieces=("sharing",)), moved, device="cpu", progress=False)
    assert files(moved) == before


def test_a_supernet_with_a_teacher_is_not_the_one_without(
    net: Supernet, data: Dataset, plan: Plan, recipe: Recipe, tmp_path: Path
) -> None:
    training = net.metadata["training"]
    bench = Bench(net, data, replace(plan, sharing=recipe.to_dict()), tmp_path)
    assert _own(bench, "entangled") is not None
    assert _own(bench, "classical") is None
    for change in ({"teacher": "abc"}, {"data": {**training["data"], "mean": [0.3]}}):
        other = copy(net)
        other.metadata = {"training": {**training, **change}}
        assert _own(replace(bench, net=other), "entangled") is None


def test_a_budget_with_too_few_architectures(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    narrow = replace(plan, budget={"params": net.space.params(net.space.smallest)})
    with pytest.raises(DiagnosisError, match=r"too few architectures: 1 were found instead of 5.*--pool"):
        diagnose(net, data, narrow, tmp_path, device="cpu", progress=False)
    assert not list(tmp_path.iterdir())


def test_images_of_another_space(net: Supernet, plan: Plan, tmp_path: Path) -> None:
    from nasformer.data import load_dataset

    assert load_space("digits").geometry.image_size == 8
    with pytest.raises(DataError, match="image_size 8"):
        diagnose(net, load_dataset("digits"), plan, tmp_path, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": 2}, "architectures must be at least 3, got 2"),
        ({"searches": 1}, "searches must be at least 2, got 1"),
        ({"finetuned": 6}, "finetuned is 6, of 5 architectures"),
        ({"pieces": ()}, "at least one piece of images, curse"),
        ({"pieces": ("fidelty",)}, "no piece 'fidelty'; did you mean 'fidelity'"),
    ],
)
def test_a_plan_that_cannot_be(plan: Plan, change: Json, message: str) -> None:
    with pytest.raises(DiagnosisError, match=message):
        replace(plan, **change)


def test_the_page_is_of_what_was_found(found: Json, tmp_path: Path) -> None:
    page = write_diagnosis_report(tmp_path, found, command="nasformer diagnose corners").read_text()
    for claim in found["claims"]:
        assert claim["claim"] in page
    for row in found["pieces"]["winner"]["rows"]:
        assert f"{row['mean']['value']:.2f}" in page


def test_what_is_not_measured_asks_for_nothing(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    few = replace(plan, pool=10_000, pieces=("strategies",))
    assert set(diagnose(net, data, few, tmp_path, device="cpu", progress=False)["pieces"]) == {"strategies"}


def test_images_of_files_are_not_the_first_class_alone() -> None:
    """An image folder lies class by class."""
    labels = list(range(100))
    part = some(Subset(labels, labels), 4)  # type: ignore[arg-type]
    assert [part[place] for place in range(len(part))] == [0, 33, 66, 99]


def test_a_recipe_counts_seeds_from_its_own(recipe: Recipe) -> None:
    assert reseeded(recipe.replace(seed=7).to_dict(), 2).seed == 9


def test_a_plan_knows_a_recipe_that_is_none(plan: Plan) -> None:
    assert replace(plan, finetuning={"learning_rate": 1e-4}).finetuning["epochs"] > 0
    with pytest.raises(RecipeError, match="a recipe has no 'epoch'"):
        replace(plan, final={"epoch": 3})
    with pytest.raises(DiagnosisError, match="seed must be at least 0, got -1"):
        replace(plan, seed=-1)


def test_chance_is_not_decided_by_a_bootstrap_of_few() -> None:
    perfect = ranks([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])["kendall"]
    assert (perfect["low"], perfect["high"]) == (1, 1)
    assert perfect["p"] == pytest.approx(2 / 24)
