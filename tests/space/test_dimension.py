"""Dimensions: sorted, frozen values, and the paper's (low, high, step) exactly."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture, Layer
from nasformer.cost import Geometry, Network
from nasformer.dimension import Choices, Dimension, Kind, as_choices, choice, kind_names, kind_of, per_layer, register
from nasformer.errors import SpaceError
from nasformer.space import SearchSpace

VALUES = st.lists(st.integers(1, 10**6) | st.floats(0.01, 1e6), min_size=1, max_size=9, unique=True)


@given(VALUES, st.sampled_from([choice, per_layer]))
def test_it_is_a_sorted_value_with_one_identity(values: list[float], kind: type[Choices]) -> None:
    dimension = kind(*values)
    assert list(dimension) == sorted(values)
    assert len(dimension) == len(values)
    copies = [
        kind(*reversed(values)),
        pickle.loads(pickle.dumps(dimension)),
        eval(repr(dimension), {"choice": choice, "per_layer": per_layer}),
        as_choices("mlp_ratio", dimension.to_dict()),
    ]
    assert all(copy == dimension and hash(copy) == hash(dimension) for copy in copies)
    assert all(value in dimension for value in values)
    assert -1 not in dimension


def test_kinds_differ() -> None:
    assert choice(1, 2) != per_layer(1, 2)
    assert choice(1, 2) != (1, 2)
    assert len({choice(1, 2), per_layer(1, 2), choice(2, 1)}) == 2


@given(st.integers(1, 500), st.integers(1, 40), st.integers(0, 30), st.sampled_from([1, 10, 100]))
def test_a_range_ends_where_it_says(low: int, step: int, count: int, scale: int) -> None:
    high = low + step * count
    wanted = [Fraction(low + step * index, scale) for index in range(count + 1)]
    got = choice.range(low / scale, high / scale, step=step / scale)
    assert [Fraction(str(value)) for value in got] == wanted
    short = per_layer.range(low / scale, (high + step - 1) / scale, step=step / scale)  # the end need not be hit
    assert short.values == got.values


def test_a_range_keeps_the_kind_of_number() -> None:
    assert repr(choice.range(192, 240, step=24)) == "choice(192, 216, 240)"
    assert repr(per_layer.range(3.0, 4, step=0.5)) == "per_layer(3.0, 3.5, 4.0)"
    assert repr(per_layer.range(0.1, 0.5, step=0.1)) == "per_layer(0.1, 0.2, 0.3, 0.4, 0.5)"


def test_it_is_frozen() -> None:
    with pytest.raises(AttributeError, match=r"choice\(1, 2\) is frozen"):
        choice(1, 2).values = (3,)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((), r"choice\(\) is empty; list at least one value"),
        ((1, -0.5), r"choice\(1, -0.5\) holds -0.5; every value is a number from 0 to 1,000,000,000"),
        ((-1,), "holds -1"),
        ((float("nan"),), "holds nan"),
        ((float("inf"),), "holds inf"),
        ((1, True), "holds True"),
        (("3",), "holds '3'"),
        ((None,), "holds None"),
        (([1],), r"holds \[1\]"),
        ((1, 2, 1.0), r"choice\(1, 2, 1.0\) lists a value twice"),
    ],
)
def test_what_is_no_list_of_sizes_is_refused(values: tuple[Any, ...], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        choice(*values)


@pytest.mark.parametrize(
    ("low", "high", "step", "words"),
    [
        (5, 3, 1, r"range\(5, 3, step=1\) is empty"),
        (1, 3, 0, r"range\(1, 3, step=0\) is empty"),
        (1, 3, -1, r"range\(1, 3, step=-1\) is empty"),
        (-1, 3, 1, "holds -1"),
        (None, 3, 1, "None"),
        (1, float("inf"), 1, "inf"),
        (1, float("nan"), 1, "nan"),
        (1, 3, float("nan"), "nan"),
        (True, 3, 1, "True"),
        ("1", 3, 1, "'1'"),
        (1, [3], 1, r"\[3\]"),
    ],
)
def test_what_is_no_range_is_refused(low: Any, high: Any, step: Any, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        choice.range(low, high, step)


def test_numbers_of_any_kind_become_plain() -> None:
    assert repr(as_choices("embed_dim", choice(np.float64(8), 4.0))) == "choice(4, 8)"
    assert repr(as_choices("mlp_ratio", per_layer(np.float64(3.5), 4))) == "per_layer(3.5, 4.0)"
    assert as_choices("num_heads", 3) == choice(3)


@pytest.mark.parametrize(
    ("name", "scope", "values", "words"),
    [
        ("num_heads", "block", (1,), "dimension 'num_heads' has the scope 'block'; known: layer, network"),
        ("num_heads", "network", (1,), "num_heads is a dimension of the layer, not of the network"),
        ("num_head", "layer", (1,), "unknown dimension 'num_head'; did you mean 'num_heads'"),
        ("num_heads", "layer", (1.5,), "num_heads must be a whole number of at least 0, 1,000,000 at most, got 1.5"),
        ("embed_dim", "network", (0,), "embed_dim must be a whole number of at least 1, .*, got 0"),
    ],
)
def test_what_is_no_dimension_is_refused(name: str, scope: Any, values: tuple[float, ...], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        Dimension(name, scope, values)


def test_two_dimensions_of_one_name_are_refused() -> None:
    with pytest.raises(SpaceError, match="there is a dimension 'patch_size' already; give this one another name"):
        register(Kind("patch_size", "layer"))
    assert register(kind_of("patch_size")) is kind_of("patch_size")
    with pytest.raises(SpaceError, match="dimension 'width' has the scope 'galaxy'; known: layer, network"):
        Kind("width", "galaxy")  # type: ignore[arg-type]
    with pytest.raises(SpaceError, match="'layers' means something else in a space or a network; rename it"):
        Kind("layers", "layer")
    with pytest.raises(SpaceError, match="the name of a dimension is one word, got 'two words'"):
        Kind("two words", "layer")


class Point:
    """An entry point, as a package would have it."""

    def __init__(self, loaded: object) -> None:
        self.loaded = loaded

    def load(self) -> object:
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def test_no_dimension_has_the_name_of_something_else() -> None:
    owners = (SearchSpace, Architecture, Layer, Network, Geometry)
    taken = {name for owner in owners for name in dir(owner) if not name.startswith("_")}
    taken |= {"name", "supernet", "constraints", "pair", "layers"}
    for name in sorted(taken - set(kind_names())):
        with pytest.raises(SpaceError, match=f"'{name}' means something else in a space or a network"):
            Kind(name, "layer")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"least": 5, "most": 1}, "dimension 'width' has values from 5 to 1"),
        ({"least": -1}, "dimension 'width' has values from -1 to 1000000; they lie in 0 to 1,000,000,000"),
        ({"scope": "network", "attention": dict}, "dimension 'width' builds attention, so its scope is 'layer'"),
    ],
)
def test_what_is_no_kind_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        Kind("width", **{"scope": "layer", **options})
    with pytest.raises(SpaceError, match="a dimension is registered as a Kind, got 'width'"):
        register("width")  # type: ignore[arg-type]


def test_values_of_a_dimension_are_distinct_and_sorted() -> None:
    assert Dimension("num_heads", "layer", (4, 2)).values == (2, 4)
    for values in ((), (4, 2, 2.0)):
        with pytest.raises(SpaceError, match="num_heads has distinct values, at least one, got"):
            Dimension("num_heads", "layer", values)


def test_a_package_adds_a_dimension_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("z_packaged", "layer", least=0)
    points = {
        "z_packaged": Point(kind),
        "z_broken": Point(ImportError("no module named 'z'")),
        "z_other": Point(kind),
        "z_nothing": Point(3),
    }
    monkeypatch.setattr("nasformer.dimension._plugins", lambda: points)
    assert {"z_packaged", "z_broken"} <= set(kind_names())
    assert kind_of("z_packaged") is kind
    assert Dimension("z_packaged", "layer", (0, 3)).kind is kind
    with pytest.raises(SpaceError, match="dimension 'z_broken' cannot be imported: ImportError: no module named 'z'"):
        kind_of("z_broken")
    for name in ("z_other", "z_nothing"):
        with pytest.raises(SpaceError, match=f"entry point '{name}' is not a Kind of that name"):
            kind_of(name)
