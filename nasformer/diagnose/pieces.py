"""Pieces: what a diagnosis measures, one function each, from a bench to plain values; ``page`` says what they mean.

Every accuracy is in percent, on test images unless it says search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import Interval, kendall, mean_of, ranks, spread_of
from nasformer.diagnose.jobs import Alone, Found, Job, Search, Shared, done
from nasformer.supernet import Supernet
from nasformer.supernet.sharing import WeightSharing

STRATEGIES = ("evolution", "thompson", "random")
_SHARINGS: tuple[WeightSharing, ...] = ("entangled", "classical")
_SUBSETS = (50, 100, 200, 500, 1000, 2000, 5000)
_CURSE = (1, 2, 5, 10, 20, 50, 100)
_DRAWS = 200

Piece = dict[str, Any]


@dataclass(frozen=True)
class Doing:
    """How jobs are run.

    Attributes:
        workers: Processes.
        progress: Whether a bar is shown.
    """

    workers: int = 1
    progress: bool = True

    def __call__(self, bench: Bench, jobs: Sequence[Job], what: str) -> list[Found]:
        """Return what each job finds."""
        return done(bench, jobs, workers=self.workers, progress=self.progress, what=what)


def images(bench: Bench, do: Doing) -> Piece:
    """How well a ranking by some of the search images agrees with that by all of them."""
    pool = bench.sample(bench.plan.pool, "pool")
    told = bench.outcomes(pool, "search")
    columns = {
        "accuracy": np.stack([each.correct for each in told]).astype(np.float64),
        "loss": -np.stack([each.loss for each in told]).astype(np.float64),
    }
    full, draw = len(bench.data.search), np.random.default_rng(bench.plan.seed)
    rows = []
    for count in [size for size in _SUBSETS if size < full]:
        subsets = [draw.choice(full, count, replace=False) for _ in range(_DRAWS)]
        rows.append({"images": count, **{name: _agreement(told, subsets) for name, told in columns.items()}})
    return {"architectures": len(pool), "full": full, "draws": _DRAWS, "rows": rows}


def _agreement(columns: NDArray[np.float64], subsets: Sequence[NDArray[np.int64]]) -> Interval:
    whole = columns.mean(axis=1)
    return spread_of([kendall(columns[:, subset].mean(axis=1), whole) for subset in subsets])


def curse(bench: Bench, do: Doing) -> Piece:
    """How much better the best of several looks on the images that chose it than on test images."""
    pool = bench.sample(bench.plan.pool, "pool")
    seen = np.stack([each.correct for each in bench.outcomes(pool, "search")]).astype(np.float64) * 100.0
    test = np.stack([each.correct for each in bench.outcomes(pool, "test")]).mean(axis=1) * 100.0
    bias = float((seen.mean(axis=1) - test).mean())
    draw, shown = np.random.default_rng(bench.plan.seed), min(bench.plan.search_images, seen.shape[1])
    rows = []
    for count in [count for count in _CURSE if count <= len(pool)]:
        found = [_chosen(seen, test, count, shown, draw) for _ in range(_DRAWS)]
        search, after = np.mean(found, axis=0).tolist()
        told = [a - b for a, b in found]
        rows.append({"evaluations": count, "search": search, "test": after, "difference": spread_of(told)})
    return {"architectures": len(pool), "images": shown, "draws": _DRAWS, "bias": bias, "rows": rows}


def _chosen(
    seen: NDArray[np.float64], test: NDArray[np.float64], count: int, shown: int, draw: np.random.Generator
) -> tuple[float, float]:
    """Return the search and the test accuracy of the best of ``count`` by ``shown`` images, both drawn anew."""
    some = draw.choice(len(seen), count, replace=False)
    scores = seen[np.ix_(some, draw.choice(seen.shape[1], shown, replace=False))].mean(axis=1)
    best = int(scores.argmax())
    return float(scores[best]), float(test[some[best]])


def strategies(bench: Bench, do: Doing) -> Piece:
    """What each strategy finds in equally many evaluations, and what that is worth on test images."""
    found = _searches(bench, do)
    winners = [Architecture.from_dict(each["architecture"]) for row in found.values() for each in row]
    test = dict(zip(winners, bench.accuracies(winners, bench.data.test), strict=True))
    rows = [_strategy_row(name, row, test) for name, row in found.items()]
    base = rows[-1]
    return {
        "evaluations": bench.plan.evaluations,
        "seeds": bench.plan.searches,
        "images": len(bench.searched),
        "rows": rows,
        "differences": [_paired(row, base) for row in rows[:-1]],
    }


def _searches(bench: Bench, do: Doing) -> dict[str, list[Found]]:
    seeds = range(bench.plan.searches)
    jobs = [Search(strategy, seed) for strategy in STRATEGIES for seed in seeds]
    found = do(bench, jobs, "searches")
    return {name: found[len(seeds) * i : len(seeds) * (i + 1)] for i, name in enumerate(STRATEGIES)}


def _strategy_row(name: str, found: Sequence[Found], test: Mapping[Architecture, float]) -> Piece:
    after = [test[Architecture.from_dict(each["architecture"])] for each in found]
    length = min(len(each["curve"]) for each in found)
    curve = np.median([each["curve"][:length] for each in found], axis=0)
    return {
        "strategy": name,
        "search": [each["search"] for each in found],
        "test": after,
        "mean": mean_of(after),
        "curve": [[count, float(value)] for count, value in enumerate(curve, 1)],
    }


def _paired(row: Piece, base: Piece) -> Piece:
    from scipy import stats

    differences = np.subtract(row["test"], base["test"])
    p = 1.0 if not differences.any() else float(stats.wilcoxon(differences).pvalue)
    return {"of": row["strategy"], "minus": base["strategy"], "mean": mean_of(differences), "p": p}


def fidelity(bench: Bench, do: Doing) -> Piece:
    """Inherited against fine-tuned and retrained accuracy of architectures that were drawn, not chosen."""
    drawn = bench.sample(bench.plan.architectures, "fidelity")
    inherited = bench.judged(drawn, bench.data.test)
    some = drawn[: bench.plan.finetuned]
    alone = [Alone("retrain", each, bench.plan.recipe) for each in drawn]
    found = do(bench, [*alone, *(Alone("finetune", each, bench.plan.finetuning) for each in some)], "trained alone")
    tuned = [*found[len(drawn) :], *[None] * (len(drawn) - len(some))]
    space = bench.net.space
    rows = [
        {
            "architecture": architecture.to_dict(),
            **space.costs(architecture),
            "inherited": before.value,
            "inherited_loss": before.metrics["loss"],
            "finetuned": None if after is None else after["accuracy"],
            "retrained": fresh["accuracy"],
        }
        for architecture, before, after, fresh in zip(drawn, inherited, tuned, found, strict=False)
    ]
    pairs = (
        ("inherited", "retrained"),
        ("inherited_loss", "retrained"),
        ("finetuned", "retrained"),
        ("inherited", "finetuned"),
        ("params", "retrained"),
    )
    told = [_ranked(rows, a, b) for a, b in pairs]
    epochs = {"finetuned": bench.plan.finetuning["epochs"], "retrained": bench.plan.recipe["epochs"]}
    return {"images": len(bench.data.test), "epochs": epochs, "architectures": rows, "ranks": told}


def _ranked(rows: Sequence[Mapping[str, Any]], of: str, against: str) -> Piece:
    """Return how well one figure ranks as another does; a loss ranks from its lowest."""
    both = _with(rows, of, against)
    sign = -1.0 if of.endswith("loss") else 1.0
    figures = [sign * value for value in _column(both, of)], _column(both, against)
    return {"of": of.replace("_", " "), "against": against, "n": len(both), **ranks(*figures)}


def gap(fidelity: Piece) -> Piece:
    """What is lost by inheriting, from the architectures of ``fidelity``."""
    rows = fidelity["architectures"]
    pairs = (("retrained", "inherited"), ("retrained", "finetuned"), ("finetuned", "inherited"))
    told = {name: _column(_with(rows, name), name) for name in ("inherited", "finetuned", "retrained")}
    return {
        "rows": [{"name": name, "n": len(column), "mean": mean_of(column)} for name, column in told.items()],
        "differences": [_between(_with(rows, a, b), a, b) for a, b in pairs],
    }


def _between(rows: Sequence[Mapping[str, Any]], of: str, minus: str) -> Piece:
    differences = np.subtract(_column(rows, of), _column(rows, minus))
    return {"of": of, "minus": minus, "n": len(rows), "mean": mean_of(differences)}


def _with(rows: Sequence[Mapping[str, Any]], *names: str) -> list[Mapping[str, Any]]:
    """Return the rows that have all of these figures."""
    return [row for row in rows if all(row[name] is not None for name in names)]


def sharing(bench: Bench, do: Doing) -> Piece:
    """Entangled against classical weights at equal training, and the paper's table: what a search finds in each."""
    drawn = bench.sample(bench.plan.architectures, "fidelity")
    alone = [Alone("retrain", each, bench.plan.recipe) for each in drawn] if "fidelity" in bench.plan.pieces else []
    own = {name: itself for name in _SHARINGS if (itself := _own(bench, name)) is not None}
    missing = [name for name in _SHARINGS if name not in own]
    jobs: list[Job] = [*(Shared(name, bench.plan.sharing) for name in missing), *alone]
    found = do(bench, jobs, "supernets, and trained alone")
    trained: dict[WeightSharing, Found] = {**own, **dict(zip(missing, found, strict=False))}
    known = {a: f["accuracy"] for a, f in zip(drawn, found[len(missing) :], strict=True)} if alone else None
    nets = {
        name: bench.net if trained[name]["file"] is None else Supernet.load(trained[name]["file"], bench.net.space)
        for name in _SHARINGS
    }
    rows = []
    for name, net in nets.items():
        inherited = bench.accuracies(drawn, bench.data.test, net)
        told = [
            {"architecture": a.to_dict(), "inherited": i, "retrained": None if known is None else known[a]}
            for a, i in zip(drawn, inherited, strict=True)
        ]
        order = None if known is None else ranks(inherited, [known[a] for a in drawn])["kendall"]
        told_of = {"name": name, **{key: trained[name][key] for key in ("parameters", "seconds")}}
        rows.append({**told_of, "mean": mean_of(inherited), "kendall": order, "architectures": told})
    first, second = ([each["inherited"] for each in row["architectures"]] for row in rows)
    difference = {"of": "entangled", "minus": "classical", "mean": mean_of(np.subtract(first, second)), "n": len(drawn)}
    ablation = _ablation(bench, do, nets, trained)
    return {"epochs": bench.plan.sharing["epochs"], "rows": rows, "difference": difference, "ablation": ablation}


def _own(bench: Bench, name: WeightSharing) -> Found | None:
    """Return the supernet under diagnosis itself, where it was trained in just this way."""
    training = bench.net.metadata.get("training", {})
    if bench.net.sharing.name != name or training.get("recipe") != dict(bench.plan.sharing):
        return None
    parameters = sum(parameter.numel() for parameter in bench.net.parameters())
    return {"file": None, "parameters": parameters, "seconds": training["seconds"]}


def _ablation(
    bench: Bench, do: Doing, nets: Mapping[WeightSharing, Supernet], trained: Mapping[WeightSharing, Found]
) -> list[Piece]:
    """Return the paper's ablation: the winner of each search in each supernet, inherited and retrained."""
    cells = [(name, strategy) for name in nets for strategy in ("random", "evolution")]
    searches = [Search(strategy, bench.plan.seed, trained[name]["file"]) for name, strategy in cells]
    winners = do(bench, searches, "searches")
    chosen = [Architecture.from_dict(each["architecture"]) for each in winners]
    alone = _retrained(bench, chosen, do)
    return [
        {
            "sharing": name,
            "strategy": strategy,
            "architecture": architecture.to_dict(),
            "params": bench.net.space.params(architecture),
            "inherited": bench.accuracies([architecture], bench.data.test, nets[name])[0],
            "retrained": alone[architecture],
        }
        for (name, strategy), architecture in zip(cells, chosen, strict=True)
    ]


def _retrained(bench: Bench, architectures: Sequence[Architecture], do: Doing) -> dict[Architecture, float]:
    distinct = list(dict.fromkeys(architectures))
    found = do(bench, [Alone("retrain", each, bench.plan.recipe) for each in distinct], "retrained")
    return {architecture: each["accuracy"] for architecture, each in zip(distinct, found, strict=True)}


def winner(bench: Bench, do: Doing) -> Piece:
    """The winner of all searches against the uniform ViT of nearest cost, each trained alone with several seeds."""
    found = [each for row in _searches(bench, do).values() for each in row]
    best = Architecture.from_dict(max(found, key=lambda each: each["search"])["architecture"])
    space, seeds = bench.net.space, range(bench.plan.retrainings)
    plain = min(bench.feasible.uniform(), key=lambda each: abs(space.params(each) - space.params(best)))
    inherited = bench.accuracies([best, plain], bench.data.test)
    jobs = [Alone("retrain", each, bench.plan.recipe, seed) for each in (best, plain) for seed in seeds]
    scores = [each["accuracy"] for each in do(bench, jobs, "winner")]
    alone = scores[: len(seeds)], scores[len(seeds) :]
    rows = [
        {
            "name": name,
            "architecture": architecture.to_dict(),
            **space.costs(architecture),
            "inherited": before,
            "retrained": after,
            "mean": mean_of(after),
        }
        for name, architecture, before, after in zip(
            ("winner", "uniform ViT"), (best, plain), inherited, alone, strict=True
        )
    ]
    difference = {"of": "winner", "minus": "uniform ViT", "mean": mean_of(np.subtract(*alone)), "n": len(seeds)}
    return {"epochs": bench.plan.recipe["epochs"], "rows": rows, "difference": difference}


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows]


MEASURES: dict[str, Callable[[Bench, Doing], Piece]] = {
    "images": images,
    "curse": curse,
    "strategies": strategies,
    "sharing": sharing,
    "fidelity": fidelity,
    "winner": winner,
}
"""By name, in the order in which a diagnosis measures them."""
