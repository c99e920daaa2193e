"""A small space with relative positions."""

from __future__ import annotations

import pytest

from nasformer.space import SearchSpace, choice, per_layer


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return SearchSpace(
        "small",
        embed_dim=choice(16, 24),
        depth=choice(1, 2, 3),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
        image_size=8,
        patch_size=2,
        in_channels=1,
        num_classes=5,
        max_distance=2,
    )
