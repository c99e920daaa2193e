"""Zero-cost proxies: how well they rank architectures within a budget, and the CPU seconds of an evaluation.

Kendall's tau of each proxy with measured accuracies, on random rows of each table within the budget, with a 95 %
percentile bootstrap interval over the rows. Tables: the exhaustive one of digits, inherited ImageNet accuracies
(``imagenet-inherited``), and vision transformers trained alone (``trained-tables``), both under
``NASFORMER_REFERENCE``. The mean counts the tables of one space and origin as one; the default is the proxy with the
highest, the number of parameters, which is no accuracy: it finds the networks nearest to a budget. Seconds are of the
CPU, on one thread, the fewest of a few evaluations: other load matters little.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._marks import markdown
from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.fitness import CachedFitness, TableFitness, TrainingFreeFitness
from nasformer.fitness.proxies import proxy_names
from nasformer.space import SearchSpace, load_space

RESULTS = Path(__file__).resolve().parent / "results" / "training_free.md"
DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared"))
TIMED = ("autoformer-tiny", "autoformer-small", "autoformer-base")
Values = NDArray[np.float64]


class Case(NamedTuple):
    """Rows of a table within a budget of parameters."""

    name: str
    source: str  # cases of one source count once in the mean
    space: str
    table: str
    column: str = "top1"
    params: tuple[float, float] = (0, np.inf)


CASES = (
    Case("digits, ≤ 54 k", "digits", "digits", "digits-exhaustive", params=(0, 54e3)),
    Case("ImageNet T, 5–6 M", "T", "autoformer-tiny", "imagenet-inherited/tiny.jsonl", params=(5e6, 6e6)),
    *(
        Case(f"HyTAS {scene}, ≤ 1.6 M", "hytas", "hytas.yaml", f"trained-tables/hytas-{scene}.jsonl", params=(0, 1.6e6))
        for scene in ("indian", "houston", "pavia")
    ),
    *(
        Case(f"Auto-Prox {name}", "auto-prox", "autoformer-tiny", "trained-tables/auto-prox-1.jsonl", f"{key}_base_acc")
        for name, key in (("CIFAR-100", "c100"), ("Flowers", "flower"), ("Chaoyang", "chaoyang"))
    ),
    Case("ImageNet S, 18–23 M", "S", "autoformer-small", "imagenet-inherited/small.jsonl", params=(18e6, 23e6)),
)


def rows_of(case: Case, most: int) -> tuple[SearchSpace, list[Architecture], Values]:
    """Return the space of a case, at most so many random rows of it, and their values."""
    declared, file = DATA / "trained-tables" / case.space, DATA / case.table
    space = load_space(declared if declared.is_file() else case.space)
    values = TableFitness(file if file.is_file() else case.table, case.column).values
    low, high = case.params
    within = [each for each in values if each in space and low <= space.params(each) <= high]
    drawn = [within[place] for place in np.random.default_rng(0).permutation(len(within))[:most]]
    return space, drawn, np.array([values[each] for each in drawn])


def interval(scores: Values, values: Values, resamples: int) -> str:
    """Return Kendall's tau with its bootstrap interval."""
    rng, found = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = rng.integers(len(values), size=len(values))
        found.append(kendalltau(scores[rows], values[rows]).statistic)
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return f"{tau(scores, values):.2f} ({low:.2f} to {high:.2f})"


def tau(scores: Values, values: Values) -> float:
    """Return Kendall's tau."""
    return float(kendalltau(scores, values).statistic)


def ranking(cases: Sequence[Case], most: int, resamples: int, cache: Path) -> str:
    """Return the table of Kendall's tau; scores are kept in a folder, so that a run that was stopped resumes."""
    names, cells, taus = proxy_names(), list[list[str]](), dict[str, list[list[float]]]()
    for case in cases:
        space, architectures, values = rows_of(case, most)
        row, own = [case.name, str(len(values))], list[float]()
        for name in names:
            fitness = CachedFitness(TrainingFreeFitness(space, proxy=name), cache / f"{space.name}-{name}.sqlite")
            found = {evaluation.architecture: evaluation.value for evaluation in fitness.evaluate(architectures)}
            scores = np.array([found[each] for each in architectures], float)
            own.append(tau(scores, values))
            row.append(interval(scores, values, resamples))
        taus.setdefault(case.source, []).append(own)
        cells.append(row)
        print(" ".join(row), file=sys.stderr, flush=True)
    mean = np.mean([np.mean(own, axis=0) for own in taus.values()], axis=0)
    return markdown(["table", "rows", *names], [*cells, ["mean", "", *(f"{each:.2f}" for each in mean)]])


def seconds(spaces: Sequence[str], count: int) -> str:
    """Return the table of CPU seconds: the first evaluation, with what is made once, and the fastest later one."""
    cells = []
    torch.set_num_threads(1)
    for space in map(load_space, spaces):
        architectures = space.sample(count + 1, seed=0)
        for name in proxy_names():
            fitness, spent = TrainingFreeFitness(space, proxy=name), []
            for architecture in architectures:
                start = time.process_time()
                list(fitness.evaluate([architecture]))
                spent.append(time.process_time() - start)
            cells.append([space.name, name, f"{spent[0]:.2f}", f"{min(spent[1:]):.4f}"])
            print(" ".join(cells[-1]), file=sys.stderr, flush=True)
    return markdown(["space", "proxy", "first, s", "next, s"], cells)


def main() -> None:
    """Print both tables, and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES], help="none: seconds only")
    parser.add_argument("--architectures", type=int, default=50, help="rows of each table")
    parser.add_argument("--cache", type=Path, default=Path("runs/training_free"), help="folder of the scores")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--spaces", nargs="*", default=TIMED, help="none: no seconds")
    parser.add_argument("--timed", type=int, default=5, help="evaluations of each proxy and space")
    parser.add_argument("--write", action="store_true", help="write the tables of the repository")
    options = parser.parse_args()
    cases = [case for case in CASES if case.name in options.cases and (case.space == "digits" or DATA.is_dir())]
    if len(cases) < len(options.cases):
        print(f"skipped: all but digits; no tables in {DATA} (set NASFORMER_REFERENCE)", file=sys.stderr)
    parts = {
        "Kendall's tau": ranking(cases, options.architectures, options.resamples, options.cache) if cases else "",
        "CPU seconds of an evaluation": seconds(options.spaces, options.timed),
    }
    text = "\n".join(f"## {title}\n\n{table}" for title, table in parts.items() if table)
    print(text)
    if options.write:
        command = f"python benchmarks/training_free.py {shlex.join(sys.argv[1:])}"
        head = f"# Zero-cost proxies\n\n    {command}\n\n{machine('torch')}\n"
        RESULTS.write_text(f"{head}\n{(__doc__ or '').partition(chr(10))[2].strip()}\n\n{text}", encoding="utf-8")


if __name__ == "__main__":
    main()
