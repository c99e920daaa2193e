"""Spaces of time series: one declaration in every form, exact sets, and one line for what is none."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

import nasformer as nf
from nasformer.cost import Geometry, Series
from nasformer.errors import ArchitectureError, SpaceError
from nasformer.space import SearchSpace, choice, load_space, per_layer
from nasformer.space.declaration import read_space, write_space
from nasformer.space.description import describe

YAML = """
embed_dim: {choice: [8, 16]}
depth: {choice: [1, 2]}
num_heads: {per_layer: [1, 2]}
mlp_ratio: 2
head_dim: 4
series: {length: 336, patch: {choice: [16, 24]}, stride: 8, channels: 1, instance_norm: true}
num_classes: 96
pooling: flatten
max_distance: 8
"""
SIZES: dict[str, Any] = {"name": "x", "embed_dim": 8, "depth": 2, "num_heads": 2, "mlp_ratio": 2, "head_dim": 4}


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "weather.yaml").write_text(YAML)
    return read_space(tmp_path / "weather.yaml")


def test_every_form_gives_the_equal_space_back(space: SearchSpace, tmp_path: Path) -> None:
    names = {"SearchSpace": SearchSpace, "choice": choice, "per_layer": per_layer, "__builtins__": {}}
    copies = [SearchSpace.from_dict(space.to_dict()), eval(repr(space), names), pickle.loads(pickle.dumps(space))]
    for suffix in (".yaml", ".json"):
        write_space(space, tmp_path / f"copy{suffix}")
        copies.append(load_space(tmp_path / f"copy{suffix}"))
    for copy in copies:
        assert copy == space
        assert (copy.fingerprint, copy.geometry, copy.series) == (space.fingerprint, space.geometry, space.series)


def test_a_file_and_python_are_the_same_declaration(space: SearchSpace) -> None:
    series = nf.Series(336, choice(16, 24), stride=8, instance_norm=True)
    layers: dict[str, Any] = {"num_heads": per_layer(1, 2), "mlp_ratio": 2, "head_dim": 4, "max_distance": 8}
    sizes: dict[str, Any] = {"embed_dim": choice(8, 16), "depth": choice(1, 2), "num_classes": 96}
    assert space == SearchSpace("weather", series=series, pooling="flatten", **sizes, **layers)
    assert (space.series, space.patch_size) == (series, choice(16, 24))  # type: ignore[attr-defined]
    assert not {"image_size", "patch_size", "in_channels"} & set(space.to_dict())


def test_the_geometry_is_that_of_the_smallest_patch(space: SearchSpace) -> None:
    g = space.geometry
    assert (g.grid, g.patches, g.tokens, g.patch_dim, g.input_shape) == (41, 41, 42, 16, (1, 336))
    own = g.of(space.largest.replace(patch_size=24))
    assert (own.patches, own.patch_dim, own.series) == (40, 24, Series(336, 24, 8, instance_norm=True))
    assert Geometry.from_dict(json.loads(json.dumps(own.to_dict()))) == own
    with pytest.raises(ArchitectureError, match="patch_size 20 at stride 8 does not fill 336"):
        g.of(space.largest.replace(patch_size=20))


def test_the_geometry_of_images_is_written_as_ever() -> None:
    own: dict[str, Any] = {
        "image_size": 8,
        "patch_size": 2,
        "in_channels": 1,
        "num_classes": 3,
        "head_dim": 4,
        "max_distance": None,
    }
    assert json.dumps(Geometry(**own).to_dict()) == json.dumps(own)
    assert Geometry.from_dict(own) == Geometry(**own)
    flat = Geometry(**own, pooling="flatten")
    assert flat.to_dict() == {**own, "flatten": True}
    assert Geometry.from_dict(flat.to_dict()) == flat


def test_feasible_sets_and_descriptions_are_exact(space: SearchSpace) -> None:
    members = space.decode(space.feasible().codes())
    assert len(members) == space.size() == 24
    limit = sorted(space.params(member) for member in members)[len(members) // 2]
    assert space.feasible(params=limit).count() == sum(space.params(member) <= limit for member in members)
    text = str(describe(space, "params <= 1M"))
    assert "patch_size choice(16, 24)" in text
    assert {member.patch_size for member in members} == {16, 24}


def test_spaces_differ_by_their_series(space: SearchSpace) -> None:
    other = SearchSpace.from_dict({**space.to_dict(), "series": {"length": 96, "patch": 16}})
    assert other.differences(space)[0].startswith("series: length 96 patch 16 stride None channels 1")
    images = SearchSpace.from_dict({**SIZES, "image_size": 8, "patch_size": 2})
    assert "series: None against length 96" in images.differences(other)[-1]


@pytest.mark.parametrize(
    ("series", "words"),
    [
        ({"length": 20, "patch": 6}, "patches of 6 at stride 6 leave 2 of the length 20; take the length 18, or an"),
        ({"length": 20, "patch": {"choice": [4, 6]}, "stride": 4}, "patches of 6 at stride 4 leave 2 of the length 20"),
        ({"length": 8, "patch": 16}, "patch 16 is longer than the series of length 8"),
        ({"length": 0, "patch": 1}, "series length must be a whole number of at least 1, got 0"),
        ({"length": {"choice": [8, 16]}, "patch": 1}, "series length .* got {'choice'.*; only patch can be searched"),
        ({"length": 8, "patch": True}, "series patch must be a whole number of at least 1, got True"),
        ({"length": 8, "patch": [2]}, r"series patch .* got \[2\]"),
        ({"length": 8, "patch": 2, "stride": 0}, "series stride must be a whole number of at least 1, got 0"),
        ({"length": 8, "patch": {"choice": [1, 1.5]}}, "holds a fraction"),
        ({"length": 8, "patch": 2, "channels": 2, "instance_norm": True}, "only for one channel; got True with 2 ch"),
        ({"length": 8, "patch": 2, "instance_norm": "yes"}, "instance_norm is true or false.* got 'yes'"),
        ({"length": 8}, "series lacks 'patch'"),
        ({"length": 8, "patch": 2, "strides": 1}, r"series has no 'strides'; did you mean 'stride'\?"),
        (336, "series is a mapping of length, patch, stride, channels, instance_norm, got 336"),
    ],
)
def test_what_is_no_series_is_one_line(series: Any, words: str) -> None:
    with pytest.raises(SpaceError, match=words) as e:
        SearchSpace.from_dict({**SIZES, "series": series})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("key", "value"), [("image_size", 224), ("patch_size", 16), ("in_channels", 3)])
def test_sizes_of_images_are_none_of_series(key: str, value: int) -> None:
    with pytest.raises(SpaceError, match=f"a space of series has no {key}, got {value}; declare the sizes in series"):
        SearchSpace.from_dict({**SIZES, "series": {"length": 8, "patch": 2}, key: value})


def test_a_flattened_head_has_one_number_of_patches() -> None:
    with pytest.raises(SpaceError, match="'flatten' reads a fixed number of patches; fix image_size, or"):
        SearchSpace.from_dict({**SIZES, "image_size": choice(8, 16), "patch_size": 2, "pooling": "flatten"})
