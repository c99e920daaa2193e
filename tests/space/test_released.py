"""The released subnets have the published costs, and fit in their supernets."""

from __future__ import annotations

import pytest

from nasformer.cost import official_complexity
from nasformer.errors import ArchitectureError
from nasformer.space import load_space, released


@pytest.mark.parametrize(
    ("name", "params", "complexity", "member"),
    [
        ("autoformer-tiny", 5_867_944, 1_344_034_362, False),
        ("autoformer-small", 22_891_432, 4_892_144_730, True),
        ("autoformer-base", 53_691_688, 11_236_929_660, True),
    ],
)
def test_a_released_subnet_has_the_published_costs(name: str, params: int, complexity: int, member: bool) -> None:
    space, subnet = load_space(name), released(name)
    assert space.params(subnet) == params
    assert int(official_complexity(space.geometry, subnet)) == complexity
    assert (subnet in space) is member
    assert subnet.embed_dim <= space.supernet_architecture.embed_dim
    assert subnet.depth <= space.supernet_architecture.depth


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ArchitectureError, match=r"no released subnet 'autoformer-tny'; .*autoformer-tiny"):
        released("autoformer-tny")
