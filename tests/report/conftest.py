"""Real runs of three strategies on two tasks, small and cheap, one of them noisy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from nasformer.architecture import Architecture
from nasformer.compare import Comparison, from_results
from nasformer.report import write_comparison
from nasformer.search import Evaluation
from nasformer.searcher import Searcher
from nasformer.space import load_space

SPACE = load_space("digits")
BUDGET = 54_000
STRATEGIES = ("random", "aging-evolution", "thompson")
SEEDS = 8
EVALUATIONS = 40


def worth(architecture: Architecture) -> float:
    """Return a value that grows with the widths, distinct for nearly every architecture."""
    widths = sum(ratio * (layer + 2) for layer, ratio in enumerate(architecture.mlp_ratio))
    return 80 + sum(architecture.num_heads) / 7 + widths / 20 + architecture.embed_dim / 900


class NoisyWorth:
    """Worth plus noise that a seed and an architecture decide; confirmed with other noise."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def evaluate(self, architectures: Sequence[Architecture], purpose: str = "told") -> Iterator[Evaluation]:
        for architecture in architectures:
            noise = random.Random(f"{self.seed} {architecture} {purpose}").gauss(0, 0.1)
            yield Evaluation(architecture, worth(architecture) + noise)

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        return self.evaluate(architectures, "confirmed")

    def describe(self) -> dict[str, Any]:
        return {"kind": "noisy", "deviation": 0.1}


def one_task(name: str, noisy: bool) -> Comparison:
    results = [
        Searcher(SPACE, strategy=strategy, fitness=NoisyWorth(seed) if noisy else worth, seed=seed).run(
            budget=BUDGET, evaluations=EVALUATIONS, progress=False
        )
        for strategy in STRATEGIES
        for seed in range(SEEDS)
    ]
    optimum = max(map(worth, SPACE.feasible(params=BUDGET).sample(10**4, seed=0))) + 1e-9
    found = from_results(results, title="Three on digits", truth=worth, test=lambda a: worth(a) - 1, optimum=optimum)
    record = replace(found.tasks[0], name=name, noise=0.1 if noisy else 0.0, tested=True)
    cells, trials = found.cells.assign(task=name), found.trials.assign(task=name)
    return replace(found, tasks=(record,), cells=cells, trials=trials, command="nasformer compare x.yaml")


@pytest.fixture(scope="session")
def exact() -> Comparison:
    return one_task("exact", noisy=False)


@pytest.fixture(scope="session")
def comparison(exact: Comparison) -> Comparison:
    noisy = one_task("noisy", noisy=True)
    return replace(
        exact,
        tasks=(*exact.tasks, *noisy.tasks),
        cells=pd.concat([exact.cells, noisy.cells], ignore_index=True),
        trials=pd.concat([exact.trials, noisy.trials], ignore_index=True),
    )


@pytest.fixture(scope="session")
def written(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("comparison")
    write_comparison(folder, comparison, formats=("html", "markdown", "json"), front="params")
    return folder
