"""One declaration in five forms, AutoFormer's own among them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from nasformer.errors import SpaceError
from nasformer.space import SearchSpace, choice, load_space, per_layer
from nasformer.space.declaration import read_space, write_space
from tests.space.conftest import SMALL

OFFICIAL = """
SUPERNET:
    MLP_RATIO: 4.0
    NUM_HEADS: 4
    EMBED_DIM: 256
    DEPTH: 14
SEARCH_SPACE:
    MLP_RATIO:
        - 3.5
        - 4.0
    NUM_HEADS:
        - 3
        - 4
    DEPTH:
        - 12
        - 13
        - 14
    EMBED_DIM:
        - 192
        - 216
        - 240
RETRAIN:
    MLP_RATIO: [3.5, 3.5, 3.0, 3.5, 3.0, 3.0, 4.0, 4.0, 3.5, 4.0, 3.5, 4.0, 3.5]
    NUM_HEADS: [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3]
    DEPTH: 13
    EMBED_DIM: 192
"""
BUDGETS = [None, "params <= 6M", "params < 0", {"macs": (5, None), "params": -1.5}, 6e6, (5, 6)]
Form = Callable[[SearchSpace, Path], SearchSpace]


def by_file(suffix: str) -> Form:
    def form(space: SearchSpace, folder: Path) -> SearchSpace:
        write_space(space, folder / f"s{suffix}")
        return read_space(folder / f"s{suffix}")

    return form


FORMS: dict[str, Form] = {
    "dict": lambda space, _: SearchSpace.from_dict(space.to_dict()),
    "repr": lambda space, _: eval(
        repr(space), {"SearchSpace": SearchSpace, "choice": choice, "per_layer": per_layer, "__builtins__": {}}
    ),
    "pickle": lambda space, _: pickle.loads(pickle.dumps(space)),
    "yaml": by_file(".yaml"),
    "yml": by_file(".yml"),
    "json": by_file(".json"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_form_gives_the_equal_space_back(
    form: Form, small_spaces: SearchStrategy[SearchSpace], folder: Path, data: st.DataObject
) -> None:
    declared = data.draw(small_spaces).to_dict()
    supernet = {**declared["supernet"], "embed_dim": data.draw(st.integers(20, 30))}
    constraints = data.draw(st.sampled_from(BUDGETS))
    space = SearchSpace.from_dict({**declared, "supernet": supernet, "constraints": constraints})
    space.params(space.decode(space.sample_codes(1))[0])  # what it keeps for speed is no part of it
    copy = form(space, folder)
    assert copy == space
    assert (copy.to_dict(), copy.fingerprint, repr(copy)) == (space.to_dict(), space.fingerprint, repr(space))
    assert (copy.geometry, copy.supernet_architecture, copy.constraints) == (
        space.geometry,
        space.supernet_architecture,
        space.constraints,
    )
    assert hash(copy) == hash(space)


def test_python_and_plain_data_are_the_same_declaration() -> None:
    space = SearchSpace(
        "x",
        embed_dim=choice.range(32, 64, step=32),
        depth=choice(2, 1),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2.5),
        head_dim=16,
        image_size=8,
        patch_size=2,
        in_channels=1,
        num_classes=10,
        max_distance=3,
        supernet={"embed_dim": 80, "mlp_ratio": 3},
        constraints={"params": (20e3, 90e3), "macs": 1_999_999},
    )
    assert space == SearchSpace.from_dict(SMALL)
    supernet = {"embed_dim": 80, "depth": 2, "num_heads": 2, "mlp_ratio": 3.0}
    constraints = "20000 <= params <= 90000 and macs <= 1999999"
    assert space.to_dict() == {**SMALL, "supernet": supernet, "constraints": constraints}


def test_numpys_numbers_are_numbers() -> None:
    sizes = {
        key: np.int64(SMALL[key]) for key in ("head_dim", "image_size", "patch_size", "num_classes", "max_distance")
    }
    space = SearchSpace.from_dict({**SMALL, **sizes, "embed_dim": choice(*np.array([32, 64]))})
    assert space == SearchSpace.from_dict(SMALL)
    assert json.dumps(space.to_dict())


def test_a_file_may_leave_out_what_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("embed_dim: 64\ndepth: 2\nnum_heads: {choice: [1, 2]}\nmlp_ratio: 4\n")
    space = read_space(path)
    assert space == SearchSpace("mine", embed_dim=64, depth=2, num_heads=choice(1, 2), mlp_ratio=4)
    assert (space.size(), space.geometry.image_size, space.supernet_architecture.embed_dim, space.constraints) == (
        2,
        224,
        64,
        {},
    )


def test_a_space_is_frozen() -> None:
    with pytest.raises(AttributeError, match="a SearchSpace is frozen; declare another with name='y'"):
        SearchSpace.from_dict(SMALL).name = "y"


def test_differences_name_each_dimension_once() -> None:
    space = SearchSpace.from_dict(SMALL)
    other = SearchSpace.from_dict({**SMALL, "name": "y", "constraints": None, "head_dim": 8, "depth": {"choice": [1]}})
    supernets = (f"embed_dim 80 depth {depth} num_heads 2 mlp_ratio 3.0" for depth in (2, 1))
    assert space.differences(other) == [
        "depth: choice 1/2 against choice 1",
        "head_dim: 16 against 8",
        f"supernet: {' against '.join(supernets)}",
    ]
    assert space.differences(SearchSpace.from_dict({**SMALL, "name": "y", "constraints": None})) == []


# AutoFormer's own files


def test_an_official_file_loads_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "supernet-T.yaml"
    path.write_text(OFFICIAL)
    space, built_in = load_space(path), load_space("autoformer-tiny")
    assert (space.name, space.fingerprint, space.size()) == ("supernet-T", built_in.fingerprint, 1_056_964_608)
    assert space.to_dict() == {**built_in.to_dict(), "name": "supernet-T"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"SEARCH_SPACE": None}, r"needs SEARCH_SPACE\.EMBED_DIM"),
        (
            {"SUPERNET": {"EMBED_DIM": 256, "DEPTH": 14, "NUM_HEADS": 4}},
            r"needs SUPERNET\.MLP_RATIO; it has EMBED_DIM, ",
        ),
        ({"SUPERNET": 256}, "SUPERNET.*256"),
        ({"SUPERNET": ["EMBED_DIM", "DEPTH", "NUM_HEADS", "MLP_RATIO"]}, r"SUPERNET.*\['EMBED_DIM'"),
        ({"SEARCH_SPACE": "EMBED_DIM DEPTH NUM_HEADS MLP_RATIO"}, "SEARCH_SPACE.*'EMBED_DIM DEPTH"),
        (
            {"SUPERNET": {"EMBED_DIM": 200, "DEPTH": 14, "NUM_HEADS": 4, "MLP_RATIO": 4}},
            "supernet embed_dim 200 is below",
        ),
        ({"SEARCH_SPACE": {"EMBED_DIM": 192, "DEPTH": 1, "NUM_HEADS": 1, "MLP_RATIO": 1}}, "embed_dim: .* got 192"),
    ],
)
def test_a_broken_official_file_says_what_it_lacks(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = tmp_path / "supernet-T.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(OFFICIAL), **change}, sort_keys=False))
    with pytest.raises(SpaceError, match=words) as e:
        read_space(path)
    assert "supernet-T" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("text", ["1: 2\nSUPERNET: {}", "SEARCHSPACE: 1\nnull: 2\nSUPERNET: 5"])
def test_an_official_file_of_odd_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(SpaceError, match=r"odd.*SUPERNET"):
        read_space(tmp_path / "odd.yaml")
