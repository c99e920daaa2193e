"""One line for whatever is no declaration of a space."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nasformer.errors import SpaceError
from nasformer.space import SearchSpace
from nasformer.space.declaration import read_space, write_space
from tests.space.conftest import SMALL

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pach_size": 2}, r"'pach_size'; did you mean 'patch_size'\?"),
    ({"colour": 2}, "'colour'; known: constraints, depth, "),
    ({"self": 2}, "'self'"),
    ({"embed_dim": {"choice": []}}, r"embed_dim: choice\(\) is empty; list at least one value"),
    ({"num_heads": {"per_layer": []}}, r"num_heads: per_layer\(\) is empty"),
    ({"embed_dim": {"choice": [32, 32.0]}}, r"embed_dim: choice\(32, 32.0\) lists a value twice"),
    ({"embed_dim": {"choice": [32, 0]}}, "embed_dim: .* holds 0"),
    ({"embed_dim": {"choice": [32, True]}}, "embed_dim: .* holds True"),
    ({"embed_dim": {"choice": [32, "64"]}}, "embed_dim: .* holds '64'"),
    ({"embed_dim": {"choice": [32, None]}}, "embed_dim: .* holds None"),
    ({"embed_dim": {"choice": [float("nan")]}}, "embed_dim: .* holds nan"),
    ({"embed_dim": {"choice": 32}}, "embed_dim: choice takes a list of values, got 32"),
    ({"embed_dim": {"choice": "32"}}, "embed_dim: choice takes a list of values, got '32'"),
    ({"embed_dim": {"choice": b"ab"}}, "embed_dim: choice takes a list of values, got b'ab'"),
    ({"embed_dim": {"choise": [32]}}, r"embed_dim takes choice\(…\), .* got {'choise': \[32\]}"),
    ({"embed_dim": {"choice": [32], "per_layer": [1]}}, r"embed_dim takes choice\(…\), .* got {'choice'"),
    ({"embed_dim": [32, 64]}, r"embed_dim takes choice\(…\), .* got \[32, 64\]"),
    ({"embed_dim": "32"}, r"embed_dim takes choice\(…\), .* got '32'"),
    ({"embed_dim": True}, "embed_dim .* got True"),
    ({"embed_dim": None}, "lacks 'embed_dim'"),
    ({"embed_dim": 0}, "embed_dim.* 0"),
    ({"patch_size": {"choice": [2, 3]}}, "patch_size 3 does not divide image_size 8"),
    ({"image_size": {"choice": [8, 9]}}, "patch_size 2 does not divide image_size 9"),
    (
        {"patch_size": {"per_layer": [2, 4]}},
        r"patch_size has one value for the whole network; declare it with ch",
    ),
    (
        {"patch_size": {"choice": [0, 2]}},
        r"patch_size: choice\(0, 2\) holds 0; patch_size is a whole number of at least 1",
    ),
    ({"num_heads": 0}, "num_heads is 0 in all layers, a network without attention; list a number of heads"),
    ({"num_heads": {"per_layer": [0]}, "mlp_ratio": 0}, "num_heads is 0 in all layers"),
    ({"num_heads": {"per_layer": [-1, 2]}}, "num_heads: .* holds -1"),
    ({"supernet": {"patch_size": 4}}, "supernet has no dimension 'patch_size'"),
    ({"embed_dim": -4}, "embed_dim.* -4"),
    ({"embed_dim": 32.5}, r"embed_dim=choice\(32.5\) holds a fraction"),
    ({"embed_dim": {"per_layer": [32]}}, r"embed_dim has one value for the whole network; declare it with choice\(…\)"),
    ({"depth": {"per_layer": [1]}}, r"depth has one value for the whole network; declare it with choice\(…\)"),
    ({"depth": {"choice": [1, 1.5]}}, r"depth=choice\(1, 1.5\) holds a fraction"),
    ({"depth": 10**20}, "depth"),
    ({"num_heads": {"per_layer": [1, 1.5]}}, r"num_heads=per_layer\(1, 1.5\) holds a fraction"),
    ({"mlp_ratio": {"per_layer": [1, -2]}}, "mlp_ratio: .* holds -2"),
    ({"mlp_ratio": {"per_layer": [10**400]}}, "mlp_ratio"),
    ({"embed_dim": {"choice": {"low": 8, "high": 16}}}, "embed_dim: a range takes low, high and step, got {'low': 8"),
    ({"embed_dim": {"choice": {"low": 9, "high": 8, "step": 1}}}, r"embed_dim: range\(9, 8, step=1\) is empty"),
    ({"embed_dim": {"choice": {"low": 8, "high": 9, "step": 0}}}, r"embed_dim: range\(8, 9, step=0\) is empty"),
    ({"embed_dim": {"choice": {"low": "8", "high": 9, "step": 1}}}, "embed_dim: .*'8'"),
    ({"embed_dim": {"choice": {"low": None, "high": 9, "step": 1}}}, "embed_dim: .*None"),
    ({"embed_dim": {"choice": {"low": 8, "high": float("inf"), "step": 1}}}, "embed_dim: .*inf"),
    ({"head_dim": 0}, "head_dim must be a whole number of at least 1, got 0"),
    ({"head_dim": 16.5}, "head_dim .* got 16.5"),
    ({"head_dim": True}, "head_dim .* got True"),
    ({"head_dim": None}, "head_dim .* got None"),
    ({"image_size": "8"}, "image_size .* got '8'"),
    ({"image_size": [8, 8]}, r"image_size .* got \[8, 8\]"),
    ({"image_size": 9}, "patch_size 2 does not divide image_size 9"),
    ({"patch_size": 16}, "patch_size 16 does not divide image_size 8"),
    ({"patch_size": 0}, "patch_size .* got 0"),
    ({"in_channels": -1}, "in_channels .* got -1"),
    ({"num_classes": 0}, "num_classes .* got 0"),
    ({"max_distance": 0}, "max_distance .* got 0"),
    ({"max_distance": "none"}, "max_distance .* got 'none'"),
    ({"pooling": "max"}, "pooling is 'mean', 'cls', .* or 'flatten', got 'max'"),
    ({"pooling": ["mean"]}, r"pooling is 'mean', 'cls', .* or 'flatten', got \['mean'\]"),
    ({"supernet": 80}, "supernet .*80"),
    ({"supernet": ["embed_dim"]}, r"supernet .*embed_dim"),
    ({"supernet": {"embed": 80}}, r"supernet has no dimension 'embed'; did you mean 'embed_dim'\?"),
    ({"supernet": {"embed_dim": 63}}, "supernet embed_dim 63 is below the largest choice 64"),
    ({"supernet": {"depth": 1}}, "supernet depth 1 is below the largest choice 2"),
    ({"supernet": {"num_heads": 1}}, "supernet num_heads 1 is below the largest choice 2"),
    ({"supernet": {"mlp_ratio": 2}}, "supernet mlp_ratio 2 is below the largest choice 2.5"),
    ({"supernet": {"embed_dim": 80.5}}, "supernet embed_dim 80.5 is not a whole number"),
    ({"supernet": {"embed_dim": "big"}}, "supernet embed_dim .*'big'"),
    ({"supernet": {"embed_dim": None}}, "supernet embed_dim .*None"),
    ({"supernet": {"embed_dim": float("nan")}}, "supernet embed_dim .*nan"),
    ({"supernet": {"depth": float("inf")}}, "supernet depth .*inf"),
    ({"supernet": {"mlp_ratio": float("inf")}}, "supernet mlp_ratio .*inf"),
    ({"supernet": {"mlp_ratio": float("nan")}}, "supernet mlp_ratio .*nan"),
    ({"supernet": {"depth": 10**20}}, "supernet depth"),
    ({"depth": 1, "supernet": {"depth": True}}, "supernet depth .*True"),
    ({"constraints": "params <= 6X"}, "'params <= 6X' cannot be read at column 12"),
    ({"constraints": "parms <= 6M"}, r"unknown cost 'parms' in the budget; did you mean 'params'\?"),
    ({"constraints": {"params": [6, 5]}}, "params has its lower bound 6 above its upper bound 5"),
    ({"constraints": ["params <= 6M"]}, "params <= 6M"),
    ({"constraints": True}, "got True"),
    ({"constraints": "params <= 1e5000"}, "1e5000"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_what_does_not_add_up_is_one_line(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError, match=words) as e:
        SearchSpace.from_dict({**SMALL, "supernet": None, **change})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("key", ["name", "embed_dim", "depth", "num_heads", "mlp_ratio"])
def test_what_is_missing_is_named_and_what_is_misspelt_too(key: str) -> None:
    rest = {name: value for name, value in SMALL.items() if name != key}
    with pytest.raises(SpaceError, match=f"lacks '{key}'"):
        SearchSpace.from_dict(rest)
    with pytest.raises(SpaceError, match=f"'{key}s'; did you mean '{key}'"):
        SearchSpace.from_dict({**rest, f"{key}s": SMALL[key]})


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.sampled_from([2**63, -(2**64), 10**20, 10**400, 0.0, -0.5, 1.5, 1e-300, 1e300, float("nan"), float("inf")])
    | st.text(max_size=4)
    | st.sampled_from(["mean", "5M", "params <= 6M", "params", "\n", "choice", "1e9999"])
    | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["choice", "per_layer", "embed_dim", "params", "macs", "", "x\n"]), inner)
        | st.fixed_dictionaries({"low": inner, "high": st.integers(1, 9) | inner, "step": st.just(1) | inner})
        | inner.map(lambda value: {"choice": value})
        | inner.map(lambda value: {"per_layer": [value]})
    ),
    max_leaves=6,
)


@settings(max_examples=800, deadline=None)
@example({"supernet": 5}, set(), {})
@example({"constraints": {"x\n": []}}, set(), {})
@given(
    st.dictionaries(st.sampled_from(sorted(SMALL)), JUNK, min_size=1, max_size=2),
    st.sets(st.sampled_from(sorted(SMALL)), max_size=1),
    st.dictionaries(
        st.sampled_from(["self", "cls", "misspelt", "embed_dims", "", 1, None, ("a\n",)]), JUNK, max_size=1
    ),
)
def test_junk_is_a_space_or_one_line(changed: dict[str, Any], left_out: set[str], added: dict[Any, Any]) -> None:
    declared = {key: value for key, value in {**SMALL, **changed}.items() if key not in left_out} | added
    try:
        space = SearchSpace.from_dict(declared)
    except SpaceError as error:
        message = str(error)
    else:
        message = ""
        assert SearchSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space
    assert "\n" not in message


@given(JUNK)
def test_junk_instead_of_a_mapping_is_one_line(junk: Any) -> None:
    with pytest.raises(SpaceError, match=r"lacks|name is text|a space is a mapping|has no dimension") as e:
        SearchSpace.from_dict(junk)
    assert "\n" not in str(e.value)


# Broken files


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "embed_dim: [1", r"a\.yaml' is not valid YAML: .* line 1, column 12"),
        ("a.yml", "a: b: c", r"a\.yml' is not valid YML: .* line 1, column 5"),
        ("a.json", '{"embed_dim": ', r"a\.json' is not valid JSON: .* line 1 column 15"),
        ("a.json", '{"embed_dim": ' + "1" * 5000 + "}", r"a\.json' is not valid JSON"),
        ("a.json", "[" * 100_000, r"a\.json' is not valid JSON"),
        ("a.yaml", "[" * 600, r"a\.yaml' is not valid YAML"),
        ("a.yaml", "!!python/object/apply:os.system ['touch pwned']", r"a\.yaml' is not valid YAML: .*os\.system"),
        ("a.yaml", "\x00", r"a\.yaml' is not valid YAML: unacceptable character"),
        ("a.yaml", "", r"a\.yaml: a space is a mapping of name, .* got None"),
        ("a.yaml", "- 1", r"a\.yaml: a space is a mapping of name, .* got \[1\]"),
        ("a.json", '"embed"', r"a\.json: a space is a mapping of name, .* got 'embed'"),
        ("a.yaml", "embed_dim: 8", r"a\.yaml: space 'a' lacks 'depth'"),
        (
            "a.yaml",
            "depth: 1\nembed_dim: 8\ndepth: 2",
            r"yaml' is not valid YAML: .*'depth' is given twice.* line 3",
        ),
        ("a.json", '{"depth": 1, "depth": 2}', r"a\.json' is not valid JSON: .*'depth' is given twice"),
        ("a.yaml", "supernet: {depth: 1, depth: 2}", r"a\.yaml' is not valid YAML: .*'depth' is given twice"),
        ("a.yaml", "[1]: 2", r"a\.yaml: space 'a' lacks|is not valid YAML"),
        (
            "a.yaml",
            "embed_dim: &a [*a]\ndepth: 1\nnum_heads: 1\nmlp_ratio: 1",
            r"a\.yaml' is not valid YAML: it is nested more than 64 deep",
        ),
        ("a.yaml", "embed_dim: 2001-01-01\ndepth: 1\nnum_heads: 1\nmlp_ratio: 1", r"a\.yaml: embed_dim takes .*2001"),
        (
            "a.yaml",
            "{embed_dim: 8, depth: 1, num_heads: 1, mlp_ratio: 1, constraints: params <= x}",
            r"a\.yaml: .*params <= x",
        ),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SpaceError, match=words) as e:
        read_space(tmp_path / name)
    assert "\n" not in str(e.value)
    assert os.listdir(tmp_path) == [name]


def test_an_unreadable_file_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SpaceError, match=r"b\.yaml' is not valid YAML"):
        read_space(tmp_path / "b.yaml")
    with pytest.raises(SpaceError, match=r"cannot read the space '.*none\.yaml': No such file"):
        read_space(tmp_path / "none.yaml")
    with pytest.raises(SpaceError, match=r"cannot read the space .*: Is a directory"):
        read_space(tmp_path)


def test_a_space_is_written_in_formats_that_are_read(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"written as \.yaml or \.json, got 's\.toml'"):
        write_space(SearchSpace.from_dict(SMALL), tmp_path / "s.toml")
    assert os.listdir(tmp_path) == []
