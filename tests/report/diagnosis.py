"""A diagnosis made from seeds: every piece, small, with the names and figures of a real one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.space import load_space

SPACE = load_space("digits")
NUMBER = 20
Plain = dict[str, Any]


def interval(values: Sequence[float], *, sure: bool = True) -> Plain:
    """Return a mean with ends two standard errors away, or with none."""
    mean, half = float(np.mean(values)), 2 * float(np.std(values)) / len(values) ** 0.5
    return {"value": mean, "low": mean - half if sure else None, "high": mean + half if sure else None}


def around(value: float, half: float) -> Plain:
    """Return a figure with ends so far away."""
    return {"value": value, "low": value - half, "high": value + half}


def drawn() -> list[Architecture]:
    """Return the architectures that were judged."""
    return list(dict.fromkeys(SPACE.feasible(params=100_000).sample(2 * NUMBER, seed=0)))[:NUMBER]


def rows() -> list[Plain]:
    """Return every architecture with its accuracies; half of them were fine-tuned."""
    rng = np.random.default_rng(0)
    found = []
    for number, architecture in enumerate(drawn()):
        worth = 80 + SPACE.params(architecture) / 2e4
        found.append(
            {
                "architecture": architecture.to_dict(),
                **SPACE.costs(architecture),
                "inherited": worth + float(rng.normal(0, 0.4)),
                "finetuned": worth + 1.5 + float(rng.normal(0, 0.3)) if number < NUMBER // 2 else None,
                "retrained": worth + 3 + float(rng.normal(0, 0.3)),
            }
        )
    return found


def fidelity() -> Plain:
    tau = {"n": NUMBER, "kendall": {**around(0.625, 0.2), "p": 0.004}, "spearman": {**around(0.75, 0.15), "p": 0.001}}
    return {
        "seconds": 3725.0,
        "images": 359,
        "epochs": {"supernet": 8, "finetuned": 1, "retrained": 3},
        "architectures": rows(),
        "ranks": [
            {"of": "inherited", "against": "retrained", **tau},
            {"of": "finetuned", "against": "retrained", **tau, "n": NUMBER // 2},
        ],
        "noise": {"deviation": 0.31, "epochs": 8},
    }


def gap() -> Plain:
    told = rows()
    names = ("inherited", "finetuned", "retrained")
    known = {name: [row[name] for row in told if row[name] is not None] for name in names}
    first = [row["retrained"] - row["inherited"] for row in told]
    second = [row["finetuned"] - row["inherited"] for row in told if row["finetuned"] is not None]
    return {
        "rows": [{"name": name, "n": len(known[name]), "mean": interval(known[name])} for name in names],
        "differences": [
            {"of": "retrained", "minus": "inherited", "n": len(first), "mean": interval(first)},
            {"of": "finetuned", "minus": "inherited", "n": len(second), "mean": interval(second)},
        ],
    }


def sharing() -> Plain:
    told, kinds = rows(), {"entangled": 0.0, "classical": 4.5}
    supernets = [
        {
            "name": name,
            "parameters": 171_210,
            "seconds": 610.0,
            "mean": interval([row["inherited"] - less for row in told]),
            "kendall": around(0.5 - less / 10, 0.2),
            "architectures": [
                {
                    "architecture": row["architecture"],
                    "inherited": row["inherited"] - less,
                    "retrained": row["retrained"],
                }
                for row in told
            ],
        }
        for name, less in kinds.items()
    ]
    difference = {"of": "entangled", "minus": "classical", "mean": around(4.5, 0.4), "n": NUMBER}
    ablation = [
        {
            "sharing": name,
            "strategy": strategy,
            **{key: told[0][key] for key in ("architecture", "params", "inherited")},
        }
        | {"retrained": 88.25}
        for name in kinds
        for strategy in ("random", "evolution")
    ]
    return {"seconds": 1400.0, "epochs": 8, "rows": supernets, "difference": difference, "ablation": ablation}


def strategies() -> Plain:
    rng, found = np.random.default_rng(1), []
    for name, more in (("evolution", 0.6), ("thompson", 0.5), ("random", 0.0)):
        search = (86 + more + rng.normal(0, 0.2, 5)).tolist()
        test = (85.5 + more + rng.normal(0, 0.2, 5)).tolist()
        curve = [[count, 84 + (2 + more) * (1 - 0.98**count)] for count in range(1, 201)]
        found.append({"strategy": name, "search": search, "test": test, "mean": interval(test), "curve": curve})
    differences = [
        {"of": name, "minus": "random", "mean": around(value, 0.45), "p": 0.0625}
        for name, value in (("evolution", 0.6), ("thompson", 0.5))
    ]
    sizes = {"seconds": 530.0, "evaluations": 200, "seeds": 5, "images": 360}
    return {**sizes, "rows": found, "differences": differences}


def winner() -> Plain:
    plain, told = SPACE.feasible(params=100_000).uniform()[-1], []
    for name, architecture, base in (("winner", drawn()[0], 88.5), ("uniform ViT", plain, 87.9)):
        scores = [base - 0.2, base, base + 0.2]
        costs = SPACE.costs(architecture)
        alone = {"inherited": base - 2, "retrained": scores, "mean": interval(scores)}
        told.append({"name": name, "architecture": architecture.to_dict(), **costs, **alone})
    difference = {"of": "winner", "minus": "uniform ViT", "mean": around(0.6, 0.7), "n": 3}
    return {"seconds": 210.0, "epochs": 3, "rows": told, "difference": difference}


def images() -> Plain:
    sizes = (50, 100, 200, 300)
    told = [
        {"images": size, "accuracy": around(0.3 + size / 600, 0.1), "loss": around(0.4 + size / 600, 0.08)}
        for size in sizes
    ]
    return {"seconds": 42.0, "architectures": 60, "full": 360, "rows": told}


def curse() -> Plain:
    told = [
        {"evaluations": count, "search": 85 + np.log(count) / 2, "test": 85 + np.log(count) / 4}
        | {"difference": around(float(np.log(count) / 4), 0.2)}
        for count in (1, 10, 100)
    ]
    return {"architectures": 400, "bias": -0.125, "rows": told}


def diagnosis() -> Plain:
    """Return all of it, as ``diagnosis.json`` has it."""
    makers = (fidelity, gap, sharing, strategies, winner, images, curse)
    recipe = {"epochs": 3, "batch_size": 64, "learning_rate": 0.005}
    history = [
        {"epoch": epoch, "train_loss": 2 / epoch, "validation": {"largest": {"accuracy": 80.0 + epoch, "loss": 0.5}}}
        for epoch in (1, 2, 3)
    ]
    return {
        "title": "Diagnosis of digits",
        "space": SPACE.to_dict(),
        "limits": {"params": [50_000, 100_000]},
        "data": {"name": "digits", "splits": {"train": 1078, "search": 360, "test": 359}},
        "supernet": {
            "file": "home/digits.safetensors",
            "weights": "f00d",
            "training": {"seconds": 125.0, "recipe": {**recipe, "epochs": 450}, "history": history},
        },
        "recipe": recipe,
        "finetuning": {**recipe, "epochs": 1},
        "seed": 7,
        "versions": {"nasformer": "0.1.0"},
        "machine": "two cores",
        "pieces": {make.__name__: make() for make in makers},
        "claims": [
            _claim("Inherited weights rank as retrained ones do", "τ 0.63", "holds"),
            _claim("Inherited weights need no retraining", "three points are missing", "does not hold"),
            _claim("Evolution beats random search", "+0.60 (+0.15 to +1.05)", "holds"),
            _claim("The winner beats a uniform ViT", "+0.60 (−0.10 to +1.30)", "not decided"),
        ],
    }


def _claim(claim: str, here: str, verdict: str) -> Plain:
    return {"claim": claim, "paper": "81.7 and 81.7 (S)", "here": here, "verdict": verdict, "why": f"because {here}"}
