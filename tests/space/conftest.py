"""Random spaces small enough that brute force lists them, budgets for them, and every kind of set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, Layer
from nasformer.cost import AdditiveCost, Bounds, FunctionCost, Limits, Network
from nasformer.dimension import Choices, Kind, choice, per_layer, register
from nasformer.space import CountedSet, EnumeratedSet, FeasibleSet, SearchSpace, bounded

SMALL: dict[str, Any] = {
    "name": "x",
    "embed_dim": {"choice": [32, 64]},
    "depth": {"choice": [1, 2]},
    "num_heads": {"per_layer": [1, 2]},
    "mlp_ratio": {"per_layer": [1, 2.5]},
    "head_dim": 16,
    "image_size": 8,
    "patch_size": 2,
    "in_channels": 1,
    "num_classes": 10,
    "pooling": "mean",
    "max_distance": 3,
    "supernet": {"embed_dim": 80, "mlp_ratio": 3},
    "constraints": "20K <= params <= 90K and macs < 2M",
}


def _values(options: list[float], most: int) -> SearchStrategy[list[float]]:
    return st.lists(st.sampled_from(options), min_size=1, max_size=most, unique=True)


def _odd(network: Network, layer: Layer) -> int:
    sizes = 3 * network.embed_dim + layer.num_heads**2 * layer.hidden_dim + network.geometry.patch_size
    further = sum((index + 2) * int(value) for index, (_, value) in enumerate(layer.further))
    return (sizes + further) % 11


ODD = AdditiveCost("odd", lambda network: network.embed_dim % 5, _odd, scale=10)
"""A cost in tenths whose layers are no sums over dimensions."""

COUPLED = register(
    Kind("z_coupled", "layer", least=0, costs={"params": lambda _, layer: 3 * layer.num_heads * layer.z_coupled**2})
)
APART = register(Kind("z_apart", "layer", costs={"params": lambda _, layer: 7 * layer.z_apart}))
WHOLE = register(Kind("z_whole", "network", costs={"macs": lambda network: 11 * network.z_whole}))
"""Dimensions from outside: one whose cost depends on the heads, one whose cost is apart, and one of the network."""

FURTHER: dict[str, Any] = {
    "z_coupled": (0, 1, 4),
    "z_apart": (1, 2),
    "z_whole": (1, 5),
    "patch_size": (1, 2, 3),
    "image_size": (6, 12),
}


@st.composite
def _spaces(draw: st.DrawFn) -> SearchSpace:
    further = draw(st.lists(st.sampled_from(list(FURTHER)), max_size=2, unique=True))
    few = 2 if further else 3  # values of each dimension, so that brute force stays short

    def layers(options: list[float], most: int) -> Choices:
        values = draw(_values(options, most).filter(lambda values: values != [0]))
        return draw(st.sampled_from([choice, per_layer, per_layer]))(*values)

    sizes: dict[str, Any] = {"image_size": 6, "patch_size": draw(st.sampled_from([2, 3]))}
    for name in further:
        values = draw(st.lists(st.sampled_from(FURTHER[name]), min_size=2, max_size=2, unique=True))
        sizes[name] = (per_layer if name in ("z_coupled", "z_apart") else choice)(*values)
    space = SearchSpace(
        "random",
        embed_dim=choice(*draw(_values([4, 6, 8, 20], few))),
        depth=choice(*draw(_values([1, 2] if further else [1, 2, 3], 2))),
        num_heads=layers([0, 1, 2, 3, 5], few),
        mlp_ratio=layers([0, 0.5, 1.0, 1.75, 4.0], 2),
        head_dim=draw(st.sampled_from([1, 4])),
        in_channels=draw(st.integers(1, 3)),
        num_classes=draw(st.integers(1, 9)),
        max_distance=draw(st.none() | st.integers(1, 3)),
        pooling=draw(st.sampled_from(["mean", "cls"])),
        **sizes,
    )
    return space.with_cost(ODD)


@pytest.fixture(scope="session")
def small_spaces() -> SearchStrategy[SearchSpace]:
    """At most 5,000 architectures each, of free, shared and fixed dimensions, of layers that skip, and further ones."""
    return _spaces()


@pytest.fixture(scope="session")
def brute_force() -> Callable[[SearchSpace], list[Architecture]]:
    """Every architecture of a space, by its declaration alone."""

    def listed(choices: Choices, depth: int) -> list[tuple[float, ...]]:
        shared = isinstance(choices, choice)
        return [(v,) * depth for v in choices] if shared else list(product(choices, repeat=depth))

    def everything(space: SearchSpace) -> list[Architecture]:
        found: list[Architecture] = []
        declared: dict[str, Any] = {key: value for key, value in vars(space).items() if isinstance(value, Choices)}
        for depth in map(int, declared.pop("depth")):
            of_layers = ("num_heads", "mlp_ratio", "z_coupled", "z_apart")
            options: list[Any] = [
                listed(own, depth) if key in of_layers else list(own) for key, own in declared.items()
            ]
            found += [Architecture(**dict(zip(declared, values, strict=True))) for values in product(*options)]
        return found

    return everything


Make = Callable[[SearchSpace, Iterable[Architecture], Limits], FeasibleSet]


def _asked(space: SearchSpace, _: Iterable[Architecture], limits: Limits) -> FeasibleSet:
    """The same limits, on costs that must be asked for one architecture at a time."""

    def cost(name: str) -> FunctionCost:
        return FunctionCost(f"asked_{name}", lambda architecture: space.codec.cost(name, architecture))

    costs = [cost(name) for name in limits] or [FunctionCost("none", lambda _: 0)]
    asked = {f"asked_{name}": bounds for name, bounds in limits.items()} or {"none": Bounds(None, 0)}
    return bounded(space.with_cost(*costs), asked)


_MAKERS: dict[str, Make] = {
    "counted": lambda space, _, limits: CountedSet(space, limits),
    "enumerated": EnumeratedSet,
    "filtered": _asked,
}


@pytest.fixture(scope="session", params=list(_MAKERS.values()), ids=list(_MAKERS))
def make(request: pytest.FixtureRequest) -> Make:
    """Each kind of feasible set, by the function that makes it of a space, its architectures and limits."""
    maker: Make = request.param
    return maker


@st.composite
def _limits(draw: st.DrawFn, space: SearchSpace, everything: Sequence[Architecture]) -> Limits:
    def bounds(cost: str) -> Bounds:
        costs = sorted({space.codec.cost(cost, architecture) for architecture in everything})
        steps = [0.0, 0.1, -0.1, 0.0] if cost == "odd" else [-1, 0, 0, 1]
        ends = sorted(round(draw(st.sampled_from(costs)) + draw(st.sampled_from(steps)), 1) for _ in range(2))
        return draw(
            st.sampled_from([Bounds(*ends), Bounds(None, ends[1]), Bounds(ends[0], None), Bounds(None, ends[0])])
        )

    alone, together = [["params"], ["macs"], ["odd"]], [["params", "macs"], ["macs", "params"], ["odd", "params"]]
    names = draw(st.sampled_from([*alone, *together, []]))
    return {name: bounds(name) for name in names}


@pytest.fixture(scope="session")
def limits_of() -> Callable[[SearchSpace, Sequence[Architecture]], SearchStrategy[Limits]]:
    """Bounds on one cost, on both or on none, that often hit a reachable cost exactly."""
    return _limits


@pytest.fixture(scope="session")
def within() -> Callable[[SearchSpace, Iterable[Architecture], Limits], list[Architecture]]:
    """Those of some architectures that are within limits, by the costs alone."""

    def holds(bounds: Bounds, cost: float) -> bool:
        return (bounds.low is None or bounds.low <= cost) and (bounds.high is None or cost <= bounds.high)

    return lambda space, everything, limits: [
        a for a in everything if all(holds(bounds, space.codec.cost(name, a)) for name, bounds in limits.items())
    ]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Both layer dimensions free; 2 · (6 + 36) architectures."""
    return SearchSpace(
        "small",
        embed_dim=choice(8, 16),
        depth=choice(1, 2),
        num_heads=per_layer(1, 2, 3),
        mlp_ratio=per_layer(1, 2),
        head_dim=4,
        image_size=4,
        patch_size=2,
        num_classes=10,
        max_distance=None,
    )
