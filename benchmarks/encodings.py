"""Compare encodings for TPE and Nevergrad: ordinal or categorical, masked or not, repaired or rejected.

Each variant is the ordinal encoding with one or two changes, on the surrogates of ``sample_efficiency``.
They share seeds and noise, so that each is compared with the ordinal one seed by seed (Wilcoxon's signed-rank
test after 210 evaluations). Only distinct feasible architectures are evaluated; duplicates, infeasible proposals
and the random draws that replace them are counted but not charged. Therefore ``tpe`` is categorical, as good
in a fraction of the time, and ``nevergrad`` ordinal; both repair.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import nevergrad as ng
import numpy as np
from optuna.distributions import CategoricalDistribution
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState
from scipy.stats import wilcoxon

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from benchmarks.sample_efficiency import DATA, NOISES, SPACES, feasible_set, surrogate
from nasformer.architecture import Architecture
from nasformer.search import BaseStrategy, Trial
from nasformer.strategies.nevergrad import Nevergrad
from nasformer.strategies.optuna import Optuna

RESULTS = Path(__file__).resolve().parent / "results" / "encodings.json"
EVALUATIONS = 210
CHECKS = (50, 100, EVALUATIONS)
BASELINE = "ordinal"
LONGER = 10
"""Proposals for each evaluation in Nevergrad's budget, where duplicates and refusals are not to use it up."""
SLOW = ("constraints", "masked", "TransitionChoice", "Choice")
"""Variants that take long and run on fewer seeds."""


class Categorical(Optuna):
    """TPE whose genes are categories: their order is lost."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._distributions = {name: CategoricalDistribution(range(n)) for name, n in self._genes.choices.items()}


class Constrained(Optuna):
    """TPE that is told by how much a suggestion misses the budget, in millions of parameters."""

    def propose(self) -> Architecture:
        """Return the sampler's suggestion as it is; a random draw at the start."""
        if len(self._asked) < self.startup:
            return super().propose()
        trial = self._call(self._study.ask, self._distributions)
        architecture = self._genes.decode(trial.params)
        self._pending[architecture].append(trial)
        return architecture

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the sampler the value, or the violation of what was not evaluated."""
        if architecture in self.feasible:
            super().observe(architecture, value)
            return
        (trial,) = self._pending.pop(architecture)
        assert isinstance(trial, OptunaTrial)
        trial.set_constraint("params", self._excess(architecture))
        self._call(self._study.tell, trial, state=TrialState.PRUNED)  # there is no value, and TPE asks for none

    def _excess(self, architecture: Architecture) -> float:
        low, high = self.feasible.limits["params"]
        params = self.space.params(architecture)
        return max((low or 0) - params, params - (high or math.inf)) / 1e6


class CategoricalConstrained(Categorical, Constrained):
    """Both."""


class Masked(Optuna):
    """TPE defined by run: embed_dim and depth first, then the genes of the layers that exist."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, multivariate=True, group=True, **options)
        self._ask_study, self._all = self._study.ask, self._distributions
        self._study.ask = self._suggest  # type: ignore[method-assign]
        self._genes.encode = self._write  # type: ignore[method-assign]

    def _suggest(self, fixed_distributions: object = None) -> OptunaTrial:
        trial = self._ask_study()
        for name in ("embed_dim", "depth"):
            trial._suggest(name, self._all[name])
        for name in self._genes.active(self.space.codec.depths[trial.params["depth"]]):
            trial._suggest(name, self._all[name])
        return trial

    def _write(self, architecture: Architecture, rng: object) -> dict[str, int]:
        genes = type(self._genes).encode(self._genes, architecture, self.rng)
        return {name: genes[name] for name in self._genes.active(architecture.depth)}

    def observe(self, architecture: Architecture, value: float | None) -> None:
        """Tell the sampler, about the active genes alone."""
        self._distributions = {name: self._all[name] for name in self._genes.active(architecture.depth)}
        super().observe(architecture, value)


class CategoricalMasked(Masked, Categorical):
    """Both."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._all = {name: CategoricalDistribution(range(n)) for name, n in self._genes.choices.items()}


class Encoded(Nevergrad):
    """Nevergrad with another reading of its candidates, or without repair."""

    repaired = True

    def propose(self) -> Architecture:
        """Return the optimizer's candidate."""
        if self._optimizer.num_ask >= self._budget:
            self.counts["replaced"] += 1
            return self.draw()
        candidate = self._call(self._optimizer.ask) if self._prefetched is None else self._prefetched
        self._prefetched = None
        suggested = self._genes.decode(self._indices(candidate))
        architecture = self.feasible.repair(suggested) if self.repaired else suggested
        self._pending[architecture].append(candidate)
        return architecture

    def _indices(self, candidate: Any) -> Mapping[str, int]:
        return dict(zip(self._genes.choices, candidate.value.astype(int).tolist(), strict=True))

    def _remake(self, parametrization: Any) -> None:
        parametrization.random_state = np.random.RandomState(self.seed)
        factory = ng.optimizers.registry[self.optimizer]
        self._optimizer = self._call(factory, parametrization, budget=self._budget, num_workers=1)


class PerGene(Encoded):
    """Nevergrad with one discrete variable for each gene: ``Choice`` or ``TransitionChoice``."""

    def __init__(self, *arguments: Any, kind: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        variable = getattr(ng.p, kind)
        self._remake(ng.p.Dict(**{name: variable(range(n)) for name, n in self._genes.choices.items()}))

    def _indices(self, candidate: Any) -> Mapping[str, int]:
        return {name: int(index) for name, index in candidate.value.items()}


class Longer(Encoded):
    """Nevergrad with a longer budget; where it does not repair, what is infeasible is told as the worst seen."""

    def __init__(self, *arguments: Any, repaired: bool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.repaired = repaired
        self._budget *= LONGER
        self._remake(self._optimizer.parametrization)


Factory = Callable[..., BaseStrategy]


def _nevergrad(optimizer: str) -> dict[str, Factory]:
    return {
        BASELINE: partial(Nevergrad, optimizer=optimizer),
        "TransitionChoice": partial(PerGene, kind="TransitionChoice", optimizer=optimizer),
        "Choice": partial(PerGene, kind="Choice", optimizer=optimizer),
        "longer budget": partial(Longer, repaired=True, optimizer=optimizer),
        "longer, told as worst": partial(Longer, repaired=False, optimizer=optimizer),
    }


VARIANTS: dict[str, dict[str, Factory]] = {
    "TPE": {
        BASELINE: Optuna,
        "categorical": Categorical,
        "constraints": Constrained,
        "categorical, constraints": CategoricalConstrained,
        "masked": Masked,
        "categorical, masked": CategoricalMasked,
    },
    "NGOpt": _nevergrad("NGOpt"),
    "DiscreteOnePlusOne": _nevergrad("DiscreteOnePlusOne"),
}


class Run(NamedTuple):
    """True accuracies of the recommendation at ``CHECKS``, proposals counted, milliseconds of one ask and tell."""

    values: tuple[float, ...]
    counts: dict[str, int]
    ask_tell_ms: float


def search(factory: Factory, space: str, noise: float, seed: int) -> Run:
    """Run one search, told one noisy value at a time."""
    strategy = factory(_feasible(space), seed=seed, evaluations=EVALUATIONS)
    truth, rng = _truth(space), np.random.default_rng([seed, 1])
    values: list[float] = []
    seconds = 0.0
    for number in range(EVALUATIONS):
        start = time.perf_counter()
        (architecture,) = strategy.ask()
        seconds += time.perf_counter() - start
        told = _accuracy(truth, architecture) + noise * rng.standard_normal()
        start = time.perf_counter()
        strategy.tell([Trial(number, number, architecture, told)])
        seconds += time.perf_counter() - start
        if number + 1 in CHECKS:
            values.append(_accuracy(truth, strategy.recommend()[0]))
    return Run(tuple(values), strategy.counts, 1e3 * seconds / EVALUATIONS)


_feasible, _truth = cache(feasible_set), cache(surrogate)


def _accuracy(truth: Any, architecture: Architecture) -> float:
    return float(next(iter(truth.evaluate([architecture]))).value)


def verdict(gains: Sequence[float]) -> dict[str, Any]:
    """Return what paired differences after 210 evaluations say: how large, how often, how surely."""
    return {
        "mean_gain": round(float(np.mean(gains)), 4),
        "better": sum(gain > 0 for gain in gains),
        "worse": sum(gain < 0 for gain in gains),
        "p": round(float(wilcoxon(gains).pvalue), 5) if any(gains) else 1.0,
    }


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Return quartiles by evaluations, the mean counts of proposals, and the time of ask and tell."""
    quartiles = np.percentile([run.values for run in runs], (25, 50, 75), axis=0).T.round(4).tolist()
    return {
        "seeds": len(runs),
        "quartiles": dict(zip(map(str, CHECKS), quartiles, strict=True)),
        "proposals": {name: round(float(np.mean([run.counts[name] for run in runs])), 1) for name in runs[0].counts},
        "ask_tell_ms": round(float(np.median([run.ask_tell_ms for run in runs])), 2),
    }


Gains = dict[str, list[float]]


def compare(name: str, space: str, noise: float, seeds: Mapping[str, int], pooled: Gains) -> list[dict[str, Any]]:
    """Return and print one row for each variant of a strategy on a task; the gains are added to ``pooled``."""
    print(f"\n{name}, AutoFormer-{space}, noise {noise}: median true accuracy")
    head = "".join(f"{n:>9}" for n in CHECKS)
    print(
        f"{'':<26}{head}{'gain':>9}{'+/-':>7}{'p':>8}{'dupl.':>8}{'infeas.':>9}{'drawn':>8}{'ask+tell':>12}{'seeds':>7}"
    )
    rows: list[dict[str, Any]] = []
    baseline: list[Run] = []
    for variant, factory in VARIANTS[name].items():
        runs = [search(factory, space, noise, seed) for seed in range(seeds[variant])]
        baseline = baseline or runs
        gains = [run.values[-1] - other.values[-1] for run, other in zip(runs, baseline, strict=False)]
        pooled.setdefault(variant, []).extend(gains)
        task = {"strategy": name, "space": space, "noise": noise, "variant": variant}
        rows.append({**task, **summarise(runs), **verdict(gains)})
        print_row(rows[-1])
    return rows


def over_tasks(name: str, pooled: Gains) -> list[dict[str, Any]]:
    """Return and print one verdict for each variant of a strategy over the pairs of all tasks."""
    print(f"\n{name}, all tasks")
    rows = [
        {"strategy": name, "variant": variant, "pairs": len(gains), **verdict(gains)}
        for variant, gains in pooled.items()
        if variant != BASELINE
    ]
    for row in rows:
        score = f"{row['mean_gain']:>+9.3f}{row['better']:>4}/{row['worse']:<3}"
        print(f"{row['variant']:<26}{score}p {row['p']:.5f}, {row['pairs']} pairs", flush=True)
    return rows


def print_row(row: Mapping[str, Any]) -> None:
    """Print one row."""
    medians = "".join(f"{row['quartiles'][str(n)][1]:>9.3f}" for n in CHECKS)
    score = f"{row['mean_gain']:>+9.3f}{row['better']:>4}/{row['worse']:<2}{row['p']:>8.3f}"
    counts = row["proposals"]
    proposals = f"{counts['duplicates']:>8.0f}{counts['infeasible']:>9.0f}{counts['replaced']:>8.0f}"
    print(f"{row['variant']:<26}{medians}{score}{proposals}{row['ask_tell_ms']:>9.2f} ms{row['seeds']:>7}", flush=True)


def keep(name: str, **parts: list[dict[str, Any]]) -> None:
    """Write the rows of a strategy, in place of those that the results have of it."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for part, rows in parts.items():
        kept[part] = [row for row in kept.get(part, []) if row["strategy"] != name] + rows
    kept["machine"] = machine("optuna", "nevergrad")
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Print the tables and keep the aggregates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strategies", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--slow-seeds", type=int, default=2, help=f"seeds of {', '.join(SLOW)}")
    parser.add_argument("--keep", action="store_true", help="write the results of the repository")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: no ImageNet accuracies in {DATA} (set NASFORMER_REFERENCE)")
        return
    print(machine("optuna", "nevergrad"))
    for name in options.strategies:
        pooled: Gains = {}
        few = min(options.slow_seeds, options.seeds)
        seeds = {variant: few if variant in SLOW else options.seeds for variant in VARIANTS[name]}
        tasks = [row for task in product(SPACES, NOISES) for row in compare(name, *task, seeds, pooled)]
        everywhere = over_tasks(name, pooled)
        if options.keep:
            keep(name, tasks=tasks, all_tasks=everywhere)


if __name__ == "__main__":
    main()
