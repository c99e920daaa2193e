"""Time of a whole search that reaches the final quality of the paper's protocol.

The protocol: evolution, 1,050 architectures, each evaluated on the whole split in float32, one by one. Its time is
extrapolated from a sample timed in this run to 1,050; its values are computed together in bfloat16. Against it:
``thompson``, a fraction of the evaluations, raced in batches that share prefixes, in bfloat16, timed in full.
Compares the best accuracies found on the split; the winners' accuracy on test images, unused by the search, is
also printed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._population import BUDGET, POPULATION, Row, arguments, keep, report, trained
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import NasformerError
from nasformer.fitness import InheritedFitness
from nasformer.search import SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.supernet import Supernet

PROTOCOL = 1050
SAMPLE = 8
BATCH = 10


def one_by_one(net: Supernet, split: ImagesInMemory, sample: Sequence[Architecture]) -> float:
    """Return the median seconds of an evaluation as the protocol does it."""
    seconds = []
    for architecture in sample:
        start = time.perf_counter()
        list(InheritedFitness(net, split, device="cpu").evaluate([architecture]))
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def protocol(fitness: InheritedFitness, seed: int) -> SearchResult:
    """Return the paper's evolution; what an earlier seed evaluated is remembered, as no time is taken."""
    searcher = Searcher(fitness.net.space, "evolution", fitness, seed=seed)
    return searcher.run(BUDGET, evaluations=PROTOCOL, batch_size=POPULATION, progress=False)


def ours(net: Supernet, split: ImagesInMemory, seed: int, evaluations: int) -> tuple[SearchResult, list[float]]:
    """Return a search by ``thompson``, and the seconds since its start at which each trial was known."""
    clock: list[float] = []
    start = time.perf_counter()

    def tick(trial: Trial) -> None:
        clock.append(time.perf_counter() - start)

    fitness = InheritedFitness(net, split, device="cpu", dtype="bfloat16", racing=True)
    searcher = Searcher(net.space, "thompson", fitness, seed=seed)
    result = searcher.run(BUDGET, evaluations=evaluations, batch_size=BATCH, callback=tick, progress=False)
    return result, [*clock, time.perf_counter() - start]


def best_value(result: SearchResult) -> float:
    """Return the highest accuracy on all images that a search came across."""
    return max(trial.value for trial in result.trials if trial.value is not None and not trial.dropped)


def reached(result: SearchResult, clock: Sequence[float], target: float) -> tuple[int, float] | None:
    """Return after how many evaluations and seconds a search first came up to a target."""
    for trial, seconds in zip(result.trials, clock, strict=False):
        if trial.value is not None and not trial.dropped and trial.value >= target:
            return trial.number + 1, seconds
    return None


def compare(net: Supernet, split: ImagesInMemory, seeds: int, evaluations: int) -> list[Row]:
    """Run both on every seed, what is timed first, and print how they compare."""
    sample = net.space.feasible(**BUDGET).sample(SAMPLE, seed=0)
    timed = [(*ours(net, split, seed, evaluations), PROTOCOL * one_by_one(net, split, sample)) for seed in range(seeds)]
    print(f"timed: {', '.join(f'{clock[-1]:.0f} s against {usual:.0f} s' for _, clock, usual in timed)}", flush=True)
    fitness = InheritedFitness(net, split, device="cpu", dtype="bfloat16")
    judge = InheritedFitness(net, load_dataset("fashion-mnist").test, device="cpu")
    gains, arrivals, rows = [], [], list[Row]()
    for seed, (result, clock, usual) in enumerate(timed):
        theirs = protocol(fitness, seed)
        target, found = best_value(theirs), best_value(result)
        gains.append(found - target)
        arrival = reached(result, clock, target)
        arrivals.append(0.0 if arrival is None else usual / arrival[1])
        tests = [next(judge.evaluate([each.best.architecture])).value for each in (result, theirs)]
        when = "never" if arrival is None else f"after {arrival[0]} evaluations, {arrival[1]:.0f} s"
        note = f"seed {seed}: best {found:.2f} against {target:.2f} %, reached {when}; all {evaluations} in"
        note += f" {clock[-1]:.0f} s; protocol {usual:.0f} s; winners on test images {tests[0]:.2f}, {tests[1]:.2f} %"
        print(note, flush=True)
        rows.append({"what": "one seed", "note": note})
    note = f"{len(split):,} images, medians of {seeds} seeds"
    rows.append(report("to the protocol's quality, times cheaper (0: not reached)", median(arrivals), 20.0, note))
    whole = median(usual / clock[-1] for _, clock, usual in timed)
    rows.append(report(f"all {evaluations} evaluations, times cheaper", whole, None, note))
    rows.append(report("their best accuracy less the protocol's, points", median(gains), 0.0))
    return rows


def main() -> None:
    """Measure, print and, with ``--write``, keep the figures."""
    parser = arguments(__doc__, images=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=150, help="of thompson")
    args = parser.parse_args()
    torch.set_num_threads(1)
    try:
        net, split = trained(args.supernet, args.images)
    except NasformerError as error:
        print(f"skipped: {error}")
        return
    rows = compare(net, split, args.seeds, args.evaluations)
    if args.write:
        options = {"images": args.images, "seeds": args.seeds, "evaluations": args.evaluations}
        keep("whole_search.json", options, rows)


if __name__ == "__main__":
    main()
