"""Draws without replacement, where the prior's mass lies on a few members that are soon used up."""

from __future__ import annotations

from nasformer.registry import get_strategy
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.testing import Judge, stream


def test_a_prior_that_rests_on_a_few_members_does_not_end_the_search() -> None:
    space = SearchSpace(
        "steep",
        embed_dim=8,
        depth=choice(1, 16),
        num_heads=per_layer(1, 2, 3, 4),
        mlp_ratio=per_layer(1, 2, 3, 4),
        head_dim=8,
        image_size=8,
        patch_size=2,
        in_channels=1,
        num_classes=3,
    )
    feasible = space.feasible(params=space.params(space.smallest) * 15)
    assert feasible.count() > 1_000_000
    (asked,) = stream(get_strategy("random")(feasible, seed=0), Judge(feasible), [60])
    assert len(set(asked)) == 60
