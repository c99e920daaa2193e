"""A diagnosis made from seeds: every piece, small, with the names and figures of a real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks._equal_compute.measure import ALONE, SINGLE, STOPPED, UNIFORM, WINNER
from benchmarks._equal_compute.rivals import hand_scaled
from nasformer.architecture import Architecture
from nasformer.space import load_space

SPACE = load_space("cifar10")
BUDGETS = [{"macs": macs} for macs in (1_000_000, 2_800_000, 8_000_000)]
SEEDS = 3
PART = 5e12
Plain = dict[str, Any]


def around(value: float, half: float) -> Plain:
    """Return a figure with ends so far away."""
    return {"value": value, "low": value - half, "high": value + half}


def drawn(count: int, budget: Plain) -> list[Architecture]:
    """Return the architectures of a sample."""
    return list(dict.fromkeys(SPACE.feasible(**budget).sample(2 * count, seed=0)))[:count]


def network(name: str, architectures: Sequence[Architecture], test: float) -> Plain:
    """Return the networks of one kind under one budget."""
    return {
        "name": name,
        "architectures": [each.to_dict() for each in architectures],
        "costs": [SPACE.costs(each) for each in architectures],
        "test": [test - 0.5, test, test + 0.5],
        "macs": [0.98 * PART, PART, 1.01 * PART],
        "epochs": [40.0, 41.0, 42.0] if name != STOPPED else [None] * SEEDS,
    }


def row(number: int, budget: Plain) -> Plain:
    """Return the networks of one budget."""
    winners, base = drawn(SEEDS, budget), 55 + 8.0 * number
    fixed = {UNIFORM: SPACE.feasible(**budget).largest_uniform(), **hand_scaled(SPACE, budget)}
    entries = [{**network(WINNER, winners, base + 2), "inherited": [base - 1] * SEEDS}, network(ALONE, winners, base)]
    entries += [network(name, [each] * SEEDS, base - place) for place, (name, each) in enumerate(fixed.items())]
    entries.append(network(STOPPED, winners, base + 0.25))
    single = network(SINGLE, [SPACE.feasible(**BUDGETS[0]).largest_uniform()] * SEEDS, 56)
    entries.append({**single, "macs": [len(BUDGETS) * PART] * SEEDS})
    hand = list(fixed)[1]
    pairs = [(WINNER, UNIFORM), (WINNER, hand), (WINNER, STOPPED), (ALONE, hand), (WINNER, SINGLE)]
    differences = [
        {"of": of, "minus": minus, "mean": around(2 + 0.25 * at, 1.5)} for at, (of, minus) in enumerate(pairs)
    ]
    return {"budget": budget, "networks": entries, "differences": differences}


def compute() -> Plain:
    return {
        "seconds": 7450.0,
        "training": [1e13, 1.1e13, 9e12],
        "fronts": [5e12] * SEEDS,
        "each": PART,
        "rows": [row(number, budget) for number, budget in enumerate(BUDGETS)],
        "gain": around(2.25, 0.75),
        "gain_by_hand": around(1.375, 1.625),
        "gain_over_single": around(1.125, 1.25),
    }


def fidelity() -> Plain:
    rng, parts = np.random.default_rng(0), list[Plain]()
    for name, budget, tau in (("range", BUDGETS[2], 0.625), ("band", BUDGETS[1], 0.25)):
        rows = []
        for each in drawn(20, budget):
            worth = 40 + 4 * np.log10(SPACE.macs(each))
            inherited, retrained = worth + rng.normal(0, 0.4), worth - 6 + rng.normal(0, 0.3)
            told = {"inherited": inherited, "ranking": inherited / -50, "retrained": retrained}
            rows.append({"architecture": each.to_dict(), **SPACE.costs(each), **told})
        correlation = {"kendall": {**around(tau, 0.2), "p": 0.004}, "spearman": {**around(tau, 0.25), "p": 0.001}}
        figures = ("ranking", "inherited", "params", "macs")
        parts.append({"name": name, "rows": rows, "ranks": [{"of": of, "n": 20, **correlation} for of in figures]})
    for longer in parts[0]["rows"][:5]:
        longer["long"] = longer["inherited"] - 1
    sizes = {"seconds": 3725.0, "images": 10_000, "epochs": {"supernet": 24.0, "retrained": 5.0}, "ranked_by": "loss"}
    return {**sizes, "parts": parts, "gap": {"n": 5, "mean": around(-1.0, 0.25)}}


def efficiency() -> Plain:
    rows = []
    for name, more, passed in (
        ("thompson", 0.6, [21, 34, None]),
        ("evolution", 0.5, [80] * 3),
        ("random", 0, [None] * 3),
    ):
        curve = [-2 + (0.5 + more) * (1 - 0.98**count) for count in range(1, 101)]
        rows.append({"strategy": name, "passed": passed, "curves": [curve, [1.01 * each for each in curve], curve]})
    sizes = {"seconds": 530.0, "evaluations": 100, "random": 1000, "images": 2000, "ranked_by": "loss"}
    return {**sizes, "targets": [-1.5, -1.52, -1.48], "rows": rows}


def images() -> Plain:
    rows = [
        {"images": size, "accuracy": around(0.3 + size / 600, 0.1), "loss": around(0.5 + size / 600, 0.08)}
        for size in (50, 100, 200, 270)
    ]
    return {"architectures": 60, "full": 360, "draws": 200, "rows": rows}


def diagnosis() -> Plain:
    """Return all of it, as ``diagnosis.json`` has it."""
    makers = (images, efficiency, fidelity, compute)
    recipe = {"epochs": 5, "batch_size": 64, "learning_rate": 0.001}
    history = [
        {"epoch": epoch, "train_loss": 2 / epoch, "validation": {"largest": {"accuracy": 80.0 + epoch, "loss": 0.5}}}
        for epoch in (1, 2, 3)
    ]
    return {
        "title": "Diagnosis of a supernet of cifar10",
        "space": SPACE.to_dict(),
        "budgets": BUDGETS,
        "data": {"name": "CIFAR-10", "splits": {"train": 40_000, "search": 10_000, "test": 10_000}},
        "supernet": {
            "file": "home/cifar10.safetensors",
            "weights": "f00d",
            "training": {"seconds": 125.0, "macs": 10**13, "recipe": {**recipe, "epochs": 450}, "history": history},
        },
        "recipe": recipe,
        "sizes": {"finetuning": {**recipe, "learning_rate": 0.0005}, "share": 0.5, "seeds": SEEDS},
        "seed": 7,
        "versions": {"nasformer": "0.1.0"},
        "machine": {"cores": "two cores"},
        "pieces": {make.__name__: make() for make in makers},
    }
