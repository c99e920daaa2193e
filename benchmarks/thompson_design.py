"""Model selection for ``thompson`` by evidence: which effects ImageNet accuracies show.

For sets of features, the error on held-out architectures relative to their standard deviation, and
the log evidence per architecture, after a fit to 150 and to 600 of the 1,001 measured subnets of
AutoFormer-T and S (``imagenet-inherited`` under ``NASFORMER_REFERENCE``).
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.space import SearchSpace, load_space

DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "imagenet-inherited"
SIZES, REPEATS = (150, 600), 5
Array = NDArray[np.float64]
BASE = ("embed_dim", "depth", "any layer", "each layer")
SETS = {
    "additive": (),
    "+ embed_dim × any layer": ("embed × any",),
    "+ embed_dim × each layer": ("embed × any", "embed × each"),
    "+ heads × ratio of a layer": ("pair any", "pair each"),
    "+ neighbouring layers": ("next any", "next each"),
}
EXPECTED = {"embed_dim": 1.0, "depth": 1.0, "any layer": 1 / 40, "each layer": 1 / 40}
"""Expected variances of effects in variances of the accuracy; 1/400 for interactions."""


def columns(space: SearchSpace, codes: NDArray[np.int64]) -> dict[str, Array]:
    """Return the one-hot columns of each kind of effect."""
    codec, n = space.codec, len(codes)

    def one_hot(index: NDArray[np.int64], size: int) -> Array:
        hot: Array = (index[..., None] == np.arange(size)).astype(float)
        return hot

    def products(a: Array, b: Array) -> Array:
        together: Array = np.einsum("nli,nlj->nlij", a, b).reshape(n, a.shape[1], -1)
        return together

    width = one_hot(codes[:, 0], len(codec.values["embed_dim"]))
    heads = one_hot(codec.genes("num_heads", codes), len(codec.values["num_heads"]))
    ratios = one_hot(codec.genes("mlp_ratio", codes), len(codec.values["mlp_ratio"]))
    both = np.concatenate([heads, ratios], axis=2)
    pair = products(heads, ratios)
    following = np.concatenate([products(x[:, :-1], x[:, 1:]) for x in (heads, ratios)], axis=2)
    times_width = np.einsum("ne,nlc->nelc", width, both)
    return {
        "embed_dim": width,
        "depth": one_hot(codes[:, 1], len(codec.depths)),
        "any layer": both.sum(axis=1),
        "each layer": both.reshape(n, -1),
        "embed × any": times_width.sum(axis=2).reshape(n, -1),
        "embed × each": times_width.reshape(n, -1),
        "pair any": pair.sum(axis=1),
        "pair each": pair.reshape(n, -1),
        "next any": following.sum(axis=1),
        "next each": following.reshape(n, -1),
    }


def fit(x: Array, y: Array, kinds: NDArray[np.int64], expected: Array) -> tuple[Array, float]:
    """Return the effects and the log evidence, by expectation maximisation."""
    n, spread = len(y), float(y.var())
    variances, noise = spread * expected, spread / 10
    gram, target = x.T @ x, x.T @ y
    count = np.bincount(kinds)
    for _ in range(60):
        covariance = np.linalg.inv(gram / noise + np.diag(1 / variances[kinds]))
        mean = covariance @ target / noise
        settled = len(mean) - float((np.diag(covariance) / variances[kinds]).sum())
        total = np.bincount(kinds, weights=mean**2 + np.diag(covariance))
        variances = (total + 2 * spread * expected) / (count + 2)
        noise = (float(((y - x @ mean) ** 2).sum()) + noise * settled) / n
    whole = x * variances[kinds] @ x.T + noise * np.eye(n)
    sign, log_determinant = np.linalg.slogdet(whole)
    assert sign > 0
    return mean, -0.5 * float(n * np.log(2 * np.pi) + log_determinant + y @ np.linalg.solve(whole, y))


def measured(name: str) -> tuple[SearchSpace, list[Architecture], Array]:
    """Return a space, its measured members and their accuracies."""
    space = load_space(f"autoformer-{name}")
    rows = [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]
    keys = ("embed_dim", "num_heads", "mlp_ratio")
    known = [(Architecture.from_dict({key: row[key] for key in keys}), row["top1"]) for row in rows]
    members = [(architecture, top1) for architecture, top1 in known if architecture in space]
    return space, [architecture for architecture, _ in members], np.array([top1 for _, top1 in members])


def effects(name: str) -> None:
    """Print one row for each set of columns."""
    space, architectures, top1 = measured(name)
    blocks = columns(space, space.encode(architectures))
    print(f"\nAutoFormer-{name}, {len(top1):,} subnets: error / standard deviation, log evidence per subnet")
    print(f"{'effects':<28}{'columns':>8}" + "".join(f"{f'fit to {n}':>20}" for n in SIZES))
    for title, added in SETS.items():
        kinds = [*BASE, *added]
        x = np.concatenate([blocks[kind] for kind in kinds], axis=1)
        which = np.repeat(np.arange(len(kinds)), [blocks[kind].shape[1] for kind in kinds])
        expected = np.array([EXPECTED.get(kind, 1 / 400) for kind in kinds])
        cells = []
        for n in SIZES:
            scores = [held_out(x, top1, which, expected, n, seed) for seed in range(REPEATS)]
            error, evidence = np.median(scores, axis=0)
            cells.append(f"{error:>11.3f} {evidence:>8.3f}")
        print(f"{title:<28}{x.shape[1]:>8}" + "".join(cells))


def held_out(x: Array, y: Array, kinds: NDArray[np.int64], expected: Array, n: int, seed: int) -> tuple[float, float]:
    """Return the error on the rest after a fit to ``n``, and the evidence of the fit."""
    order = np.random.default_rng(seed).permutation(len(y))
    known, rest = order[:n], order[n:]
    centre, middle = x[known].mean(axis=0), y[known].mean()
    mean, evidence = fit(x[known] - centre, y[known] - middle, kinds, expected)
    error = y[rest] - middle - (x[rest] - centre) @ mean
    return float(np.sqrt((error**2).mean()) / y[rest].std()), evidence / n


def main() -> None:
    """Print the tables for T and S."""
    if not DATA.is_dir():
        print(f"skipped: no ImageNet accuracies in {DATA} (set NASFORMER_REFERENCE)")
        return
    print(machine("numpy"))
    for name in ("tiny", "small"):
        effects(name)


if __name__ == "__main__":
    main()
