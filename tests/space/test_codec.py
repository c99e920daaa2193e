"""Codes: the same architectures as integers, and the same costs a batch at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.architecture import Architecture, uniform
from nasformer.errors import ArchitectureError
from nasformer.space import SearchSpace, choice, per_layer

BruteForce = Callable[[SearchSpace], list[Architecture]]


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    """Heads free, one MLP ratio for all layers."""
    return SearchSpace(
        "codes",
        embed_dim=choice(8, 16),
        depth=choice(1, 3),
        num_heads=per_layer(1, 2),
        mlp_ratio=choice(1, 2.5),
        head_dim=4,
        image_size=4,
        patch_size=2,
        supernet={"embed_dim": 20, "mlp_ratio": 3},
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_member_has_its_own_code(
    small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    members = brute_force(space)
    codes = space.encode(members)
    assert len(members) == space.size() == len(np.unique(codes, axis=0))
    layers = [dimension for dimension in space.dimensions if dimension.scope == "layer"]
    width = len(space.dimensions) - len(layers) + len(layers) * max(space.depth.values)
    assert codes.shape == (space.size(), width)
    assert codes.dtype == np.int64
    assert space.decode(codes) == members
    assert space.decode(codes.astype(np.int8)) == members
    assert all(member in space for member in members)
    assert space.params_batch(codes).tolist() == [space.params(member) for member in members]
    assert space.macs_batch(codes).tolist() == [space.macs(member) for member in members]
    for corner, pick in ((space.smallest, min), (space.largest, max)):
        assert corner in space
        assert space.macs(corner) == pick(space.macs_batch(codes))
        if "patch_size" not in space.codec.values:  # smaller patches have fewer weights of their own
            assert space.params(corner) == pick(space.params_batch(codes))
    assert space.centroid in space


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_row_is_a_code_exactly_when_it_encodes_a_member(
    small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    space = data.draw(small_spaces)
    valid = {tuple(row) for row in space.encode(brute_force(space)).tolist()}
    near = st.sampled_from(sorted(valid)).flatmap(
        lambda row: st.builds(
            lambda at, gene: (*row[:at], gene, *row[at + 1 :]), st.integers(0, len(row) - 1), st.integers(-2, 3)
        )
    )
    row = data.draw(near)
    if row in valid:
        assert tuple(space.encode(space.decode(np.array([row])))[0].tolist()) == row
    else:
        with pytest.raises(ArchitectureError, match="row 1 is not a code of space 'random': ") as e:
            space.decode(np.array([min(valid), row]))
        assert str(list(row)) in str(e.value)


def test_the_layout(space: SearchSpace) -> None:
    codes = space.encode([Architecture(16, (2,), (1,)), Architecture(8, (1, 2, 1), (2.5, 2.5, 2.5))])
    assert codes.tolist() == [[1, 0, 1, -1, -1, 0, -1, -1], [0, 1, 0, 1, 0, 1, 1, 1]]
    assert space.encode([]).shape == (0, 8)
    assert space.decode(space.encode([])) == []
    assert space.params_batch(space.encode([])).shape == (0,)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ([[0, 0, 0, -1, -1, 0, -1]], r"integers \(n, 8\), got int64 \(1, 7\)"),
        ([0, 0, 0, -1, -1, 0, -1, -1], r"integers \(n, 8\), got int64 \(8,\)"),
        ([[0.0, 0, 0, -1, -1, 0, -1, -1]], r"integers \(n, 8\), got float64 \(1, 8\)"),
        ([["0"] * 8], r"integers \(n, 8\), got <U1 \(1, 8\)"),
        ([[-1, 0, 0, -1, -1, 0, -1, -1]], r"row 0 is not a code of space 'codes': \[-1, 0, "),
        ([[0, 2, 0, -1, -1, 0, -1, -1]], r"row 0 .*\[0, 2, "),
        ([[0, 0, 0, 0, -1, 0, -1, -1]], r"row 0 .*\[0, 0, 0, 0, "),  # a gene beyond the depth
        ([[0, 1, 0, 0, -1, 0, 0, 0]], r"row 0 .*\[0, 1, 0, 0, -1, "),  # a gene too few
        ([[0, 1, 0, 0, 0, 0, 1, 0]], r"row 0 .*0, 1, 0\]"),  # the shared dimension differs between layers
    ],
)
def test_what_is_no_code_is_refused(space: SearchSpace, codes: list[object], words: str) -> None:
    for question in (space.decode, space.params_batch, space.macs_batch):
        with pytest.raises(ArchitectureError, match=words):
            question(np.array(codes))


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (uniform(12, 1, 1, 1), "not in space 'codes': embed_dim 12 is not among 8, 16"),
        (uniform(8, 2, 1, 1), "depth 2 is not among 1, 3"),
        (Architecture(8, (1, 1, 3), (1, 1, 1)), "num_heads 3 of layer 2 is not among 1, 2"),
        (Architecture(8, (1,), (2,)), "mlp_ratio 2 of layer 0 is not among 1, 2.5"),
        (Architecture(8, (1, 1, 1), (1, 2.5, 1)), "mlp_ratio is one for all layers, got 1, 2.5, 1"),
    ],
)
def test_who_is_no_member_has_no_code_but_a_cost(space: SearchSpace, architecture: Architecture, words: str) -> None:
    assert architecture not in space
    with pytest.raises(ArchitectureError, match=words) as e:
        space.encode([space.smallest, architecture])
    assert e.value.value is architecture
    assert space.params(architecture) == space.costs(architecture)["params"] > 0


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (uniform(21, 1, 1, 1), "embed_dim 21 is above the supernet's 20 in space 'codes'"),
        (uniform(8, 4, 1, 1), "depth 4 is above the supernet's 3"),
        (Architecture(8, (1, 3), (1, 1)), "num_heads 3 is above the supernet's 2"),
        (Architecture(8, (1, 1), (1, 3.5)), "mlp_ratio 3.5 is above the supernet's 3"),
    ],
)
def test_what_the_supernet_cannot_hold_is_named(space: SearchSpace, architecture: Architecture, words: str) -> None:
    space.require(uniform(20, 3, 2, 3))
    space.require(Architecture(5, (1, 2), (0.3, 2.9)))  # no member, but smaller
    with pytest.raises(ArchitectureError, match=words):
        space.require(architecture)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_constraints_bind_searches_not_membership(
    small_spaces: SearchStrategy[SearchSpace], brute_force: BruteForce, data: st.DataObject
) -> None:
    free = data.draw(small_spaces)
    space = SearchSpace.from_dict({**free.to_dict(), "constraints": f"params <= {free.params(free.smallest)}"})
    assert space.largest in space
    assert set(space.sample(500, seed=1)) <= set(brute_force(space))
    assert space.sample(5, seed=1) == free.sample(5, seed=1) != free.sample(500, seed=2)[:0]
    assert space.feasible().bounds("params")[1] == space.params(space.smallest)
