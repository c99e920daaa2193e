"""stream: what a strategy asks when it is told the truth, also from the command line of another process."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from nasformer.architecture import Architecture
from nasformer.registry import StrategyFactory, get_strategy
from nasformer.search import Strategy, Trial
from nasformer.space import FeasibleSet, load_space


class Judge:
    """A deterministic fitness with a rugged part, and the trials that it gives.

    Args:
        feasible: The set that is searched.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible = feasible
        self.trials: list[Trial] = []

    def value(self, architecture: Architecture) -> float:
        """Return a value that grows with depth and heads, roughened by the parameters' last digits."""
        params = self.feasible.space.params(architecture)
        return (
            architecture.depth + sum(architecture.num_heads) / 10 - sum(architecture.mlp_ratio) / 20 + params % 7 / 10
        )

    def judge(self, architectures: Sequence[Architecture], *, failed: bool = False) -> list[Trial]:
        """Return the trials of architectures, numbered in the order judged; without values if ``failed``."""
        trials = []
        for architecture in architectures:
            value, error = (None, "failed on purpose") if failed else (self.value(architecture), None)
            costs = self.feasible.space.costs(architecture)
            trials.append(Trial(len(self.trials), 0, architecture, value, error, costs=costs))
            self.trials.append(trials[-1])
        return trials


def stream(strategy: Strategy, judge: Judge, asks: Sequence[int]) -> list[list[Architecture]]:
    """Ask in the given batch sizes, tell every value, and return what was asked."""
    batches = []
    for size in asks:
        batches.append(strategy.ask(size))
        strategy.tell(judge.judge(batches[-1]))
    return batches


def main(name: str, space: str, params: str, seed: str, asks: str) -> None:
    """Print as JSON what a new strategy asks; all arguments are text."""
    feasible = load_space(space).feasible(params=params)
    sizes: list[int] = json.loads(asks)
    factory: StrategyFactory = get_strategy(name)
    strategy = factory(feasible, seed=int(seed), evaluations=sum(sizes), batch_size=max(sizes))
    batches = stream(strategy, Judge(feasible), sizes)
    print(json.dumps([[architecture.to_dict() for architecture in batch] for batch in batches]))


if __name__ == "__main__":
    main(*sys.argv[1:])
