"""Races on the generations of a real search: images evaluated, and how many of the true best survive.

Per-image results of every architecture of an evolution are computed once, with a trained fashion-mnist
supernet; then races are simulated on them, the images in many random orders. Optuna's ``WilcoxonPruner``, which
compares one architecture after the other with the best so far, runs on the same results in the same orders,
against races for one place.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._population import (
    KEEP,
    TASK,
    Generations,
    Outcomes,
    Row,
    arguments,
    keep,
    led_by_loss,
    outcomes,
    report,
    trained,
)
from nasformer.architecture import Architecture
from nasformer.errors import NasformerError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.racing import Answers, Racing, race
from nasformer.tasks import Metric

BLOCK = 100
"""Images whose mean is one instance of the pruner: one report for each image would take hours."""

P_THRESHOLD = 0.1
"""The pruner's own default."""


class Kept(NamedTuple):
    """What came of the races of a search, in all orders.

    Args:
        used: Part of the images that were shown.
        best: Part of the orders in which the best of all saw every image.
        top: Part of those needed in each generation, the true top ``keep`` so far, that saw every image.
    """

    used: float
    best: float
    top: float


Contest = Callable[[Outcomes, Generations], dict[Architecture, int]]
"""From outcomes and generations to the images that each architecture saw."""


def in_orders(table: Outcomes, asked: Generations, objective: Metric, contest: Contest, orders: int) -> Kept:
    """Hold a contest in many orders of the images."""
    images = next(iter(table.values())).seen
    true = {a: float(o.values(TASK, objective).mean()) for a, o in table.items()}
    best, needed = max(true, key=lambda a: true[a]), needed_by(asked, true)
    used = won = top = 0
    for order in range(orders):
        mixed = np.random.default_rng(order).permutation(images)
        seen = contest(
            {a: Outcome({name: each[mixed] for name, each in o.scores.items()}) for a, o in table.items()}, asked
        )
        used += sum(seen.values())
        won += seen[best] == images
        top += sum(seen[a] == images for a in needed)
    return Kept(used / (orders * images * len(table)), won / orders, top / (orders * len(needed)))


def needed_by(asked: Generations, true: dict[Architecture, float]) -> list[Architecture]:
    """Return the architectures of each generation that are among the true top ten when it is told."""
    before: list[Architecture] = []
    needed = []
    for population in asked:
        before += population
        best = set(sorted(before, key=lambda a: -true[a])[:KEEP])
        needed += [a for a in population if a in best]
    return needed


def races(objective: Metric, places: int, racing: Racing) -> Contest:
    """Return the contest in which every generation races, against the best ``places`` before it too."""

    def contest(table: Outcomes, asked: Generations) -> dict[Architecture, int]:
        images, whole = next(iter(table.values())).seen, list[Architecture]()
        seen: dict[Architecture, int] = {}

        def compute(archs: Sequence[Architecture], start: int, stop: int) -> Answers:
            return {a: table[a].part(start, stop) for a in archs}

        for population in asked:
            rivals = [table[a] for a in whole[:places]]
            found = race(
                racing,
                population,
                compute,
                images=images,
                task=TASK,
                objective=objective,
                keep=places,
                rivals=rivals,
            )
            seen |= {a: o.seen for a, o in found.items() if isinstance(o, Outcome)}
            whole += [a for a in population if seen[a] == images]
            whole.sort(key=lambda a: -float(table[a].values(TASK, objective).mean()))
        return seen

    return contest


def pruner(objective: Metric, looks: Sequence[int]) -> Contest:
    """Return the contest in which Optuna prunes: one after the other, each against the best so far."""

    def contest(table: Outcomes, asked: Generations) -> dict[Architecture, int]:
        study = optuna.create_study(direction="maximize", pruner=optuna.pruners.WilcoxonPruner(p_threshold=P_THRESHOLD))
        seen = {}
        for architecture in [a for population in asked for a in population]:
            values = table[architecture].values(TASK, objective)
            seen[architecture] = _pruned(study.ask(), study, values, looks)
        return seen

    return contest


def _pruned(trial: optuna.Trial, study: optuna.Study, values: np.ndarray, looks: Sequence[int]) -> int:
    """Report blocks up to each look, and return the images seen when it was pruned, or all."""
    done = 0
    for look in looks:
        for block in range(done, look // BLOCK):
            trial.report(float(values[block * BLOCK : (block + 1) * BLOCK].mean()), block)
        done = look // BLOCK
        if look < len(values) and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return done * BLOCK
    study.tell(trial, float(values.mean()))
    return len(values)


def compare(table: Outcomes, asked: Generations, orders: int) -> list[Row]:
    """Print what the races spared and kept, and the same of the pruner."""
    images, rows = next(iter(table.values())).seen, list[Row]()
    note = f"{len(asked)} generations, {images:,} images, {orders} orders"
    goals: dict[str, float | None] = {"loss": 3.0, "accuracy": None}
    for by, goal in goals.items():
        objective = TASK.objective(by)
        kept = in_orders(table, asked, objective, races(objective, KEEP, Racing()), orders)
        rows.append(report(f"racing on {by} for {KEEP} places: times fewer images", 1 / kept.used, goal, note))
        rows.append(report(f"racing on {by} for {KEEP} places: true top ten kept, %", 100 * kept.top, 98.0))
        own = in_orders(table, asked, objective, races(objective, 1, Racing()), orders)
        other = in_orders(table, asked, objective, pruner(objective, Racing().looks(images)), orders)
        for name, each in (("racing", own), ("WilcoxonPruner", other)):
            rows.append(report(f"{name} on {by} for one place: times fewer images", 1 / each.used))
            rows.append(report(f"{name} on {by} for one place: the true best kept, %", 100 * each.best))
    return rows


def main() -> None:
    """Measure, print and, with ``--write``, keep the figures."""
    parser = arguments(__doc__, images=10_000)
    parser.add_argument("--generations", type=int, default=4)
    parser.add_argument("--orders", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    try:
        net, split = trained(args.supernet, args.images)
    except NasformerError as error:
        print(f"skipped: {error}")
        return
    asked = led_by_loss(net, split, args.generations)
    rows = compare(outcomes(net, split, asked, bfloat16=True), asked, args.orders)
    if args.write:
        options = {"images": args.images, "generations": args.generations, "orders": args.orders}
        keep("racing.json", options, rows)


if __name__ == "__main__":
    main()
