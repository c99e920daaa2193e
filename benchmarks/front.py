"""Pareto fronts at equal evaluations: one search for several budgets against multi-objective samplers and random.

Each task is a known truth without noise: the exhaustive table of digits, the additive surrogates of measured ImageNet
accuracies (``imagenet-inherited``) and tables of trained networks (``trained-tables``), both under
``NASFORMER_REFERENCE``. Every strategy gets the same four budgets on the parameters. The hypervolume of all its
evaluations has its reference at the largest budget and at the lowest value of 1,000 random architectures; it is printed
as the mean over the cost axis of the best value within that cost: from the cheapest architecture (``whole``), and
between the smallest and the largest budget (``range``). Prints the median over seeds, and in how many of them
``thompson`` is ahead. A run that was stopped resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from optuna.study import StudyDirection
from rich.console import Console
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._marks import markdown
from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.fitness import SurrogateFitness, TableFitness
from nasformer.search import Fitness
from nasformer.search.front import hypervolume, undominated
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, SearchSpace, load_space
from nasformer.strategies.optuna import Optuna

RESULTS = Path(__file__).resolve().parent / "results" / "front.md"
DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared"))
BUDGETS = {
    "digits": "20K, 40K, 80K, 160K",
    "imagenet T": "5.7M, 6.2M, 6.8M, 7.5M",
    "imagenet S": "16M, 20M, 24M, 28M",
    "hwgpt-s": "7M, 20M, 40M, 70M",
    "hytas-houston": "400K, 800K, 1.6M, 3.2M",
    "hytas-indian": "400K, 800K, 1.6M, 3.2M",
    "hytas-pavia": "400K, 800K, 1.6M, 3.2M",
}
_HEAD = """# Pareto fronts at equal evaluations

Mean over the parameters of the best value within them, median over seeds; behind the others, the seeds in which
`thompson` is ahead.
"""
STRATEGIES = ("thompson", "nsga2", "motpe", "random")
OURS = STRATEGIES[0]


class Motpe(Optuna):
    """Optuna's TPE for several objectives: the value, and the parameters."""

    variant = None
    directions = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)
    categorical = True

    def focus(self, feasible: FeasibleSet) -> None:
        """Recommend for one budget; the asks are for the front of all."""
        self.target = feasible

    def objectives(self, architecture: Architecture, value: float) -> list[float]:
        """Return the value and the parameters."""
        return [value, self.space.params(architecture)]


class FrontTask(NamedTuple):
    """One search."""

    task: str
    evaluations: int
    strategy: str
    seed: int


class Measured(NamedTuple):
    """The mean best value over the cost axis, of a search's evaluations: the whole axis, and the budgets' range."""

    whole: float
    range: float


@cache
def truth(task: str) -> tuple[SearchSpace, Fitness]:
    """Return the space and the fitness of a task."""
    if task == "digits":
        return load_space("digits"), TableFitness("digits-exhaustive")
    if task.startswith("imagenet"):
        size = {"T": "tiny", "S": "small"}[task[-1]]
        fitness = SurrogateFitness.load(DATA / "imagenet-inherited" / f"surrogate_{size}.json")
        space = load_space(f"autoformer-{size}")
        known = {"choice": [192, 216]} if size == "tiny" else space.to_dict()["embed_dim"]  # the widths measured
        return SearchSpace.from_dict({**space.to_dict(), "embed_dim": known}), fitness
    tables = DATA / "trained-tables"
    space = load_space(tables / ("hytas.yaml" if task.startswith("hytas") else f"{task}.yaml"))
    return space, TableFitness(tables / f"{task}.jsonl")


@cache
def ends(task: str, largest: float) -> tuple[float, float]:
    """Return the least parameters of a task, and the lowest value of 1,000 random architectures."""
    space, fitness = truth(task)
    feasible = Searcher(space, "random", fitness).feasible(largest, fitness)
    values = [each.value for each in fitness.evaluate(list(dict.fromkeys(feasible.sample(1000, seed=0))))]
    return feasible.bounds("params")[0], min(value for value in values if value is not None)


def measure(task: FrontTask) -> Measured:
    """Run one search."""
    space, fitness = truth(task.task)
    strategy: Any = Motpe if task.strategy == "motpe" else task.strategy
    result = Searcher(space, strategy, fitness, task.seed).run(
        budgets=BUDGETS[task.task], evaluations=task.evaluations, confirm=1, progress=False
    )
    tightest, largest = (result.budgets[at]["params"].high for at in (0, -1))
    assert tightest is not None
    assert largest is not None
    cheapest, low = ends(task.task, largest)
    points = [(each.costs["params"], each.value) for each in result.trials if each.value is not None]
    costs, values = np.array(points).T
    return Measured(
        *(_mean_best(np.maximum(costs, start), values, start, largest, low) for start in (cheapest, tightest))
    )


def _mean_best(costs: Any, values: Any, start: float, end: float, low: float) -> float:
    """Return the mean over the costs from start to end of the best value within each, at least the low one."""
    inside = (costs <= end) & (values > low)
    front = undominated(costs[inside], values[inside])
    return low + hypervolume(front, (end, low)) / (end - start)


def summarise(done: Sequence[tuple[FrontTask, Measured]]) -> list[dict[str, Any]]:
    """Return one row for each task and number of evaluations."""
    rows = []
    for key in dict.fromkeys(task[:2] for task, _ in done):
        row: dict[str, Any] = {"task": key[0], "evaluations": key[1]}
        for kind in Measured._fields:
            found = {
                name: np.array([getattr(m, kind) for t, m in done if t[:2] == key and t.strategy == name])
                for name in dict.fromkeys(task.strategy for task, _ in done)
            }
            row[kind] = {name: round(float(np.median(values)), 4) for name, values in found.items()}
            row[f"{kind}_ahead"] = {
                name: int((found[OURS] > values).sum()) for name, values in found.items() if name != OURS
            }
            row["seeds"] = len(found[OURS])
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the medians as Markdown; behind those of the others, the seeds in which ours is ahead."""
    names = list(rows[0]["range"])
    cells = []
    for row, kind in product(rows, Measured._fields):
        best = max(row[kind].values())
        medians = {name: f"**{value:.3f}**" if value == best else f"{value:.3f}" for name, value in row[kind].items()}
        ahead = {name: f" ({won}/{row['seeds']})" for name, won in row[f"{kind}_ahead"].items()}
        cells.append([row["task"], str(row["evaluations"]), kind, *(medians[n] + ahead.get(n, "") for n in names)])
    return markdown(["task", "evaluations", "costs", *names], cells)


def measured(todo: Sequence[FrontTask], cells: Path, workers: int) -> list[tuple[FrontTask, Measured]]:
    """Return the searches done; each is kept as a line of a file, and not done again."""
    lines = cells.read_text().splitlines() if cells.is_file() else []
    done = {FrontTask(*task): Measured(*values) for task, values in map(json.loads, lines)}
    left = [task for task in todo if task not in done]
    cells.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool, cells.open("a") as file:
        running = {pool.submit(measure, task): task for task in left}
        for each in track(as_completed(running), "searches", len(left), console=Console(stderr=True)):
            done[running[each]] = each.result()
            print(json.dumps([running[each], each.result()]), file=file, flush=True)
    return [(task, done[task]) for task in todo]


def main() -> None:
    """Print the table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(BUDGETS), choices=list(BUDGETS))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--evaluations", nargs="+", type=int, default=[100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cells", type=Path, default=Path("runs/front.jsonl"), help="searches done; a run resumes")
    parser.add_argument("--write", action="store_true", help="write the table of the repository")
    options = parser.parse_args()
    known = [task for task in options.tasks if task == "digits" or DATA.joinpath("trained-tables").is_dir()]
    if len(known) < len(options.tasks):
        print(f"skipped: all but digits; no tables in {DATA} (set NASFORMER_REFERENCE)", file=sys.stderr)
    order = product(range(options.seeds), known, options.evaluations, options.strategies)
    todo = [FrontTask(task, evaluations, strategy, seed) for seed, task, evaluations, strategy in order]
    text = table(summarise(measured(todo, options.cells, options.workers)))
    print(text)
    if options.write:
        command = f"python benchmarks/front.py {shlex.join(sys.argv[1:])}"
        RESULTS.write_text(f"{_HEAD}\n    {command}\n\n{machine('optuna')}\n\n{text}")


if __name__ == "__main__":
    main()
