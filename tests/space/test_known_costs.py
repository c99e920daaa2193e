"""Costs beyond parameters and MACs: a space knows them, budgets bound them, searches record them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from nasformer.architecture import Architecture, Layer, uniform
from nasformer.cost import AdditiveCost, FunctionCost, Geometry, LatencyTable, Network
from nasformer.errors import BudgetError, RejectionError
from nasformer.search import BaseStrategy, SearchResult
from nasformer.searcher import Searcher
from nasformer.space import CountedSet, FilteredSet, SearchSpace, load_space


def table_of(space: SearchSpace) -> LatencyTable:
    """Microseconds that are no sums of genes, for every block of a space."""
    embeds, heads = ([int(value) for value in d] for d in (space.embed_dim, space.num_heads))
    layer = {
        (e, h, int(e * r)): e + 7 * h * h + int(e * r) // 3 for e in embeds for h in heads for r in space.mlp_ratio
    }
    return LatencyTable("a model", space.geometry, {e: 100 + e for e in embeds}, layer, repeats=30, spread=0.02)


@pytest.fixture(scope="module")
def timed(space: SearchSpace) -> SearchSpace:
    return space.with_cost(table_of(space).cost())


def heads_of(architecture: Architecture) -> int:
    return sum(architecture.num_heads)


def test_a_search_may_be_given_a_grid(timed: SearchSpace) -> None:
    searcher = Searcher(timed, "random", fitness=lambda a: a.depth)
    result = searcher.run(budget={"latency_ms": 0.3}, evaluations=99, resolution={"latency_ms": 0.02}, progress=False)
    assert 0 < result.feasible < timed.feasible(latency_ms=0.3).count()
    assert all(trial.costs["latency_ms"] <= 0.3 for trial in result.trials)
    assert result.settings["resolution"] == {"latency_ms": 0.02}


def test_a_latency_table_bounds_a_search_in_milliseconds(timed: SearchSpace) -> None:
    table = table_of(timed)
    everything = timed.decode(timed.feasible().codes())
    for limit in (0.3, 0.2915, (0.25, 0.3), "0.25:0.3"):
        low, high = (0.25, 0.3) if limit not in (0.3, 0.2915) else (0, limit)
        feasible = timed.feasible(latency_ms=limit)
        assert isinstance(feasible, CountedSet)
        wanted = {a for a in everything if low * 1000 <= table.predict(a) <= high * 1000}
        assert set(timed.decode(feasible.codes())) == wanted
        least, most = feasible.bounds("latency_ms")
        assert (least, most) == (min(map(table.predict, wanted)) / 1000, max(map(table.predict, wanted)) / 1000)
    assert timed.costs(timed.smallest)["latency_ms"] == table.predict(timed.smallest) / 1000
    with pytest.raises(BudgetError, match=r"has latency_ms <= 0\.001; the nearest reachable latency_ms is 0\.[0-9]+ "):
        timed.feasible(latency_ms=0.001)


def test_a_known_cost_is_no_part_of_the_declaration(space: SearchSpace, timed: SearchSpace) -> None:
    assert timed == space
    assert (timed.fingerprint, timed.to_dict(), hash(timed)) == (space.fingerprint, space.to_dict(), hash(space))
    assert list(space.known_costs) == ["params", "macs"]
    copy = pickle.loads(pickle.dumps(timed))
    assert [cost.identity for cost in copy.known_costs.values()] == ["", "", table_of(space).identity]
    assert copy.feasible(latency_ms=0.3).count() == timed.feasible(latency_ms=0.3).count()
    with pytest.raises(BudgetError, match="unknown cost 'latency_ms' in the budget; known: macs, params"):
        space.feasible(latency_ms=0.3)


def test_a_search_records_the_cost_and_which_it_was(timed: SearchSpace, tmp_path: Path) -> None:
    searcher = Searcher(timed, "random", fitness=lambda a: a.depth)
    result = searcher.run(budget={"latency_ms": 0.3}, evaluations=10, progress=False)
    assert all(trial.costs["latency_ms"] <= 0.3 for trial in result.trials)
    assert result.settings["costs"] == {"latency_ms": table_of(timed).identity}
    assert result.settings["limits"] == "latency_ms <= 0.3"
    assert result.feasible == timed.feasible(latency_ms=0.3).count()
    read = SearchResult.load(result.save(tmp_path / "result.jsonl"))
    assert (read.limits, read.trials) == (result.limits, result.trials)
    plain = searcher.run(budget="params <= 3K", evaluations=3, progress=False)
    assert "costs" not in plain.settings


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (FunctionCost("params", heads_of), "the name 'params' of a cost is taken; give it another"),
        (FunctionCost("resolution", heads_of), "the name 'resolution' of a cost is taken"),
        (
            FunctionCost("two words", heads_of),
            "the name of a cost is one word of letters, digits and _, got 'two words'",
        ),
        (heads_of, "a cost is an AdditiveCost or a FunctionCost, got <function"),
        (
            AdditiveCost("half", lambda _: 0, lambda _, layer: layer.num_heads / 2),  # type: ignore[arg-type, return-value]
            r"cost 'half' must be a whole number of counts, got 0\.5; give it a finer scale",
        ),
        (
            LatencyTable("a model", Geometry(), {8: 1}, {(8, 1, 8): 1}).cost(),
            "the latency table of 'a model' was measured for Geometry",
        ),
    ],
)
def test_what_cannot_be_known_is_refused_at_once(space: SearchSpace, cost: FunctionCost, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        space.with_cost(cost)


def test_a_table_that_lacks_a_block_names_it(space: SearchSpace) -> None:
    whole = table_of(space)
    part = LatencyTable("a model", space.geometry, whole.stem, {k: v for k, v in whole.layer.items() if k[1] < 3})
    with pytest.raises(BudgetError, match="lacks the layer of embed_dim 8, num_heads 3, hidden_dim 8; measure it"):
        space.with_cost(part.cost())


# Costs that are no sums


def test_a_function_bounds_by_rejection_and_counts(space: SearchSpace) -> None:
    asked: list[Architecture] = []

    def heads(architecture: Architecture) -> int:
        asked.append(architecture)
        return heads_of(architecture)

    known = space.with_cost(FunctionCost("heads", heads))
    feasible = known.feasible(params=3000, heads=(3, 4))
    assert isinstance(feasible, FilteredSet)
    assert all(3 <= heads_of(a) <= 4 and known.params(a) <= 3000 for a in feasible.sample(500))
    assert 0 < feasible.rejections < feasible.asked
    assert len(asked) == len(set(asked)), "a cost is asked once for each architecture"
    assert feasible.at_most() == known.feasible(params=3000).count()
    assert feasible.count() == feasible.at_most() == len(set(feasible.sample(2000)))
    assert feasible.limits == {"params": (None, 3000), "heads": (3, 4)}
    assert feasible.describe() == "params <= 3000 and 3.0 <= heads <= 4.0"


def test_nothing_found_is_an_error_at_once(space: SearchSpace) -> None:
    with pytest.raises(BudgetError, match=r"none of 84 architectures has heads >= 7\.0"):
        space.with_cost(FunctionCost("heads", heads_of)).feasible(heads=(7, None))
    large = load_space("autoformer-small").with_cost(FunctionCost("heads", heads_of))
    with pytest.raises(RejectionError, match=r"1,000 .* in a row are outside heads <= 9\.0 \(1,000 of 1,000"):
        large.feasible(params=(18e6, 23e6), heads=9)


def test_what_a_large_set_cannot_tell_it_refuses(space: SearchSpace) -> None:
    known = load_space("autoformer-tiny").with_cost(FunctionCost("heads", heads_of))
    feasible = known.feasible(params=(5e6, 6e6), heads=(None, 40))
    assert not feasible.countable
    assert feasible.at_most() == 14_475_214
    assert "at most 14,475,214 of 1,056,964,608" in repr(feasible)
    for question in (feasible.count, feasible.codes, lambda: feasible.bounds("heads")):
        with pytest.raises(BudgetError, match=r"14,475,214 architectures are too many to evaluate heads on all"):
            question()
    best = feasible.argmax({"depth": {13: 1.0}, "layers": [{"num_heads": {4: 0.5}}]})
    assert (best.depth, best.num_heads[0], best in feasible) == (13, 4, True)
    assert all(a in feasible for a in feasible.sample(20, fixed={"num_heads": {0: 4}}))
    repaired = feasible.repair(uniform(216, 12, 4, 4))
    assert repaired in feasible


def test_a_search_within_a_function_ends_when_nothing_else_is_found(
    space: SearchSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Draws(BaseStrategy):
        def propose(self) -> Architecture:
            return self.draw()

    monkeypatch.setattr("nasformer.space.filtered.MAX_LISTED", 10)
    searcher = Searcher(space.with_cost(FunctionCost("heads", heads_of)), Draws, fitness=lambda a: a.depth)
    result = searcher.run(budget={"params": 4000, "heads": (3, 3)}, evaluations=99, progress=False)
    wanted = {a for a in space.decode(space.feasible(params=4000).codes()) if heads_of(a) == 3}
    assert len(result.trials) == len(wanted)
    assert {trial.architecture for trial in result.trials} == wanted
    assert (result.stopped, result.feasible) == ("exhausted", 0)
    with pytest.raises(RejectionError, match=r"1,000 architectures in a row are outside heads >= 9\.0"):
        searcher.run(budget={"heads": (9, None)}, evaluations=5, progress=False)


@pytest.mark.parametrize("value", [float("nan"), "fast", None])
def test_a_function_that_gives_no_number_is_named(space: SearchSpace, value: object) -> None:
    known = space.with_cost(FunctionCost("speed", lambda _: value))  # type: ignore[arg-type, return-value]
    with pytest.raises(BudgetError, match=f"cost 'speed' must be a finite number, got {value!r} of embed"):
        known.feasible(speed=3)


@pytest.mark.parametrize("strategy", ["thompson", "nevergrad:DE", "local-search", "optuna:RandomSampler"])
def test_a_search_goes_on_where_a_proposal_finds_nothing_inside(strategy: str) -> None:
    known = load_space("autoformer-tiny").with_cost(FunctionCost("heads", heads_of))
    searcher = Searcher(known, strategy, fitness=heads_of)
    result = searcher.run(budget={"params": (5e6, 6e6), "heads": 39}, evaluations=25, progress=False)
    assert (len(result.trials), result.stopped) == (25, "evaluations")


def test_a_function_that_raises_is_one_line(space: SearchSpace) -> None:
    broken = space.with_cost(FunctionCost("broken", lambda architecture: 1 // 0))
    with pytest.raises(BudgetError, match=r"cost 'broken' of .* failed: ZeroDivisionError"):
        broken.feasible(broken=3).sample(1)


def test_two_costs_of_one_name_are_refused(space: SearchSpace) -> None:
    with pytest.raises(BudgetError, match="the name 'heads' of a cost is taken"):
        space.with_cost(FunctionCost("heads", heads_of), FunctionCost("heads", lambda a: a.depth))


@pytest.mark.parametrize(
    ("resolution", "words"),
    [
        (5, r"resolution is a grid by cost, as \{'macs': 1e6\}, got 5"),
        ({"params": 1e30}, r"the resolution of params is a number above 0 and below 1e15, got 1e\+30"),
    ],
)
def test_a_resolution_that_is_no_grid_is_refused(space: SearchSpace, resolution: object, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        space.feasible(params=3000, resolution=resolution)


def stem_of_numbers(geometry: Geometry, embed_dim: int) -> int:
    return embed_dim + geometry.patches


def layer_of_numbers(geometry: Geometry, embed_dim: int, num_heads: int, hidden_dim: int) -> int:
    return embed_dim * num_heads + hidden_dim


def test_costs_of_four_numbers_are_read_with_a_warning(space: SearchSpace) -> None:
    with pytest.warns(DeprecationWarning, match=r"AdditiveCost 'old': .* is now called with \(network"):
        old = AdditiveCost("old", stem_of_numbers, layer_of_numbers)  # type: ignore[arg-type]
    known = pickle.loads(pickle.dumps(space.with_cost(old)))
    for architecture in space.sample(5, seed=1):
        layers = zip(architecture.num_heads, architecture.hidden_dims, strict=True)
        width = architecture.embed_dim
        assert known.costs(architecture)["old"] == width + 4 + sum(width * heads + hidden for heads, hidden in layers)


def test_costs_with_defaults_are_not_taken_for_those_of_four_numbers(space: SearchSpace) -> None:
    def stem(network: Network, factor: int = 2) -> int:
        return factor * network.embed_dim

    def layer(network: Network, own: Layer, one: int = 1, two: int = 2) -> int:
        return own.num_heads + one + two

    assert space.with_cost(AdditiveCost("new", stem, layer)).costs(space.smallest)["new"] == 2 * 8 + 1 + 3
    assert AdditiveCost("odd", max, max).stem is max  # type: ignore[arg-type]  # no signature to read
