"""A diagnosis: its figures are what they say, and a stop loses none of them."""

from __future__ import annotations

import json
import shutil
from copy import copy, deepcopy
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from torch.utils.data import Subset

from benchmarks._equal_compute import PIECES, EqualComputePlan
from benchmarks._equal_compute.measure import ALONE, SINGLE, STOPPED, UNIFORM, WINNER, by_hand
from benchmarks._equal_compute.rivals import hand_scaled
from benchmarks._equal_compute.trainings import EarlyStopping
from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnosis, spread_budgets, write_diagnosis_report
from nasformer.diagnose.bench import Bench, some
from nasformer.diagnose.intervals import ranks
from nasformer.diagnose.jobs import Alone, done, reseeded
from nasformer.errors import BudgetError, DataError, DiagnosisError, RecipeError
from nasformer.space import SearchSpace, choice, load_space
from nasformer.supernet import Supernet, load_network
from nasformer.training import Recipe, evaluate
from nasformer.training.loop import Trainer

Json = dict[str, Any]
diagnose = partial(diagnosis.diagnose, pieces=PIECES)
GEOMETRY: Json = {"head_dim": 4, "image_size": 4, "patch_size": 2, "in_channels": 1, "num_classes": 4}


def architecture(row: Json) -> Architecture:
    return Architecture.from_dict(row["architecture"])


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder / "found").iterdir()}


@pytest.fixture
def equal(found: Json) -> Json:
    """The piece "compute"."""
    piece: Json = found["pieces"]["compute"]
    return piece


def test_every_piece_is_measured_and_kept(found: Json, folder: Path) -> None:
    assert tuple(found["pieces"]) == tuple(PIECES)
    assert json.loads((folder / "diagnosis.json").read_text()) == found
    assert len(found["claims"]) == 8


# Equal compute


def test_every_rival_takes_its_part_of_the_compute(equal: Json, net: Supernet) -> None:
    training = net.metadata["training"]["macs"]
    assert equal["training"][0] == training
    assert equal["each"] == pytest.approx(1.8 * training / 2)
    assert equal["fronts"] == pytest.approx([0.8 * training] * 2, rel=0.05)
    for row in equal["rows"]:
        for entry in (each for each in row["networks"] if each["name"] != WINNER):
            slack = 0.25 if entry["name"] == STOPPED else 0.05  # the last network of a search is stopped at an epoch
            part = equal["each"] * (len(equal["rows"]) if entry["name"] == SINGLE else 1)
            assert entry["macs"] == pytest.approx([part] * 2, rel=slack), entry["name"]


def test_every_network_meets_its_budget(equal: Json, space: SearchSpace) -> None:
    for row in equal["rows"]:
        for entry in row["networks"]:
            told = [space.costs(Architecture.from_dict(each)) for each in entry["architectures"]]
            assert entry["costs"] == told
            assert all(costs["macs"] <= row["budget"]["macs"] for costs in told)


def test_winners_are_those_of_one_supernet_per_seed(equal: Json, net: Supernet, data: Dataset, folder: Path) -> None:
    assert len(list(folder.glob("jobs/supernet-*"))) == 1, "the first seed is the diagnosed one"
    for row in equal["rows"]:
        winner, alone = row["networks"][:2]
        assert (winner["name"], alone["name"]) == (WINNER, ALONE)
        assert winner["architectures"] == alone["architectures"]
    smaller, larger = (row["networks"][0] for row in equal["rows"])
    before = evaluate(net, data.test, Architecture.from_dict(smaller["architectures"][0])).accuracy
    assert smaller["inherited"][0] == pytest.approx(before)
    for each, other, costs in zip(larger["architectures"], smaller["architectures"], larger["costs"], strict=True):
        assert each == other or costs["macs"] >= equal["rows"][0]["budget"]["macs"]


def test_a_winner_starts_from_the_smaller_one(equal: Json, net: Supernet, data: Dataset, folder: Path) -> None:
    shared, (smaller, larger) = deepcopy(net), (row["networks"][0] for row in equal["rows"])
    (grown,) = folder.glob("jobs/front-0-*")
    folders = sorted(path.parent for path in grown.glob("*/network.safetensors"))
    kept = [load_network(each / "network.safetensors") for each in folders]
    shared.absorb(kept[0])
    for own, network in list(zip(folders, kept, strict=True))[1:]:  # of budgets that the compute can afford
        told = json.loads((own / "finetune.json").read_text())
        assert told["before"]["accuracy"] == pytest.approx(evaluate(shared, data.test, network.architecture).accuracy)
    tested = [evaluate(each, data.test).accuracy for each in kept]
    assert smaller["test"][0] == pytest.approx(tested[0])
    assert larger["test"][0] in map(pytest.approx, tested)


def test_differences_are_paired_by_seed(equal: Json) -> None:
    gains = []
    for row in equal["rows"]:
        known = {entry["name"]: np.array(entry["test"]) for entry in row["networks"]}
        hand = by_hand(row["networks"])["name"]
        pairs = [(WINNER, UNIFORM), (WINNER, hand), (WINNER, STOPPED), (ALONE, hand), (WINNER, SINGLE)]
        assert [(each["of"], each["minus"]) for each in row["differences"]] == pairs
        for each in row["differences"]:
            assert each["mean"]["value"] == pytest.approx(np.mean(known[each["of"]] - known[each["minus"]]))
        gains.append(known[WINNER] - known[UNIFORM])
    assert equal["gain"]["value"] == pytest.approx(np.mean(gains))


def test_hand_scaled_vits_have_the_proportions_of_deit(space: SearchSpace) -> None:
    for macs in (20_000, 40_000, 120_000):
        for name, vit in hand_scaled(space, {"macs": macs}).items():
            (heads,), (ratio,) = set(vit.num_heads), set(vit.mlp_ratio)
            assert (vit.embed_dim, ratio) == (4 * heads, 4)
            assert name == f"DeiT, patch {dict(vit.network)['patch_size']}"
            assert 0.4 * macs < space.macs(vit) <= macs
    wide = load_space("cifar10")
    shapes = {vit.embed_dim / vit.depth for vit in hand_scaled(wide, {"macs": 8_000_000}).values()}
    assert all(12 <= shape <= 40 for shape in shapes)


def test_the_largest_uniform_vit_is_a_member(space: SearchSpace) -> None:
    found = space.feasible(macs=40_000).largest_uniform()
    others = space.feasible(macs=40_000).uniform()
    assert found in others
    assert space.macs(found) == max(map(space.macs, others))
    skipping = load_space("cifar10")
    with pytest.raises(BudgetError, match=r"no uniform ViT of cifar10 meets macs <= .*; take a larger budget"):
        skipping.feasible(macs=skipping.macs(skipping.smallest)).largest_uniform()


@pytest.mark.parametrize("macs", [4e6, 5e7])
def test_early_stopping_stops_early_and_spends_no_more(
    net: Supernet, data: Dataset, plan: Plan, tmp_path: Path, macs: float
) -> None:
    """Also where a network that is not stopped has more epochs than rungs."""
    bench, budget = Bench(net, data, plan, tmp_path, "cpu"), {"macs": 9500}
    told = EarlyStopping(budget, {**plan.recipe, "batch_size": 4 if macs < 1e7 else 64}, macs, 1).run(bench, tmp_path)
    assert told["networks"] > 3, "three would have spent it all"
    assert 0.9 * macs <= told["macs"] <= 1.15 * macs
    assert net.space.macs(architecture(told)) <= 9500


# Fidelity, efficiency, images


def test_inherited_accuracy_is_that_of_the_supernet_on_test_images(
    found: Json, net: Supernet, data: Dataset, space: SearchSpace
) -> None:
    whole, band = found["pieces"]["fidelity"]["parts"]
    assert [len({architecture(row) for row in part["rows"]}) for part in (whole, band)] == [5, 3]
    for row in whole["rows"]:
        score = evaluate(net, data.test, architecture(row))
        assert row["inherited"] == pytest.approx(score.accuracy)
        assert row["ranking"] == pytest.approx(-score.loss, rel=1e-4)
        assert row["macs"] == space.macs(architecture(row)) <= 40_000
    assert all(36_000 <= row["macs"] <= 44_000 for row in band["rows"])


def test_the_range_is_spread_over_the_budgets(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    bench = Bench(net, data, plan, tmp_path)
    costs = [net.space.macs(each) for each in bench.spread(20, "range")]
    assert sum(cost <= 20_000 for cost in costs) == 10
    assert 10_000 <= min(costs) <= max(costs) <= 40_000
    assert bench.spread(8, "range") == bench.spread(20, "range")[:8]


def test_the_gap_is_paired_and_at_equal_epochs(found: Json, folder: Path) -> None:
    piece = found["pieces"]["fidelity"]
    rows = [row for row in piece["parts"][0]["rows"] if "long" in row]
    gaps = [row["long"] - row["inherited"] for row in rows]
    assert piece["gap"]["n"] == len(gaps) == 2
    assert piece["gap"]["mean"]["value"] == pytest.approx(np.mean(gaps))
    assert piece["epochs"] == {"supernet": 3.0, "retrained": 2.0}
    told = [json.loads(path.read_text()) for path in folder.glob("found/retrain-*.json")]
    assert {row["long"] for row in rows} <= {each["accuracy"] for each in told if each["epochs"] == 3}


def test_rank_correlations_are_scipys(found: Json) -> None:
    for part in found["pieces"]["fidelity"]["parts"]:
        for row in part["ranks"]:
            columns = [[each[name] for each in part["rows"]] for name in (row["of"], "retrained")]
            for name, function in (("kendall", stats.kendalltau), ("spearman", stats.spearmanr)):
                if min(map(np.ptp, columns)):
                    expected = function(*columns)
                    assert row[name]["value"] == pytest.approx(expected.statistic)
                    assert row[name]["p"] == pytest.approx(expected.pvalue)


def test_searches_are_counted_until_they_pass_the_best_of_many(found: Json) -> None:
    piece = found["pieces"]["efficiency"]
    assert [row["strategy"] for row in piece["rows"]] == ["thompson", "evolution", "random"]
    for row in piece["rows"]:
        for curve, count, target in zip(row["curves"], row["passed"], piece["targets"], strict=True):
            assert len(curve) == 6
            assert all(former <= latter for former, latter in pairwise(curve))
            better = [value > target for value in curve]
            assert count == (better.index(True) + 1 if any(better) else None)
    assert piece["rows"][2]["passed"] == [None, None], "fewer of the same random ones"


def test_more_images_rank_more_like_all(found: Json) -> None:
    piece = found["pieces"]["images"]
    assert [row["images"] for row in piece["rows"]] == [50]
    assert piece["full"] == 64
    assert -1 <= piece["rows"][0]["loss"]["low"] <= piece["rows"][0]["loss"]["high"] <= 1


# Stops, resumes, folders


def test_what_is_measured_is_not_measured_again(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path
) -> None:
    before = files(folder)
    again = diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False)
    assert again == found
    assert files(folder) == before


def test_a_killed_piece_goes_on(
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
    resumed = diagnose(net, data, only, tmp_path, device="cpu", progress=False)["pieces"]["fidelity"]
    assert kept.items() <= files(tmp_path).items()
    assert _untimed(resumed) == _untimed(found["pieces"]["fidelity"])


def test_a_stop_within_a_training_goes_on_from_its_last_epoch(
    found: Json, net: Supernet, data: Dataset, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(net, data, plan, tmp_path, "cpu")
    row = found["pieces"]["fidelity"]["parts"][0]["rows"][0]
    job = Alone(architecture(row), plan.recipe)
    train, begun = Trainer._epoch, list[int]()

    def stopping(loop: Trainer, epoch: int, log: Any) -> Any:
        begun.append(epoch)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train(loop, epoch, log)

    monkeypatch.setattr(Trainer, "_epoch", stopping)
    with pytest.raises(KeyboardInterrupt):
        done(bench, [job], workers=1, progress=False, what="")
    (told,) = done(bench, [job], workers=1, progress=False, what="")
    assert begun == [0, 1, 1]
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
    assert _untimed(two) == _untimed(found["pieces"])


def test_pieces_declare_the_sizes_that_they_read() -> None:
    for pieces, plan in ((diagnosis.PIECES, Plan), (PIECES, EqualComputePlan)):
        declared = {each.name for each in fields(plan)} - {"pieces"}
        assert {size for piece in pieces.values() for size in piece.sizes} == declared


def test_one_piece_alone_keeps_those_that_are_there(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path
) -> None:
    before = files(folder)
    only = replace(plan, pieces=("images",))
    assert diagnose(net, data, only, folder, file="supernet.safetensors", device="cpu", progress=False) == found
    fewer = diagnose(net, data, replace(only, band=0, pool=6), folder, device="cpu", progress=False)["pieces"]
    assert set(fewer) == {"images", "efficiency", "compute"}, "its band was another"
    assert fewer["images"]["architectures"] == 6
    assert files(folder) == before
    diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False)


def test_a_moved_folder_is_still_whole(
    found: Json, net: Supernet, data: Dataset, plan: Plan, folder: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    shutil.rmtree(moved / "pieces")
    before = files(moved)
    diagnose(net, data, replace(plan, pieces=("compute",)), moved, device="cpu", progress=False)
    assert files(moved) == before


def test_seconds_are_those_of_the_jobs(found: Json, folder: Path) -> None:
    told = {path.name: json.loads(path.read_text())["seconds"] for path in (folder / "found").iterdir()}
    assert all(seconds > 0 for seconds in told.values())
    searches = sum(seconds for name, seconds in told.items() if name.startswith(("evolution", "thompson", "random")))
    assert found["pieces"]["efficiency"]["seconds"] == pytest.approx(searches)


# Bad input


def test_a_supernet_that_does_not_count_its_compute(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    older = copy(net)
    older.metadata = {"training": {**net.metadata["training"], "macs": None}}
    for piece in ("fidelity", "compute"):
        with pytest.raises(DiagnosisError, match="does not say how much its training computed; train it with this"):
            diagnose(older, data, replace(plan, pieces=(piece,)), tmp_path, device="cpu", progress=False)


def test_budgets_that_do_not_fit(net: Supernet, data: Dataset, plan: EqualComputePlan, tmp_path: Path) -> None:
    narrow = replace(plan, budgets=({"macs": net.space.macs(net.space.smallest)},))
    with pytest.raises(DiagnosisError, match=r"too few architectures: \d+ were found instead of 5.*--architectures"):
        diagnose(net, data, narrow, tmp_path, device="cpu", progress=False)
    with pytest.raises(DiagnosisError, match="the budget macs >= 20000 has no upper bound"):
        diagnose(net, data, replace(plan, budgets=({"macs": (20_000, None)},)), tmp_path, device="cpu", progress=False)
    tiny = replace(plan, share=0.01, pieces=("compute",), seeds=1)
    with pytest.raises(RecipeError, match=r"the searches take all of the compute, .* multiply-accumulates; take more"):
        diagnose(net, data, tiny, tmp_path, device="cpu", progress=False)


def test_budgets_are_spread_up_to_the_largest_network(space: SearchSpace) -> None:
    for each in (space, load_space("cifar10")):
        bounds = [budget["macs"].high or 0 for budget in spread_budgets(each)]
        assert bounds[-1] == each.macs(each.largest)
        ratios = [latter / former for former, latter in pairwise(bounds)]
        assert ratios == pytest.approx([8**0.25] * 4, rel=1e-3)
    few = SearchSpace("few", embed_dim=16, depth=choice(2, 3), num_heads=4, mlp_ratio=4, **GEOMETRY)
    least, *_, most = (budget["macs"].high or 0 for budget in spread_budgets(few))
    assert (least, most) == (few.macs(few.smallest), few.macs(few.largest))
    one = SearchSpace("one", embed_dim=16, depth=2, num_heads=4, mlp_ratio=4, **GEOMETRY)
    assert [budget["macs"].high for budget in spread_budgets(one)] == [one.macs(one.largest)]


def test_images_of_another_space(net: Supernet, plan: Plan, tmp_path: Path) -> None:
    from nasformer.data import load_dataset

    with pytest.raises(DataError, match="image_size 8"):
        diagnose(net, load_dataset("digits"), plan, tmp_path, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": 2}, "architectures must be at least 3, got 2"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"share": 0}, "share must be above 0 and at most 10, got 0"),
        ({"long": 6}, "long is 6, of 5 architectures"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_a_plan_that_cannot_be(plan: Plan, change: Json, message: str) -> None:
    with pytest.raises(DiagnosisError, match=message):
        replace(plan, **change)


def test_a_piece_that_is_none(net: Supernet, data: Dataset, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(DiagnosisError, match="no piece 'fidelty'; did you mean 'fidelity'"):
        diagnose(net, data, replace(plan, pieces=("fidelty",)), tmp_path, progress=False)
    with pytest.raises(DiagnosisError, match="no piece 'compute'"):
        diagnosis.diagnose(net, data, plan, tmp_path, progress=False)


def test_a_plan_knows_a_recipe_that_is_none(plan: Plan) -> None:
    assert replace(plan, recipe={"learning_rate": 1e-4}).recipe["epochs"] > 0
    with pytest.raises(RecipeError, match="a recipe has no 'epoch'"):
        replace(plan, recipe={"epoch": 3})


def test_the_page_is_of_what_was_found(found: Json, equal: Json, tmp_path: Path) -> None:
    page = write_diagnosis_report(tmp_path, found, command="nasformer diagnose corners", pieces=PIECES).read_text()
    assert sum(page.count(f">{verdict}</td>") for verdict in ("holds", "does not hold", "not decided")) == 8
    for row in equal["rows"]:
        for entry in row["networks"]:
            assert f"{np.mean(entry['test']):.2f}\N{NO-BREAK SPACE}%" in page


def test_images_of_files_are_not_the_first_class_alone() -> None:
    """An image folder lies class by class."""
    labels = list(range(100))
    part = some(Subset(labels, labels), 4)  # type: ignore[arg-type]
    assert [part[place] for place in range(len(part))] == [0, 33, 66, 99]


def test_a_recipe_counts_seeds_from_its_own(recipe: Recipe) -> None:
    assert reseeded(recipe.replace(seed=7).to_dict(), 2).seed == 9


def test_chance_is_not_decided_by_a_bootstrap_of_few() -> None:
    perfect = ranks([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0])["kendall"]
    assert (perfect["low"], perfect["high"]) == (1, 1)
    assert perfect["p"] == pytest.approx(2 / 24)
