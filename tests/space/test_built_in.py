"""The built-in spaces are the published ones, and a fingerprint knows all that decides a network's weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.cost import official_complexity
from nasformer.errors import SpaceError
from nasformer.space import SearchSpace, choice, load_space, per_layer, space_names
from nasformer.space.declaration import write_space
from nasformer.space.description import describe

PUBLISHED = {
    "autoformer-tiny": (1_056_964_608, 11_669_224, (256, 14, 4, 4.0), (192, 216, 240), (12, 13, 14), (3, 4), (3.5, 4)),
    "autoformer-small": (
        *(77_103_263_459_313, 34_790_440, (448, 14, 7, 4.0)),
        *((320, 384, 448), (12, 13, 14), (5, 6, 7), (3, 3.5, 4)),
    ),
    "autoformer-base": (
        *(10_108_977_168_384, 80_160_360, (640, 16, 10, 4.0)),
        *((528, 576, 624), (14, 15, 16), (9, 10), (3, 3.5, 4)),
    ),
}
RELEASED = {
    "autoformer-tiny": (
        Architecture(192, [3] * 10 + [4, 3, 3], [3.5, 3.5, 3, 3.5, 3, 3, 4, 4, 3.5, 4, 3.5, 4, 3.5]),
        *(5_867_944, 1_344_034_362, False),
    ),
    "autoformer-small": (
        Architecture(384, (6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7), (3, 3.5, 3, 3.5, 4, 4, 4, 4, 4, 4, 4, 3.5, 4)),
        *(22_891_432, 4_892_144_730, True),
    ),
    "autoformer-base": (
        Architecture(
            576, (9, 9, 9, 9, 9, 10, 9, 9, 10, 9, 10, 9, 9, 10), (3.5, 3.5, 4, 3.5, 4, 3.5, 3.5, 3, 4, 4, 3, 4, 3, 3.5)
        ),
        *(53_691_688, 11_236_929_660, True),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_spaces(name: str) -> None:
    size, supernet, maximum, embed_dim, depth, num_heads, mlp_ratio = PUBLISHED[name]
    space = load_space(name)
    top = space.supernet_architecture
    assert space.size() == size
    assert space.params(top) == supernet
    assert (top.embed_dim, top.depth, top.num_heads[0], top.mlp_ratio[0]) == maximum
    assert (space.embed_dim, space.depth) == (choice(*embed_dim), choice(*depth))
    assert (space.num_heads, space.mlp_ratio) == (per_layer(*num_heads), per_layer(*mlp_ratio))


@pytest.mark.parametrize("name", RELEASED)
def test_the_released_subnets(name: str) -> None:
    architecture, params, complexity, member = RELEASED[name]
    space = load_space(name)
    assert space.params(architecture) == params
    assert official_complexity(space.geometry, architecture) == complexity
    assert (architecture in space) is member
    space.require(architecture)


@pytest.mark.parametrize("name", space_names())
def test_each_built_in_space_is_whole(name: str, root: Path, tmp_path: Path) -> None:
    space = load_space(name)
    assert space.name == name
    assert load_space(space) is load_space(name) is space
    assert load_space(root / "spaces" / f"{name}.yaml") == space
    write_space(space, tmp_path / "copy.json")
    assert load_space(str(tmp_path / "copy.json")) == space
    for corner in (space.smallest, space.centroid, space.largest):
        assert corner in space
        space.require(corner)
    shown = describe(space)
    assert (shown.feasible, shown.obstacle) == (space.size(), None)
    assert list(shown.rows) == ["minimum", "centroid", "maximum", "supernet"]
    text = str(shown)
    for architecture in (space.smallest, space.centroid, space.largest, space.supernet_architecture):
        assert f"{space.params(architecture):,}" in text
        assert f"{space.macs(architecture):,}" in text
    assert max(map(len, text.splitlines())) <= 80
    assert shown.to_dict()["architectures"]["maximum"]["params"] == space.params(space.largest)


def test_a_description_says_whether_a_budget_can_be_met() -> None:
    space = load_space("autoformer-tiny")
    assert "14,475,214 with 5000000 <= params <= 6000000" in str(describe(space, (5e6, 6e6)))
    hopeless = describe(space, 1e6)
    assert hopeless.feasible == 0
    assert f"smallest member {space.params(space.smallest):,}" in str(hopeless)
    bounded = SearchSpace.from_dict({**space.to_dict(), "constraints": "params <= 6M"})
    clash = describe(bounded, "params >= 7M")
    assert clash.obstacle is not None
    assert "no architecture of 'autoformer-tiny' has 7000000 <= params <= 6000000" in clash.obstacle


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("autoformer-tniy", r"no built-in space 'autoformer-tniy'; did you mean 'autoformer-tiny'\?"),
        ("imagenet", "no built-in space 'imagenet'; known: autoformer-base, "),
        ("", "no built-in space ''"),
        ("../digits", r"there is no file or folder '\.\./digits'"),
        ("none.yaml", r"cannot read the space 'none\.yaml': No such file"),
    ],
)
def test_a_space_that_is_not_there_has_a_nearest_name(name: str, words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        load_space(name)


CHANGES: dict[str, Any] = {
    "embed_dim": choice(32, 64),
    "depth": choice(2, 4),
    "num_heads": choice(2, 3, 4),
    "mlp_ratio": per_layer(1, 3),
    "head_dim": 8,
    "image_size": 16,
    "patch_size": 4,
    "in_channels": 3,
    "num_classes": 11,
    "pooling": "cls",
    "max_distance": None,
    "supernet": {"embed_dim": 80},
}


def test_a_fingerprint_is_of_all_but_the_name_and_the_constraints() -> None:
    space = load_space("digits")
    declared = space.to_dict()
    assert set(CHANGES) == set(declared) - {"name", "constraints"}
    same = SearchSpace.from_dict({**declared, "name": "other", "constraints": "params <= 90K"})
    assert (same.fingerprint, hash(same)) == (space.fingerprint, hash(space))
    assert same != space
    others = [SearchSpace.from_dict({**declared, "supernet": None, key: value}) for key, value in CHANGES.items()]
    assert len({space.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(CHANGES)
    for key, other in zip(CHANGES, others, strict=True):
        assert any(line.startswith(f"{key}: ") for line in space.differences(other))


def test_fingerprints_do_not_change_between_releases() -> None:
    """Weights are found by them: a change here orphans every supernet trained so far."""
    assert {name: load_space(name).fingerprint for name in ("autoformer-tiny", "digits")} == {
        "autoformer-tiny": "964679801fe070dc",
        "digits": "938af8a825932903",
    }
