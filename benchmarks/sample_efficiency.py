"""Every strategy against the official evolution search, on ImageNet accuracies of AutoFormer-T and S.

The truth is the additive surrogate of 1,001 measured subnets in ``imagenet-inherited`` (under
``NASFORMER_REFERENCE``), its exact optimum known; the search sees it with and without Gaussian noise of 0.15
points. Prints the median over seeds of the true accuracy of a strategy's recommendation after
some evaluations; ``official`` are the curves of AutoFormer's own code on the same tasks. The figure
shows the median and the quartiles. Each strategy runs with its default options, some of which were tuned
on these same tasks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.stats import mannwhitneyu

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.fitness import SurrogateFitness
from nasformer.registry import get_strategy, strategy_names
from nasformer.search import Trial
from nasformer.space import FeasibleSet, load_space

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "imagenet-inherited"
RESULTS, FIGURE = HERE / "results" / "sample_efficiency.json", HERE.parent / "docs" / "sample_efficiency.png"
SPACES = {"T": "tiny", "S": "small"}
LIMITS = {"T": (5e6, 6e6), "S": (18e6, 23e6)}
NOISES = (0.0, 0.15)
SHORT, LONG = 210, 1050
CHECKS = (20, 50, 100, 150, SHORT, 500, LONG)
LEFT_OUT = ("grid", "optuna")
"""``grid`` lists its set, which is too large here; ``optuna`` with its default sampler is ``tpe``."""


class SearchTask(NamedTuple):
    """One search."""

    space: str
    noise: float
    strategy: str
    evaluations: int
    seed: int


class Curve(NamedTuple):
    """The true accuracy of the recommendation after some evaluations, and the seconds of one ask and tell."""

    values: dict[int, float]
    seconds: float


def feasible_set(space: str) -> FeasibleSet:
    """Return the set that the official searches had."""
    return load_space(f"autoformer-{SPACES[space]}").feasible(params=LIMITS[space])


def surrogate(space: str) -> SurrogateFitness:
    """Return the truth of a space."""
    return SurrogateFitness.load(DATA / f"surrogate_{SPACES[space]}.json")


def search(task: SearchTask) -> Curve:
    """Run one search, told one noisy value at a time."""
    strategy = get_strategy(task.strategy)(feasible_set(task.space), seed=task.seed, evaluations=task.evaluations)
    truth, rng = surrogate(task.space), np.random.default_rng([task.seed, 1])
    true: dict[Any, float] = {}
    values: dict[int, float] = {}
    seconds = 0.0
    for number in range(task.evaluations):
        start = time.perf_counter()
        (architecture,) = strategy.ask()
        seconds += time.perf_counter() - start
        value = next(iter(truth.evaluate([architecture]))).value
        assert value is not None
        true[architecture] = value
        start = time.perf_counter()
        strategy.tell([Trial(number, number, architecture, value + task.noise * rng.standard_normal())])
        seconds += time.perf_counter() - start
        if number + 1 in CHECKS:
            values[number + 1] = true[strategy.recommend()[0]]
    return Curve(values, seconds / task.evaluations)


def official(space: str, noise: float) -> dict[int, list[float]]:
    """Return the official evolution's curves: the true accuracies of all seeds by evaluations."""
    data = json.loads((DATA / "official_evolution.json").read_text())[f"{space}-additive-{noise}"]
    return dict(zip(data["checkpoints"], map(list, zip(*data["incumbent_true_accuracy"], strict=True)), strict=True))


def tasks(strategies: Iterable[str], seeds: int) -> list[SearchTask]:
    """Return every search; the paper's evolution runs as long as the official one did."""
    lengths = {name: LONG if name == "evolution" else SHORT for name in strategies}
    each = product(SPACES, NOISES, lengths, range(seeds))
    return [SearchTask(space, noise, name, lengths[name], seed) for space, noise, name, seed in each]


def summarise(done: Sequence[tuple[SearchTask, Curve]]) -> list[dict[str, Any]]:
    """Return one row for each task and strategy: quartiles by evaluations, and the time of ask and tell."""
    rows = []
    for key in dict.fromkeys(task[:3] for task, _ in done):
        curves = [curve for task, curve in done if task[:3] == key]
        points = {n: [curve.values[n] for curve in curves] for n in curves[0].values}
        row = {"space": key[0], "noise": key[1], "strategy": key[2], "seeds": len(curves)}
        quartiles = {str(n): np.percentile(values, (25, 50, 75)).round(4).tolist() for n, values in points.items()}
        verdict: dict[str, Any] = {}
        if LONG in points:
            reached = np.round(points[LONG], 5)  # as the official curves are, where many end in the same optimum
            worse = mannwhitneyu(reached, official(key[0], key[1])[LONG], alternative="less").pvalue
            verdict = {"p_worse_than_official": round(float(worse), 4)}
        ask_tell = 1e3 * float(np.median([curve.seconds for curve in curves]))
        rows.append({**row, "quartiles": quartiles, "ask_tell_ms": round(ask_tell, 3), **verdict})
    return rows


def print_task(space: str, noise: float, rows: Sequence[dict[str, Any]]) -> None:
    """Print one table, the best at 210 evaluations first."""
    truth, feasible = surrogate(space), feasible_set(space)
    scores = json.loads((DATA / f"surrogate_{SPACES[space]}.json").read_text())
    best = feasible.argmax({key: scores[key] for key in ("embed_dim", "depth", "layers")})
    optimum = next(iter(truth.evaluate([best]))).value
    print(f"\nAutoFormer-{space}, noise {noise}: optimum {optimum:.3f}, {feasible.count():,} architectures")
    print(f"{'evaluations':<22}" + "".join(f"{n:>9,}" for n in CHECKS) + f"{'ask+tell':>13}")
    reference = official(space, noise)
    line = {n: float(np.median(reference[n])) for n in CHECKS if n in reference}
    print(f"{'official evolution':<22}" + _cells(line))
    for row in sorted(rows, key=lambda row: -row["quartiles"][str(SHORT)][1]):
        medians = {int(n): values[1] for n, values in row["quartiles"].items()}
        verdict = f"  p(worse) {row['p_worse_than_official']}" if "p_worse_than_official" in row else ""
        print(f"{row['strategy']:<22}{_cells(medians)}{row['ask_tell_ms']:>10.2f} ms{verdict}")


def _cells(values: dict[int, float]) -> str:
    return "".join(f"{values[n]:>9.3f}" if n in values else f"{'–':>9}" for n in CHECKS)


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the anytime curves of every task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    names = list(dict.fromkeys(row["strategy"] for row in rows))
    muted = ["#4c78a8", "#f58518", "#54a24b", "#b279a2", "#9d755d", "#72b7b2", "#eeca3b", "#a0a0a0", "#7f7fff"]
    colours = dict(zip([name for name in names if name != "thompson"], muted, strict=False)) | {"thompson": "#c2185b"}
    for axes, (space, noise) in zip(grid.flat, product(SPACES, NOISES), strict=True):
        reference = official(space, noise)
        points = sorted(reference)
        axes.plot(points, [np.median(reference[n]) for n in points], "k--", label="official evolution")
        for row in (row for row in rows if (row["space"], row["noise"]) == (space, noise)):
            n = [int(point) for point in row["quartiles"]]
            low, middle, high = zip(*row["quartiles"].values(), strict=True)
            thick = 2.4 if row["strategy"] == "thompson" else 1.2
            axes.plot(n, middle, color=colours[row["strategy"]], label=row["strategy"], linewidth=thick)
            axes.fill_between(n, low, high, color=colours[row["strategy"]], alpha=0.12, linewidth=0)
        axes.set(xscale="log", title=f"AutoFormer-{space}, noise {noise} points", xlabel="evaluations")
        axes.set_ylabel("true ImageNet top-1 (surrogate), %")
        axes.grid(alpha=0.25)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the tables, write them as JSON and draw the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--strategies", nargs="+", default=[n for n in strategy_names() if n not in LEFT_OUT])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="write the results and the figure of the repository")
    parser.add_argument("--draw", action="store_true", help="draw the figure from the results of the repository alone")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"skipped: no ImageNet accuracies in {DATA} (set NASFORMER_REFERENCE)")
        return
    if options.draw:
        draw(json.loads(RESULTS.read_text())["rows"], FIGURE)
        return
    print(machine("optuna", "nevergrad", "scikit-learn"))
    todo = tasks(options.strategies, options.seeds)
    with ProcessPoolExecutor(options.workers) as pool:
        curves = track(pool.map(search, todo, chunksize=4), "searches", len(todo), console=Console(stderr=True))
        done = list(zip(todo, curves, strict=True))
    rows = summarise(done)
    for space, noise in product(SPACES, NOISES):
        print_task(space, noise, [row for row in rows if (row["space"], row["noise"]) == (space, noise)])
    if options.keep:
        RESULTS.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")
        draw(rows, FIGURE)
        print(f"\nwritten to {RESULTS} and {FIGURE}")


if __name__ == "__main__":
    main()
