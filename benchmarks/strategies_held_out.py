"""Strategies over every table and surrogate here: ranks, paired tests on each task, and the time of ask and tell.

Tasks: the exhaustive table of digits, surrogates of measured ImageNet accuracies (``imagenet-inherited``), tables of
networks trained alone (HyTAS, Auto-Prox) and of GPTs (``trained-tables``), both under ``NASFORMER_REFERENCE``. The
value of a search is the true value of its winner, the best confirmed of five recommendations; noise is common to all
strategies of a seed. On each task, at each number of evaluations and each batch size, strategies are compared by
Wilcoxon's signed-rank test, paired by seed, with Holm's correction for all pairs of the task. ``thompson`` was
developed on the tasks named ``DEVELOPED``; the others are held out. Each search is kept as a line of a file; a run
that was stopped resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._marks import markdown
from benchmarks._timing import machine
from nasformer.fitness import NoisyFitness, SurrogateFitness, TableFitness
from nasformer.registry import get_strategy
from nasformer.report.statistics.pairs import holm, signed_rank_p
from nasformer.search import Fitness, Trial
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet

RESULTS = Path(__file__).resolve().parent / "results" / "strategies_held_out.md"
DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared"))
STRATEGIES = ("thompson", "random", "evolution", "aging-evolution", "local-search", "predictor-evolution", "tpe")
OURS, LEVEL, CONFIRMED = STRATEGIES[0], 0.05, 5


class Task(NamedTuple):
    """A known truth, and the noise with which searches see it."""

    space: str
    table: str
    budget: object = None
    noise: float = 0.0
    value: str = "top1"


TASKS = {
    "digits": Task("digits", "digits-exhaustive", 54e3),
    "digits, noise 1": Task("digits", "digits-exhaustive", 54e3, 1.0),
    "T": Task("autoformer-tiny", "imagenet-inherited/surrogate_tiny.json", (5e6, 6e6)),
    "T, noise 0.15": Task("autoformer-tiny", "imagenet-inherited/surrogate_tiny.json", (5e6, 6e6), 0.15),
    "S": Task("autoformer-small", "imagenet-inherited/surrogate_small.json", (18e6, 23e6)),
    "S, noise 0.15": Task("autoformer-small", "imagenet-inherited/surrogate_small.json", (18e6, 23e6), 0.15),
    "hytas-indian": Task("hytas", "trained-tables/hytas-indian.jsonl", 1.6e6),
    "hytas-houston": Task("hytas", "trained-tables/hytas-houston.jsonl", 1.6e6),
    "hytas-pavia": Task("hytas", "trained-tables/hytas-pavia.jsonl", 1.6e6),
    "auto-prox, flowers": Task("autoformer-tiny", "trained-tables/auto-prox-1.jsonl", value="flower_base_acc"),
    "auto-prox, cifar-100": Task("autoformer-tiny", "trained-tables/auto-prox-1.jsonl", value="c100_base_acc"),
    "auto-prox, chaoyang": Task("autoformer-tiny", "trained-tables/auto-prox-1.jsonl", value="chaoyang_base_acc"),
    "hwgpt-s": Task("hwgpt-s", "trained-tables/hwgpt-s.jsonl", 40e6),
}
DEVELOPED = (
    "digits",
    "digits, noise 1",
    "T",
    "T, noise 0.15",
    "S",
    "S, noise 0.15",
    "hytas-indian",
    "auto-prox, flowers",
)


class Cell(NamedTuple):
    """One search."""

    task: str
    batch_size: int
    evaluations: int
    strategy: str
    seed: int


class Found(NamedTuple):
    """The true value of the winner, and the mean and the largest CPU milliseconds of an ask with its tell."""

    value: float
    mean_ms: float
    max_ms: float


@cache
def truth(name: str) -> tuple[Fitness, FeasibleSet]:
    """Return the fitness of a task, without noise, and its feasible set."""
    task = TASKS[name]
    path = DATA / task.table
    declared = DATA / "trained-tables" / f"{task.space}.yaml"
    fitness: Any = (
        SurrogateFitness.load(path)
        if "surrogate" in task.table
        else TableFitness(path if path.is_file() else task.table, task.value)
    )
    space = declared if declared.is_file() else task.space
    return fitness, Searcher(space, "random", fitness).feasible(task.budget, fitness)


def search(cell: Cell) -> Found:
    """Run one search."""
    fitness, feasible = truth(cell.task)
    noisy = NoisyFitness(fitness, TASKS[cell.task].noise, cell.seed)
    made = {"seed": cell.seed, "evaluations": cell.evaluations, "batch_size": cell.batch_size}
    name, *options = cell.strategy.split()
    strategy = get_strategy(name)(feasible, **made, **dict(_option(each) for each in options))
    told, spent = 0, [0.0]
    while told < cell.evaluations:
        start = time.process_time()
        asked = strategy.ask(min(cell.batch_size, cell.evaluations - told))
        middle = time.process_time()
        if not asked:
            break
        trials = [
            Trial(told + i, len(spent), each.architecture, each.value, costs={"params": 0})
            for i, each in enumerate(noisy.evaluate(asked))
        ]
        resumed = time.process_time()
        strategy.tell(trials)
        spent.append(middle - start + time.process_time() - resumed)
        told += len(asked)
    confirmed = {each.architecture: each.value for each in noisy.confirm(strategy.recommend(CONFIRMED))}
    winner = max(confirmed, key=lambda each: confirmed[each] or -np.inf)
    value = next(iter(fitness.evaluate([winner]))).value
    assert value is not None
    return Found(value, round(1e3 * sum(spent) / told, 2), round(1e3 * max(spent), 2))


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


class Row(NamedTuple):
    """One task at one number of evaluations: by strategy the winners' values, mean ranks, and verdicts of pairs."""

    key: tuple[str, int, int]
    values: Mapping[str, NDArray[np.float64]]
    ranks: Mapping[str, float]
    above: frozenset[tuple[str, str]]
    """Pairs of which the first is significantly above the second."""


def compare(key: tuple[str, int, int], values: Mapping[str, NDArray[np.float64]]) -> Row:
    """Return the ranks and the significant pairs of a task."""
    table = np.array(list(values.values()))
    ranks = rankdata(-table, axis=0).mean(axis=1)
    pairs = list(combinations(values, 2))
    differences = [values[a] - values[b] for a, b in pairs]
    rejected = holm(np.array([signed_rank_p(each) for each in differences])) <= LEVEL
    signed = [(each != 0) * np.sign(each) * rankdata(np.abs(each)) for each in differences]
    above = [
        (a, b) if lean.sum() > 0 else (b, a) for (a, b), lean, no in zip(pairs, signed, rejected, strict=True) if no
    ]
    return Row(key, values, dict(zip(values, ranks.tolist(), strict=True)), frozenset(above))


def rows_of(done: Mapping[Cell, Found]) -> list[Row]:
    """Return the rows of the tasks that every strategy has searched, over the seeds of all."""
    rows, names = [], {cell.strategy for cell in done}
    for key in dict.fromkeys(cell[:3] for cell in done):
        found: dict[str, dict[int, float]] = {}
        for cell, each in done.items():
            if cell[:3] == key:
                found.setdefault(cell.strategy, {})[cell.seed] = each.value
        seeds = sorted(set.intersection(*(set(each) for each in found.values())))
        if seeds and set(found) == names:
            rows.append(compare(key, {name: np.array([each[s] for s in seeds]) for name, each in found.items()}))
    return rows


def report(done: Mapping[Cell, Found]) -> str:
    """Return the tables as Markdown."""
    rows, names = rows_of(done), list(dict.fromkeys(cell.strategy for cell in done))
    cells = []
    for row in rows:
        task, batch, evaluations = row.key
        medians = {name: float(np.median(values)) for name, values in row.values.items()}
        marks = {
            name: f"{'*' if (name, 'random') in row.above else ''}{'−' if any(b == name for _, b in row.above) else ''}"
            for name in names
        }
        shown = [
            f"{medians[name]:.3f} ({row.ranks[name]:.1f}){marks[name]}" if name in medians else "" for name in names
        ]
        held = "" if task in DEVELOPED else "held out"
        cells.append([task, held, str(evaluations), str(batch), str(len(next(iter(row.values.values())))), *shown])
    text = markdown(["task", "", "evaluations", "batch", "seeds", *names], cells)
    text += "\n`*` significantly above `random`; `−` significantly below some strategy. In parentheses the mean rank.\n"
    return f"{text}\n{summary(rows, names)}\n{times(done, names)}"


def summary(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the average ranks and the number of tasks with a significant difference."""
    cells = []
    for name in names:
        ranks = {part: [r.ranks[name] for r in rows if (r.key[0] in DEVELOPED) == part] for part in (True, False)}
        both = [*ranks[True], *ranks[False]]
        means = [f"{np.mean(each):.2f}" if each else "" for each in (both, ranks[True], ranks[False])]
        above = sum((name, "random") in row.above for row in rows)
        possible = sum(any(b == "random" for _, b in row.above) for row in rows)
        below = [row for row in rows if any(b == name for _, b in row.above)]
        cells.append([name, *means, f"{above} of {possible}", str(len(below))])
    head = ["strategy", "mean rank", "developed on", "held out", "above `random`, where any is", "below any"]
    return markdown(head, cells)


def times(done: Mapping[Cell, Found], names: Sequence[str]) -> str:
    """Return the CPU times of ask and tell, batch 1: the largest mean of any task, and the task."""
    cells = []
    for name in names:
        by_task: dict[str, list[Found]] = {}
        for cell, each in done.items():
            if cell.strategy == name and cell.batch_size == 1:
                by_task.setdefault(cell.task, []).append(each)
        if by_task:
            means = {task: float(np.median([each.mean_ms for each in found])) for task, found in by_task.items()}
            slowest = max(means, key=lambda task: means[task])
            on_s = f"{means['S']:.1f}" if "S" in means else ""
            cells.append([name, f"{np.mean(list(means.values())):.1f}", f"{means[slowest]:.1f} ({slowest})", on_s])
    return markdown(["strategy", "ask and tell, ms of CPU", "slowest task", "S"], cells)


def measured(todo: Sequence[Cell], path: Path, report_only: bool) -> dict[Cell, Found]:
    """Return the searches done; each is kept as a line of a file, and not done again."""
    lines = path.read_text().splitlines() if path.is_file() else []
    done = {Cell(*cell): Found(*values) for cell, values in map(json.loads, lines)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for cell in [] if report_only else todo:
            if cell not in done:
                done[cell] = search(cell)
                print(json.dumps([cell, done[cell]]), file=file, flush=True)
    return {cell: done[cell] for cell in todo if cell in done}


def main() -> None:
    """Print the tables, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), help="'NAME OPTION=VALUE …' each")
    parser.add_argument("--evaluations", nargs="+", type=int, default=[50, 100, 200])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cells", type=Path, default=Path("runs/strategies_held_out.jsonl"), help="a run resumes")
    parser.add_argument("--report-only", action="store_true", help="report the searches done, run none")
    parser.add_argument("--write", action="store_true", help="write the tables of the repository")
    options = parser.parse_args()
    known = [
        name for name in options.tasks if TASKS[name].space == "digits" or DATA.joinpath("trained-tables").is_dir()
    ]
    if len(known) < len(options.tasks):
        print(f"skipped: all but digits; no tables in {DATA} (set NASFORMER_REFERENCE)", file=sys.stderr)
    order = product(range(options.seeds), known, options.batch_sizes, options.evaluations, options.strategies)
    todo = [Cell(task, batch, number, name, seed) for seed, task, batch, number, name in order]
    text = report(measured(todo, options.cells, options.report_only))
    print(text)
    if options.write:
        command = f"python benchmarks/strategies_held_out.py {shlex.join(sys.argv[1:])}"
        head = f"# Strategies over every table and surrogate\n\n    {command}\n\n{machine('optuna', 'scikit-learn')}\n"
        RESULTS.write_text(f"{head}\n{(__doc__ or '').partition(chr(10))[2].strip()}\n\n{text}")


if __name__ == "__main__":
    main()
