"""Closed forms against sums over the tensors and products of a network, and against the official figures."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.cost import COSTS, Geometry, macs, official_complexity, params
from nasformer.space import load_space

GEOMETRIES = st.builds(
    lambda grid, patch, channels, classes, head, distance, axes, flatten: Geometry(
        grid * patch, patch, channels, classes, head, distance, axes, pooling="flatten" if flatten else None
    ),
    *(st.integers(1, top) for top in (7, 5, 4, 20, 16)),
    st.none() | st.integers(1, 9),
    st.sampled_from([2, 1]),
    st.booleans(),
)
ARCHITECTURES = st.builds(
    lambda embed_dim, layers: Architecture(embed_dim, *zip(*layers, strict=True)),
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from([1, 1.3, 2.5, 4])), min_size=1, max_size=5),
)
SPACES = {"T": "autoformer-tiny", "S": "autoformer-small", "B": "autoformer-base"}


def tensors(g: Geometry, arch: Architecture) -> list[tuple[int, ...]]:
    """Every tensor of the network, by its shape."""
    e, d = arch.embed_dim, g.head_dim
    patches = (g.image_size // g.patch_size) ** g.axes
    shapes: list[tuple[int, ...]] = [
        (e, g.in_channels, *(g.patch_size,) * g.axes),
        (e,),
        (1, 1, e),
        (1, patches + 1, e),
    ]
    for heads, hidden in zip(arch.num_heads, arch.hidden_dims, strict=True):
        shapes += [(e,)] * 4  # two norms
        shapes += [
            (3 * heads * d, e),
            (3 * heads * d,),
            (e, heads * d),
            (e,),
            (hidden, e),
            (hidden,),
            (e, hidden),
            (e,),
        ]
        if g.max_distance is not None:  # offsets -max..max and cls, keys and values
            shapes += [(len(range(-g.max_distance, g.max_distance + 1)) + 1, d)] * 2 * g.axes
    norm = [] if g.flatten else [(e,), (e,)]
    return [*shapes, *norm, (g.num_classes, patches if g.flatten else 1, e), (g.num_classes,)]


def products(g: Geometry, arch: Architecture) -> list[tuple[int, int, int]]:
    """Every matrix product of one image, as (rows, inner, columns)."""
    e, d = arch.embed_dim, g.head_dim
    patches = (g.image_size // g.patch_size) ** g.axes
    n = patches + 1
    done = [(patches, g.in_channels * g.patch_size**g.axes, e), (1, patches * e if g.flatten else e, g.num_classes)]
    for heads, hidden in zip(arch.num_heads, arch.hidden_dims, strict=True):
        done += [(n, e, 3 * heads * d), (n, heads * d, e), (n, e, hidden), (n, hidden, e)]
        done += [(n, d, n), (n, n, d)] * heads  # QKᵀ, AV
        if g.max_distance is not None:
            done += [(1, d, n), (1, n, d)] * (
                heads * n
            )  # each query with its own e_key, each row of A with its e_value
    return done


@given(GEOMETRIES, ARCHITECTURES)
def test_closed_forms_equal_the_sums(geometry: Geometry, architecture: Architecture) -> None:
    assert params(geometry, architecture) == sum(map(prod, tensors(geometry, architecture)))
    assert macs(geometry, architecture) == sum(map(prod, products(geometry, architecture)))


def test_without_relative_positions_it_is_deit_tiny() -> None:
    arch, plain = uniform(192, 12, 3, 4), Geometry(max_distance=None)
    assert params(plain, arch) == 5_717_416
    assert params(Geometry(), arch) - params(plain, arch) == 12 * 4 * 30 * 64
    assert macs(Geometry(), arch) - macs(plain, arch) == 12 * 3 * 2 * 197**2 * 64


def test_costs_are_known_by_their_names() -> None:
    assert {name: cost.name for name, cost in COSTS.items()} == {"params": "params", "macs": "macs"}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_official_code_counts_the_same(reference: Path) -> None:
    listed = rows(reference / "autoformer-reference" / "costs.jsonl")
    assert len(listed) == 303
    for row in listed:
        arch = Architecture(row["embed_dim"], row["num_heads"], row["mlp_ratio"])
        space = load_space(SPACES[row["space"]])
        assert arch.depth == row["layer_num"]
        assert params(space.geometry, arch) == space.params(arch) == row["params"], row
        assert official_complexity(space.geometry, arch) == row["complexity"], row


@pytest.mark.parametrize("name", ["small", "clamped"])
def test_it_does_for_other_geometries(reference: Path, name: str) -> None:
    facts = json.loads((reference / "autoformer-reference" / f"{name}.json").read_text())
    sizes = (facts[key] for key in ("image_size", "patch_size", "num_classes", "max_relative_position"))
    image, patch, classes, distance = sizes
    geometry = Geometry(image, patch, 3, classes, facts["super_embed_dim"] // facts["super_num_heads"], distance)
    archs = [Architecture(c["embed_dim"][0], c["num_heads"], c["mlp_ratio"]) for c in facts["configs"]]
    assert [params(geometry, arch) for arch in archs] == facts["params"]
    assert [official_complexity(geometry, arch) for arch in archs] == facts["complexity"]


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_published_table_agrees_row_for_row_and_in_a_batch(reference: Path, name: str) -> None:
    listed, space = rows(reference / "imagenet-inherited" / f"{name}.jsonl"), load_space(f"autoformer-{name}")
    assert len(listed) == 1001
    archs = [Architecture(row["embed_dim"], row["num_heads"], row["mlp_ratio"]) for row in listed]
    wanted = [row["params"] for row in listed]
    assert [space.params(arch) for arch in archs] == wanted
    assert space.params_batch(space.encode(archs)).tolist() == wanted
    assert space.macs_batch(space.encode(archs)).tolist() == [macs(space.geometry, arch) for arch in archs]
