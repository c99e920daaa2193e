"""SurrogateFitness: the published one as it stands, a fit that predicts what it has not seen, and its exact optimum."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness import SurrogateFitness, TableFitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space


@pytest.fixture(params=["tiny", "small"])
def family(request: pytest.FixtureRequest, reference: Path) -> tuple[str, Path]:
    folder = reference / "imagenet-inherited"
    if not (folder / f"surrogate_{request.param}.json").exists():
        pytest.skip(f"no {folder}")
    return request.param, folder


def values(fitness: Any, architectures: list[Architecture]) -> list[float]:
    return [evaluation.value for evaluation in fitness.evaluate(architectures)]


def test_the_published_surrogate_is_the_sum_of_its_terms(family: tuple[str, Path]) -> None:
    name, folder = family
    path = folder / f"surrogate_{name}.json"
    surrogate, table, data = (
        SurrogateFitness.load(path),
        TableFitness(folder / f"{name}.jsonl"),
        json.loads(path.read_text()),
    )

    def by_hand(a: Architecture) -> float:
        total = data["intercept"] + data["embed_dim"][str(a.embed_dim)] + data["depth"][str(a.depth)]
        for layer, heads, ratio in zip(data["layers"], a.num_heads, a.mlp_ratio, strict=False):
            ratios = {float(key): effect for key, effect in layer["mlp_ratio"].items()}
            total += layer["num_heads"][str(heads)] + ratios[ratio]
        return float(total)

    predicted = values(surrogate, table.architectures)
    assert predicted == pytest.approx([by_hand(a) for a in table.architectures], abs=1e-9)
    assert kendalltau(predicted, values(table, table.architectures)).statistic > 0.8


def test_the_published_optimum_is_found(family: tuple[str, Path]) -> None:
    name, folder = family
    data = json.loads((folder / f"surrogate_{name}.json").read_text())
    surrogate = SurrogateFitness.load(folder / f"surrogate_{name}.json")
    space = load_space(f"autoformer-{name}")
    feasible = space.feasible(params=data["params_limits"])
    surrogate.check(feasible)
    assert feasible.count() == data["feasible_architectures"]
    best, optimum = feasible.argmax(surrogate.scores), data["exact_optimum"]
    assert (best.embed_dim, best.depth) == (optimum["embed_dim"], optimum["depth"])
    assert space.params(best) == optimum["params"]
    assert values(surrogate, [best])[0] == pytest.approx(optimum["top1"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["tiny", "small"], indirect=True)
def test_a_fit_of_real_accuracies_predicts_what_it_has_not_seen(family: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = family
    table = TableFitness(folder / f"{name}.jsonl")
    surrogate = SurrogateFitness.fit(table)
    assert surrogate.quality["kendall_tau"] > 0.8
    assert surrogate.quality["r2"] > 0.95
    half = tmp_path / "half.jsonl"
    lines = (folder / f"{name}.jsonl").read_text().splitlines(keepends=True)
    half.write_text("".join(lines[::2]))
    unseen = [a for a in table.architectures if a not in set(TableFitness(half).architectures)]
    predicted = values(SurrogateFitness.fit(half, folds=2), unseen)
    assert kendalltau(predicted, values(table, unseen)).statistic > 0.8


def test_a_surrogate_comes_back_from_its_file_as_it_was(table: Path, tmp_path: Path) -> None:
    surrogate = SurrogateFitness.fit(table)
    surrogate.save(tmp_path / "surrogate.json")
    again = SurrogateFitness.load(tmp_path / "surrogate.json")
    assert (again.intercept, again.scores, again.quality) == (surrogate.intercept, surrogate.scores, surrogate.quality)
    assert again.describe() == surrogate.describe()
    archs = TableFitness(table).architectures
    assert values(again, archs) == values(surrogate, archs)


@pytest.mark.parametrize("budget", [None, 40e3, (60e3, 80e3)])
def test_the_optimum_of_an_additive_table_is_recovered(
    budget: Any, table: Path, space: SearchSpace, additive: Callable[[Architecture], float]
) -> None:
    surrogate = SurrogateFitness.fit(table)
    assert surrogate.quality["r2"] > 0.999
    feasible = space.feasible(params=budget)
    everything = space.decode(feasible.codes())
    truth = np.array([additive(a) for a in everything])
    predicted = values(surrogate, everything)
    np.testing.assert_allclose(predicted, truth, atol=0.3)
    best = feasible.argmax(surrogate.scores)
    assert values(surrogate, [best])[0] == pytest.approx(max(predicted), abs=1e-9)
    assert additive(best) == truth.max()


def test_an_unknown_width_is_refused_before_the_search(reference: Path) -> None:
    surrogate = SurrogateFitness.load(reference / "imagenet-inherited" / "surrogate_tiny.json")
    message = "the surrogate does not know embed_dim = 240, which the budget allows; it knows 192, 216"
    searcher = Searcher("autoformer-tiny", "random", surrogate)
    with pytest.raises(FitnessError, match=message):
        searcher.run(9e6, evaluations=3, progress=False)
    assert searcher.run((5e6, 6e6), evaluations=3, max_failures=0, progress=False).best.fitness > 50


def test_every_unknown_choice_is_named(table: Path, space: SearchSpace) -> None:
    full = SurrogateFitness.fit(table)
    layers = full.layers

    def lacking(**changes: Any) -> SurrogateFitness:
        terms = {"embed_dim": full.network["embed_dim"], "depth": full.network["depth"], "layers": layers, **changes}
        return SurrogateFitness(full.intercept, **terms)

    three_layers = lacking(layers=layers[:3])
    no_heads = lacking(layers=[*layers[:2], {**layers[2], "num_heads": {2: 0.0, 3: 0.0}}, layers[3]])
    no_depth = lacking(depth={2: 0.0, 4: 1.0})
    cases = {
        three_layers: ("knows 3 layers, but depth 4", "depth 4"),
        no_heads: ("num_heads of layer 2 = 4", "num_heads 4 of layer 2"),
        no_depth: ("depth = 3", None),
    }
    for surrogate, (refusal, error) in cases.items():
        with pytest.raises(FitnessError, match=refusal):
            surrogate.check(space.feasible())
        (evaluation,) = surrogate.evaluate([space.largest])
        assert evaluation.error == (error and f"the surrogate does not know {error}")
    full.check(space.feasible())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not an additive surrogate"),
        ("[1]", "is not an additive surrogate"),
        ('{"intercept": 1, "embed_dim": {}, "depth": {}}', "it lacks 'layers'"),
        ('{"intercept": 1, "embed_dim": {"wide": 1}, "depth": {}, "layers": []}', "'wide'"),
        ('{"intercept": 1, "embed_dim": {}, "depth": {}, "layers": [{"num_heads": {}}]}', "it lacks 'mlp_ratio'"),
        ('{"intercept": null, "embed_dim": {}, "depth": {}, "layers": []}', "NoneType"),
        ('{"intercept": NaN, "embed_dim": {}, "depth": {}, "layers": []}', "nan"),
    ],
)
def test_a_file_that_is_no_surrogate_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(FitnessError, match=rf"s\.json' is not an additive surrogate.*{message}|{message}"):
        SurrogateFitness.load(path)


def test_the_stated_error_is_that_of_rows_held_out(
    space: SearchSpace, additive: Callable[[Architecture], float], tmp_path: Path
) -> None:
    """Of an additive table with Gaussian noise of 2 no model errs less than 2 on what it has not seen."""
    rng, drawn = np.random.default_rng(0), list(dict.fromkeys(space.sample(900, seed=5)))
    path = tmp_path / "noisy.jsonl"
    rows = [{**a.to_dict(), "top1": additive(a) + 2 * rng.standard_normal()} for a in drawn]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    quality = SurrogateFitness.fit(path).quality
    assert quality["rmse"] == pytest.approx(2, abs=0.2)
    assert quality["mae"] == pytest.approx(2 * np.sqrt(2 / np.pi), abs=0.2)
    spread = np.std([row["top1"] for row in rows])
    assert quality["r2"] == pytest.approx(1 - (quality["rmse"] / spread) ** 2)


@pytest.mark.parametrize("budget", [None, 40e3, (60e3, 80e3)])
def test_the_stated_optimum_is_the_highest_of_all(budget: Any, table: Path, space: SearchSpace) -> None:
    surrogate, feasible = SurrogateFitness.fit(table), space.feasible(params=budget)
    assert surrogate.optimum(feasible) == pytest.approx(max(values(surrogate, space.decode(feasible.codes()))))
    assert surrogate.true_value(space.largest) == values(surrogate, [space.largest])[0]


def test_the_optimum_is_that_of_the_space_though_more_is_known(table: Path) -> None:
    """A table may come from a larger space; what the searched one lacks must not be its optimum."""
    surrogate = SurrogateFitness.fit(table)
    fewer = {"name": "part", "embed_dim": {"choice": [32, 64]}, "depth": {"choice": [2, 3]}}
    part = SearchSpace.from_dict({**load_space("digits").to_dict(), **fewer})
    feasible = part.feasible()
    surrogate.check(feasible)
    assert surrogate.optimum(feasible) == pytest.approx(max(values(surrogate, part.decode(feasible.codes()))))
    with pytest.raises(FitnessError, match=r"does not know depth = 4"):
        SurrogateFitness(0.0, surrogate.network["embed_dim"], {2: 0.0, 3: 0.0}, surrogate.layers).optimum(
            load_space("digits").feasible()
        )


def test_too_few_rows_are_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "few.jsonl").write_text("".join(table.read_text().splitlines(keepends=True)[:7]))
    with pytest.raises(FitnessError, match=r"few\.jsonl has 7 rows, too few for 10 folds"):
        SurrogateFitness.fit(tmp_path / "few.jsonl")


def test_two_surrogates_are_told_apart(table: Path) -> None:
    """Else a study would go on with the values of both."""
    one = SurrogateFitness.fit(table)
    other = SurrogateFitness(
        one.intercept, {**one.network["embed_dim"], 48: 99.0}, one.network["depth"], one.layers, one.quality
    )
    assert one.describe() != other.describe()


def test_a_surrogate_of_more_dimensions_is_refused_before_the_search(
    table: Path, space: SearchSpace, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    more = [{**row, "patch_size": size, "top1": row["top1"] + size} for row in rows for size in (1, 2)]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in more))
    SurrogateFitness.fit(tmp_path / "more.jsonl").save(tmp_path / "more.json")
    surrogate = SurrogateFitness.load(tmp_path / "more.json")
    assert surrogate.patch_size[2] > surrogate.patch_size[1]
    with pytest.raises(
        FitnessError, match="the surrogate has terms of patch_size, which space 'digits' does not search"
    ):
        surrogate.check(space.feasible())
    wider = SearchSpace.from_dict({**space.to_dict(), "patch_size": {"choice": [1, 2]}})
    surrogate.check(wider.feasible())
    assert surrogate.optimum(wider.feasible()) == pytest.approx(
        surrogate.true_value(wider.feasible().argmax(surrogate.scores))
    )
    text = (tmp_path / "more.json").read_text().replace("patch_size", "z_elsewhere")
    (tmp_path / "more.json").write_text(text)
    with pytest.raises(FitnessError, match="unknown dimension 'z_elsewhere'"):
        SurrogateFitness.load(tmp_path / "more.json")
