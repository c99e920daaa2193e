"""Entangled against classical weight sharing at equal training, and the paper's ablation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench, told_of
from nasformer.diagnose.intervals import mean_of, ranks
from nasformer.diagnose.jobs import JobResult, Search, Shared
from nasformer.diagnose.pieces.piece import Doing, Piece, retrained, seconds_of
from nasformer.supernet import Supernet
from nasformer.supernet.sharing import WeightSharing

_KINDS: tuple[WeightSharing, ...] = ("entangled", "classical")


def sharing(bench: Bench, do: Doing) -> Piece:
    """Measure inherited values and search results with each kind of weight sharing."""
    trained = _trained(bench, do)
    nets = {kind: _net(bench, found) for kind, found in trained.items()}
    drawn = bench.sample(bench.plan.architectures, "fidelity")
    inherited = {kind: bench.values(drawn, bench.data.test, net) for kind, net in nets.items()}
    rows = [
        {
            "name": kind,
            "parameters": trained[kind]["parameters"],
            "seconds": trained[kind]["seconds"],
            "mean": mean_of(scores),
            "architectures": [
                {"architecture": architecture.to_dict(), "inherited": score}
                for architecture, score in zip(drawn, scores, strict=True)
            ],
        }
        for kind, scores in inherited.items()
    ]
    difference = mean_of(np.subtract(inherited["entangled"], inherited["classical"]))
    ablation, seconds = _ablation(bench, do, nets, trained)
    return {
        "seconds": seconds_of(list(trained.values())) + seconds,
        "epochs": bench.plan.sharing["epochs"],
        "rows": rows,
        "difference": {"of": "entangled", "minus": "classical", "mean": difference, "n": len(drawn)},
        "ablation": ablation,
    }


def _trained(bench: Bench, do: Doing) -> dict[WeightSharing, JobResult]:
    """Return a supernet of each kind; the diagnosed one is reused if it was trained the same way."""
    own = {kind: itself for kind in _KINDS if (itself := _own(bench, kind)) is not None}
    missing = [kind for kind in _KINDS if kind not in own]
    found = do(bench, [Shared(kind, bench.plan.sharing) for kind in missing], "supernets")
    told = own | dict(zip(missing, found, strict=True))
    return {kind: told[kind] for kind in _KINDS}


def _own(bench: Bench, kind: WeightSharing) -> JobResult | None:
    training = bench.net.metadata.get("training", {})
    alike = (
        bench.net.sharing.name == kind
        and training.get("recipe") == dict(bench.plan.sharing)
        and told_of(training.get("data", {})) == bench.images
        and not training.get("teacher")
        and "imported" not in bench.net.metadata
    )
    if not alike:
        return None
    parameters = sum(parameter.numel() for parameter in bench.net.parameters())
    return {"file": None, "parameters": parameters, "seconds": training["seconds"]}


def _net(bench: Bench, found: JobResult) -> Supernet:
    return bench.net if found["file"] is None else Supernet.load(bench.folder / found["file"], bench.net.space)


def _ablation(
    bench: Bench, do: Doing, nets: Mapping[WeightSharing, Supernet], trained: Mapping[WeightSharing, JobResult]
) -> tuple[list[Piece], float]:
    """Return each search's winner in each supernet, inherited and retrained, and the time."""
    cells = [(kind, strategy) for kind in nets for strategy in ("random", "evolution")]
    searches = [Search(strategy, bench.plan.seed, trained[kind]["file"]) for kind, strategy in cells]
    found = do(bench, searches, "ablation")
    winners = [Architecture.from_dict(each["architecture"]) for each in found]
    alone = retrained(bench, do, winners)
    rows: list[Piece] = [
        {
            "sharing": kind,
            "strategy": strategy,
            "architecture": winner.to_dict(),
            "params": bench.net.space.params(winner),
            "inherited": bench.values([winner], bench.data.test, nets[kind])[0],
            "retrained": bench.value(alone[winner]),
        }
        for (kind, strategy), winner in zip(cells, winners, strict=True)
    ]
    return rows, seconds_of(found, list(alone.values()))


def ranked(sharing: Piece, fidelity: Piece) -> Piece:
    """Return the piece with retrained values and the rank correlation of each kind of weight sharing."""
    known = [row["retrained"] for row in fidelity["architectures"]]
    return {**sharing, "rows": [_ranked(row, known) for row in sharing["rows"]]}


def _ranked(row: Mapping[str, Any], known: list[float]) -> Piece:
    told = [{**each, "retrained": alone} for each, alone in zip(row["architectures"], known, strict=True)]
    order = ranks([each["inherited"] for each in told], known)["kendall"]
    return {**row, "kendall": order, "architectures": told}
