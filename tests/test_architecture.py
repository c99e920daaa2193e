"""Architecture: one network is one value, whatever kinds of numbers it was written with."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.architecture import Architecture, uniform
from nasformer.errors import ArchitectureError

LAYERS = st.lists(
    st.tuples(st.integers(0, 99), st.just(0.0) | st.floats(1, 99, allow_subnormal=False)), min_size=1, max_size=20
)
FURTHER = st.dictionaries(st.sampled_from(["patch_size", "image_size"]), st.integers(1, 99))
ARCHITECTURES = st.builds(
    lambda embed_dim, layers, further: Architecture(embed_dim, *zip(*layers, strict=True), **further),
    st.integers(1, 2**62),
    LAYERS,
    FURTHER,
)
ONE = {"embed_dim": 8, "num_heads": [1, 2], "mlp_ratio": [1, 2.5]}


@given(ARCHITECTURES)
def test_json_dict_repr_and_pickle_give_the_equal_value_back(architecture: Architecture) -> None:
    copies = [
        Architecture.from_json(architecture.to_json()),
        Architecture.from_dict(architecture.to_dict()),
        Architecture.from_dict({key: value for key, value in architecture.to_dict().items() if key != "depth"}),
        eval(repr(architecture), {"Architecture": Architecture}),
        pickle.loads(pickle.dumps(architecture)),
    ]
    assert all(copy == architecture and hash(copy) == hash(architecture) for copy in copies)
    assert json.loads(architecture.to_json()) == architecture.to_dict()
    assert "\n" not in architecture.to_json()


def test_one_network_has_one_identity() -> None:
    written = [
        Architecture(192, (3, 4), (3.5, 4)),
        Architecture(192.0, [3.0, 4.0], [3.5, 4.0]),  # type: ignore[arg-type, list-item]
        Architecture(np.int64(192), np.array([3, 4]), np.array([3.5, 4], dtype=np.float32)),  # type: ignore[arg-type]
        Architecture(np.float64(192), iter((3, 4)), (ratio for ratio in (3.5, 4))),  # type: ignore[arg-type]
    ]
    assert len(set(written)) == len({architecture.to_json() for architecture in written}) == 1
    kinds = {type(value) for a in written for value in (a.embed_dim, *a.num_heads)}
    assert (kinds, {type(ratio) for a in written for ratio in a.mlp_ratio}) == ({int}, {float})


def test_every_dimension_counts() -> None:
    base = uniform(64, 2, 3, 2.0)
    others = [
        uniform(65, 2, 3, 2),
        uniform(64, 3, 3, 2),
        base.replace(num_heads=(3, 4)),
        base.replace(num_heads=(3, 0)),
        base.replace(mlp_ratio=(2, 1)),
        base.replace(mlp_ratio=(2, 0)),
        base.replace(patch_size=4),
        base.replace(patch_size=8),
        base.replace(image_size=8),
    ]
    assert len({base, *others}) == 10


def test_dataclasses_replace_keeps_further_dimensions() -> None:
    base = uniform(64, 2, 3, 2.0, patch_size=4)
    assert (
        replace(base, num_heads=(1, 2))
        == base.replace(num_heads=(1, 2))
        == Architecture(64, (1, 2), (2, 2), patch_size=4)
    )


def test_it_is_frozen() -> None:
    architecture = uniform(64, 2, 3, 2.0)
    with pytest.raises(FrozenInstanceError, match="embed_dim"):
        architecture.embed_dim = 65  # type: ignore[misc]
    with pytest.raises(TypeError, match="'tuple' object does not support item assignment"):
        architecture.num_heads[0] = 4  # type: ignore[index]


def test_the_mlp_is_as_wide_as_the_official_code_makes_it() -> None:
    assert Architecture(100, (1, 1, 1), (0.29, 3.5, 1.999)).hidden_dims == (28, 350, 199)  # int(E·r): 100 · 0.29 < 29


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        (uniform(192, 12, 3, 4), "embed 192, depth 12, heads 3×12, mlp 4×12"),
        (Architecture(8, (1, 2, 2, 1), (0.5, 1, 1, 1)), "embed 8, depth 4, heads 1 2×2 1, mlp 0.5 1×3"),
    ],
)
def test_it_prints_runs_of_equal_layers(architecture: Architecture, text: str) -> None:
    assert str(architecture) == text
    assert repr(architecture).startswith(f"Architecture(embed_dim={architecture.embed_dim}, num_heads=(")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"embed_dim": 0}, "embed_dim must be a whole number of at least 1, got 0"),
    ({"embed_dim": -3}, "embed_dim .*, got -3"),
    ({"embed_dim": 8.5}, "embed_dim .*, got 8.5"),
    ({"embed_dim": "8"}, "embed_dim .*, got '8'"),
    ({"embed_dim": True}, "embed_dim .*, got True"),
    ({"embed_dim": None}, "embed_dim .*, got None"),
    ({"embed_dim": float("nan")}, "embed_dim .*, got nan"),
    ({"embed_dim": float("inf")}, "embed_dim .*, got inf"),
    ({"embed_dim": [8]}, r"embed_dim .*, got \[8\]"),
    ({"num_heads": [1, -1]}, "num_heads must be a whole number of at least 0, got -1"),
    ({"num_heads": [1, 1.5]}, "num_heads .*, got 1.5"),
    ({"num_heads": [1, np.True_]}, r"num_heads .*, got (np\.)?True"),
    ({"num_heads": [1, [2]]}, r"num_heads .*, got \[2\]"),
    ({"num_heads": 3}, "num_heads lists one entry per layer, got 3"),
    ({"num_heads": "12"}, "num_heads lists one entry per layer, got '12'"),
    ({"num_heads": None}, "num_heads lists one entry per layer, got None"),
    ({"num_heads": np.array(3)}, r"num_heads lists one entry per layer, got array\(3\)"),
    ({"mlp_ratio": [1, -1]}, "mlp_ratio must be a number of 0 or more, got -1"),
    ({"mlp_ratio": [1, -2.5]}, "mlp_ratio .*, got -2.5"),
    ({"mlp_ratio": [1, float("inf")]}, "mlp_ratio .*, got inf"),
    ({"mlp_ratio": [1, 10**400]}, "mlp_ratio .*, got 10{400}"),
    ({"mlp_ratio": [1, "2"]}, "mlp_ratio .*, got '2'"),
    ({"mlp_ratio": b"12"}, "mlp_ratio lists one entry per layer, got b'12'"),
    ({"mlp_ratio": [1]}, "num_heads and mlp_ratio need one entry per layer each, got 2 and 1"),
    ({"mlp_ratio": [], "num_heads": []}, "one entry per layer each, got 0 and 0"),
    ({"depth": 3}, "depth is 3 but num_heads lists 2 layers"),
    ({"depth": None}, "depth is None but num_heads lists 2 layers"),
    ({"embed_dims": 3}, "unknown dimension 'embed_dims'; did you mean 'embed_dim'"),
    ({"colour": 3}, "unknown dimension 'colour'; known: depth, embed_dim, image_size, mlp_ratio, num_heads"),
    ({"patch_size": [4, 4]}, r"patch_size must be a whole number of at least 1, 1,000,000 at most, got \[4, 4\]"),
    ({"patch_size": 0}, "patch_size must be .*, got 0"),
    ({"patch_size": 10**400}, "patch_size must be .*, got 10{400}"),
    ({"image_size": "large"}, "image_size must be .*, got 'large'"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_what_is_no_architecture_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ArchitectureError, match=words) as e:
        Architecture.from_dict({**ONE, **change})
    assert e.value.value is not None or None in change.values()


@pytest.mark.parametrize("key", ONE)
def test_a_missing_dimension_is_named(key: str) -> None:
    with pytest.raises(ArchitectureError, match=f"lacks '{key}'"):
        Architecture.from_dict({name: value for name, value in ONE.items() if name != key})


def test_large_numbers_stay_exact() -> None:
    assert Architecture(2**53 + 1, (2**60 + 1,), (1,)).to_dict() == {
        "embed_dim": 2**53 + 1,
        "depth": 1,
        "num_heads": [2**60 + 1],
        "mlp_ratio": [1.0],
    }


@pytest.mark.parametrize("junk", [None, 5, "embed", [ONE]])
def test_only_a_mapping_is_read(junk: Any) -> None:
    with pytest.raises(ArchitectureError, match=r"an architecture is a mapping of embed_dim, .*, got "):
        Architecture.from_dict(junk)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"not JSON \(.*\): ''"),
        ('{"embed_dim": 8', r"not JSON \(.*\): '{\"embed_dim\": 8'"),
        ("[8]", r"an architecture is a mapping .*, got \[8\]"),
        ('{"embed_dim": NaN, "num_heads": [1], "mlp_ratio": [1]}', "embed_dim .*, got nan"),
        ('{"embed_dim": ' + "1" * 5000 + "}", r"not JSON \(.*\): '{\"embed_dim\": 111"),
        ("[" * 100_000, r"not JSON \(.*\): '\[\[\["),
    ],
)
def test_broken_json_is_one_short_line(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words) as e:
        Architecture.from_json(text)
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 300


def test_an_mlp_of_no_width_is_refused() -> None:
    with pytest.raises(ArchitectureError, match=r"mlp_ratio 0.01 of embed_dim 8 leaves an MLP of width 0"):
        Architecture(8, (1,), (0.01,))


def test_a_layer_may_do_without() -> None:
    architecture = Architecture(64, (2, 0, 0), (2, 1, 0), patch_size=4)
    assert str(architecture) == "embed 64, depth 3, heads 2 0×2, mlp 2 1 0, patch_size 4"
    assert [(layer.num_heads, layer.hidden_dim) for layer in architecture.layers] == [(2, 128), (0, 64), (0, 0)]
    assert (architecture.patch_size, architecture.network) == (4, (("patch_size", 4),))
    assert architecture.to_dict()["patch_size"] == 4
    with pytest.raises(AttributeError, match="Architecture has no 'image_size'"):
        architecture.image_size  # noqa: B018


def test_the_depth_is_no_dimension_to_choose() -> None:
    for change in ({"depth": 3}, {"depth": 1}):
        with pytest.raises(ArchitectureError, match="depth is the number of layers: change num_heads and mlp_ratio"):
            uniform(64, 1, 2, 2).replace(**change)
    with pytest.raises(ArchitectureError, match="further dimensions are keywords of their own, got further=3"):
        Architecture(64, (2,), (2,), further=3)
