"""stream: a strategy's asks on a deterministic fitness, also in another process from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from nasformer.architecture import Architecture
from nasformer.registry import StrategyFactory, get_strategy
from nasformer.search import Strategy, Trial
from nasformer.space import FeasibleSet, load_space


class Judge:
    """A deterministic, rugged fitness, and its trials.

    Args:
        feasible: The searched set.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible = feasible
        self.trials: list[Trial] = []

    def value(self, architecture: Architecture) -> float:
        """Return a value that grows with depth and heads, plus a rugged term: the parameters modulo 7."""
        params = self.feasible.space.params(architecture)
        return (
            architecture.depth + sum(architecture.num_heads) / 10 - sum(architecture.mlp_ratio) / 20 + params % 7 / 10
        )

    def judge(self, architectures: Sequence[Architecture], *, failed: bool = False) -> list[Trial]:
        """Return the trials of architectures, numbered in order; without values if ``failed``."""
        trials = []
        for architecture in architectures:
            value, error = (None, "failed on purpose") if failed else (self.value(architecture), None)
            costs = self.feasible.space.costs(architecture)
            probe = architecture not in self.feasible
            trials.append(Trial(len(self.trials), 0, architecture, value, error, costs=costs, probe=probe))
            self.trials.append(trials[-1])
        return trials


def stream(strategy: Strategy, judge: Judge, asks: Sequence[int]) -> list[list[Architecture]]:
    """Ask in the given batch sizes, tell every value, and return the batches."""
    batches = []
    for size in asks:
        batches.append(strategy.ask(size))
        strategy.tell(judge.judge(batches[-1]))
    return batches


def main(name: str, space: str, params: str, seed: str, asks: str) -> None:
    """Print the asks of a new strategy as JSON; all arguments are text."""
    feasible = load_space(space).feasible(params=params)
    sizes: list[int] = json.loads(asks)
    factory: StrategyFactory = get_strategy(name)
    strategy = factory(feasible, seed=int(seed), evaluations=sum(sizes), batch_size=max(sizes))
    batches = stream(strategy, Judge(feasible), sizes)
    print(json.dumps([[architecture.to_dict() for architecture in batch] for batch in batches]))


if __name__ == "__main__":
    main(*sys.argv[1:])
