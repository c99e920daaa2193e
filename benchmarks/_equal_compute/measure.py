"""Equal compute: one supernet with a winner for each budget, against networks trained alone for the same total."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._equal_compute.plan import EqualComputePlan
from benchmarks._equal_compute.rivals import hand_scaled
from benchmarks._equal_compute.trainings import EarlyStopping, Front, SupernetTraining
from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import mean_of
from nasformer.diagnose.jobs import Alone, Doing, JobResult, seconds_of
from nasformer.errors import DiagnosisError

WINNER, ALONE, UNIFORM, STOPPED = "winner", "winner, trained alone", "largest uniform ViT", "random, early stopping"
SINGLE = "one small ViT for all"
"""The uniform ViT of the smallest budget, trained with the compute of all."""


def compute(bench: Bench, do: Doing) -> JobResult:
    """Compare the winners of all budgets with networks trained alone, at equal total compute.

    The supernet's training, the search and the fine-tuning of the winners take ``1 + plan.share`` times the training's
    compute; each network trained alone, and each search with early stopping, takes an equal part of that total. The
    uniform ViT of the smallest budget, which meets all of them, is also trained with the whole.
    """
    plan, space, seeds = bench.plan, bench.net.space, range(bench.plan.seeds)
    assert isinstance(plan, EqualComputePlan)
    if not plan.budgets:
        raise DiagnosisError("equal compute compares budgets; give some", plan.budgets)
    training = float(bench.training["macs"])
    each = training * (1 + plan.share) / len(plan.budgets)
    rivals = [
        {UNIFORM: space.feasible(**budget).largest_uniform(), **hand_scaled(space, budget)} for budget in plan.budgets
    ]
    cells = [(number, name) for number, named in enumerate(rivals) for name in named]
    trainings = [SupernetTraining(seed) for seed in seeds[1:]]
    fixed = [Alone(rivals[number][name], plan.recipe, each, seed) for number, name in cells for seed in seeds]
    small = rivals[0][UNIFORM]
    fixed += [Alone(small, plan.recipe, each * len(plan.budgets), seed) for seed in seeds]
    stopped = [EarlyStopping(budget, plan.recipe, each, seed) for budget in plan.budgets for seed in seeds]
    found = do(bench, [*trainings, *fixed, *stopped], "rivals")
    files = ["", *(result["file"] for result in found[: len(trainings)])]
    alone_done = len(trainings) + len(fixed)
    of_rivals, of_stopped = found[len(trainings) : alone_done], found[alone_done:]
    single = _entry(bench, SINGLE, [small] * len(seeds), of_rivals[-len(seeds) :])
    fronts = do(bench, [Front(plan.finetuning, training * plan.share, seed, files[seed]) for seed in seeds], "fronts")
    tuned = [[front["winners"][number] for front in fronts] for number in range(len(plan.budgets))]
    winners = [[Architecture.from_dict(each["architecture"]) for each in own] for own in tuned]
    alone = [Alone(winner, plan.recipe, each, seed) for own in winners for seed, winner in enumerate(own)]
    scratch = do(bench, alone, "winners alone")
    rows = []
    for number, budget in enumerate(plan.budgets):
        own = slice(number * len(seeds), (number + 1) * len(seeds))
        chosen, after = winners[number], tuned[number]
        entries = [
            {**_entry(bench, WINNER, chosen, after), "inherited": [result["inherited"] for result in after]},
            _entry(bench, ALONE, chosen, scratch[own]),
        ]
        for place, (at, name) in enumerate(cells):
            if at == number:
                results = of_rivals[place * len(seeds) : (place + 1) * len(seeds)]
                entries.append(_entry(bench, name, [rivals[number][name]] * len(seeds), results))
        last = of_stopped[own]
        entries.append(_entry(bench, STOPPED, [Architecture.from_dict(x["architecture"]) for x in last], last))
        entries.append(single)
        rows.append({"budget": dict(budget), "networks": entries, "differences": _differences(entries)})
    return {
        "seconds": seconds_of(found, fronts, scratch),
        "training": [training, *(result["macs"] for result in found[: len(trainings)])],
        "fronts": [result["macs"] for result in fronts],
        "each": each,
        "rows": rows,
        "gain": _gain(rows, UNIFORM),
        "gain_by_hand": _gain(rows, None),
        "gain_over_single": _gain(rows, SINGLE),
    }


def _entry(bench: Bench, name: str, architectures: Sequence[Architecture], results: Sequence[JobResult]) -> JobResult:
    """Return the networks of one kind under one budget, one for each seed."""
    return {
        "name": name,
        "architectures": [each.to_dict() for each in architectures],
        "costs": [bench.net.space.costs(each) for each in architectures],
        "test": [bench.value(result) for result in results],
        "macs": [result["macs"] for result in results],
        "epochs": [result.get("epochs") for result in results],
    }


def by_hand(entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the best of the ViTs that are no result of a search, by their mean test value."""
    fixed = [entry for entry in entries if entry["name"] not in (WINNER, ALONE, STOPPED, SINGLE)]
    return max(fixed, key=lambda entry: float(np.mean(entry["test"])))


def _differences(entries: Sequence[Mapping[str, Any]]) -> list[JobResult]:
    """Return the paired differences of a budget: winner and rivals, and both trained alone alike."""
    known = {entry["name"]: entry for entry in entries}
    hand = by_hand(entries)
    pairs = [(WINNER, known[UNIFORM]), (WINNER, hand), (WINNER, known[STOPPED]), (ALONE, hand)]
    pairs.append((WINNER, known[SINGLE]))
    return [
        {"of": of, "minus": other["name"], "mean": mean_of(np.subtract(known[of]["test"], other["test"]))}
        for of, other in pairs
    ]


def _gain(rows: Sequence[Mapping[str, Any]], rival: str | None) -> Any:
    """Return the winners' mean gain over all budgets, with an interval over seeds; None: over the best by hand."""
    gains = []
    for row in rows:
        known = {entry["name"]: entry for entry in row["networks"]}
        other = by_hand(row["networks"]) if rival is None else known[rival]
        gains.append(np.subtract(known[WINNER]["test"], other["test"]))
    return mean_of(np.mean(gains, axis=0))
