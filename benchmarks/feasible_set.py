"""Exact feasible sets against rejection sampling, and their best architecture against random search.

Rejection draws each dimension uniformly until an architecture fits, as AutoFormer's code does; both give
the same distribution, with genes fixed too. The best architecture is compared with the best of as many
random feasible ones as can be scored in the same time. The large space has 32 layers of 8 by 8 choices.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine, medians
from nasformer.space import FeasibleSet, Scores, SearchSpace, choice, load_space, per_layer
from nasformer.space.codec import Codes

BUDGETS = {"autoformer-tiny": (5e6, 6e6), "autoformer-small": (18e6, 23e6), "autoformer-base": (50e6, 54e6)}
LARGE = SearchSpace(
    "32 × (8 × 8)",
    embed_dim=choice(512, 640, 768),
    depth=choice(30, 31, 32),
    num_heads=per_layer(4, 6, 8, 9, 10, 11, 12, 16),
    mlp_ratio=per_layer.range(2.0, 5.5, step=0.5),
)
DRAWS = 100_000
ACCEPTED = 2_000
BEST = 100
COUNTED = 2_000
REPEATS = 5


Limits = dict[str, tuple[float, float]]


def reject(space: SearchSpace, limits: Limits, wanted: int, row: Codes | None = None) -> int:
    """Draw until ``wanted`` fit; the codes are drawn and costed in blocks, the fastest way there is.

    Where a row of codes is given, its genes that are not -1 are put in place of those drawn.
    """
    found, seed = 0, 0
    while found < wanted:
        codes = space.sample_codes(10_000, seed=seed)
        if row is not None:
            codes = np.where(row >= 0, row, codes)
        inside = np.ones(len(codes), dtype=bool)
        for name, (low, high) in limits.items():
            costs = space.codec.count_batch(name, codes)
            inside &= (costs >= low) & (costs <= high)
        found += int(inside.sum())
        seed += 1
    return found


def random_scores(space: SearchSpace, seed: int = 0) -> Scores:
    """Return a score for every choice of every layer."""
    rng = np.random.default_rng(seed)
    return Scores({name: rng.normal(size=table.shape) for name, table in Scores.zeros(space.codec).tables.items()})


def budgets() -> list[tuple[SearchSpace, Limits]]:
    """Return the spaces and what an architecture may cost in each."""
    published = [(load_space(name), {"params": limits}) for name, limits in BUDGETS.items()]
    middle = LARGE.costs(LARGE.centroid)
    return [*published, (LARGE, {"params": (0.9 * middle["params"], middle["params"]), "macs": (0, middle["macs"])})]


def row(space: SearchSpace, limits: Limits) -> str:
    """Return one space's line."""
    ok: FeasibleSet = space.feasible(**limits)
    scores, counted = random_scores(space), space.sample(COUNTED)
    fixed = np.full(space.codec.columns, -1)
    fixed[[0, 2, 2 + space.codec.max_depth]] = ok.sample_codes(1, seed=1)[0, [0, 2, 2 + space.codec.max_depth]]
    seconds = medians(
        REPEATS,
        setup=lambda: space.feasible(**limits),
        draws=partial(ok.sample_codes, DRAWS),
        given=partial(ok.sample_codes, DRAWS, fixed=fixed),
        rejection=partial(reject, space, limits, ACCEPTED),
        rejection_given=partial(reject, space, limits, ACCEPTED, fixed),
        argmax=partial(ok.argmax, scores),
        best=partial(ok.best, scores, BEST),
        params=lambda: [space.params(architecture) for architecture in counted],
    )
    draws, rejection = DRAWS / seconds["draws"], ACCEPTED / seconds["rejection"]
    given, rejection_given = DRAWS / seconds["given"], ACCEPTED / seconds["rejection_given"]
    rivals = ok.sample_codes(max(1, int(seconds["argmax"] * draws)))
    ahead = (
        scores.evaluate(space.codec, space.encode([ok.argmax(scores)]))[0] - scores.evaluate(space.codec, rivals).max()
    )
    return (
        f"{space.name:<18}{1e3 * seconds['setup']:>10.1f}{draws:>12,.0f}{draws / rejection:>7.1f}×"
        f"{given:>12,.0f}{given / rejection_given:>7.1f}×{1e3 * seconds['argmax']:>11.2f}{ahead:>+9.1f}"
        f"{1e3 * seconds['best']:>13.1f}{1e6 * seconds['params'] / COUNTED:>11.2f}"
    )


def main() -> None:
    """Print one row per space."""
    print(machine())
    print(
        f"{'space':<18}{'set-up ms':>10}{'draws/s':>12}{'ratio':>8}{'given/s':>12}{'ratio':>8}"
        f"{'argmax ms':>11}{'ahead':>9}{f'best {BEST} ms':>13}{'params µs':>11}"
    )
    for space, limits in budgets():
        print(row(space, limits))
    print("ratio: to rejection, in this run; given: three genes fixed; ahead: score of the best, less that of the best")
    print("of as many random feasible architectures as are drawn in the time of argmax.")
    for space, limits in budgets():
        ok = space.feasible(**limits)
        print(f"{space.name}: {ok.count():,} feasible, a share of {ok.count() / space.size():.3g}")


if __name__ == "__main__":
    main()
