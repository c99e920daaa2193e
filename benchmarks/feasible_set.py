"""Exact feasible sets against rejection, and costs of codes against costs one by one.

Rejection draws each dimension uniformly until an architecture fits, as AutoFormer's code does; both give
the same distribution.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine, medians
from nasformer.space import SearchSpace, load_space

BUDGETS = {"autoformer-tiny": (5e6, 6e6), "autoformer-small": (18e6, 23e6), "autoformer-base": (50e6, 54e6)}
DRAWS = 100_000
ACCEPTED = 2_000
REPEATS = 5


def reject(space: SearchSpace, low: float, high: float, wanted: int) -> int:
    """Draw until ``wanted`` fit; the codes are drawn and costed in blocks, the fastest way there is."""
    found, seed = 0, 0
    while found < wanted:
        params = space.params_batch(space.sample_codes(10_000, seed=seed))
        found += int(((params >= low) & (params <= high)).sum())
        seed += 1
    return found


def main() -> None:
    """Print one row per space."""
    print(machine())
    print(
        f"{'space':<18}{'set-up ms':>10}{'draws/s':>12}{'rejection/s':>16}{'ratio':>8}{'costs/s':>13}{'singly/s':>11}"
    )
    for name, (low, high) in BUDGETS.items():
        space = load_space(name)
        feasible = space.feasible(params=(low, high))
        codes = space.sample_codes(DRAWS)
        archs = space.decode(codes[:5_000])
        seconds = medians(
            REPEATS,
            setup=lambda space=space, low=low, high=high: space.feasible(params=(low, high)),  # type: ignore[misc]
            exact=lambda feasible=feasible: feasible.sample_codes(DRAWS),  # type: ignore[misc]
            rejection=lambda space=space, low=low, high=high: reject(space, low, high, ACCEPTED),  # type: ignore[misc]
            batch=lambda space=space, codes=codes: (space.params_batch(codes), space.macs_batch(codes)),  # type: ignore[misc]
            singly=lambda space=space, archs=archs: [(space.params(a), space.macs(a)) for a in archs],  # type: ignore[misc]
        )
        exact, rejection = DRAWS / seconds["exact"], ACCEPTED / seconds["rejection"]
        batch, singly = DRAWS / seconds["batch"], len(archs) / seconds["singly"]
        print(
            f"{name:<18}{1e3 * seconds['setup']:>10.1f}{exact:>12,.0f}{rejection:>16,.0f}"
            f"{exact / rejection:>7.1f}×{batch:>13,.0f}{singly:>11,.0f}"
        )
    share = {name: load_space(name).feasible(params=b).count() / load_space(name).size() for name, b in BUDGETS.items()}
    print("feasible share: " + ", ".join(f"{name} {np.format_float_positional(s, 3)}" for name, s in share.items()))


if __name__ == "__main__":
    main()
