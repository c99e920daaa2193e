"""diagnose: run the measurements of a plan, resumable, and write one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from nasformer._io import digest, to_json
from nasformer._provenance import machine, versions
from nasformer._record import read_record
from nasformer.architecture import Architecture
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.efficiency import EFFICIENCY
from nasformer.diagnose.fidelity import FIDELITY
from nasformer.diagnose.images import IMAGES
from nasformer.diagnose.jobs import JobResult, done
from nasformer.diagnose.piece import Claim, Piece
from nasformer.diagnose.plan import Plan
from nasformer.errors import DiagnosisError, did_you_mean
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import replace_file
from nasformer.tasks import Metric

FILE = "diagnosis.json"

PIECES: dict[str, Piece] = {"images": IMAGES, "efficiency": EFFICIENCY, "fidelity": FIDELITY}
"""Pieces by name, in execution order."""


def diagnose(
    net: Supernet,
    data: Dataset,
    plan: Plan,
    out: str | Path,
    *,
    file: str = "",
    workers: int = 1,
    device: str = "auto",
    readers: Readers = 0,
    progress: bool = True,
    pieces: dict[str, Piece] = PIECES,
) -> dict[str, Any]:
    """Run the missing measurements of a plan, and return all results as plain values.

    Args:
        net: A trained supernet.
        data: Its training dataset, with the same splits.
        plan: Measurements and their size.
        out: Folder for ``diagnosis.json`` and intermediate results; the same folder resumes.
        file: Path of the supernet, for the record.
        workers: Processes that train and search.
        device: Device of training and evaluation.
        readers: Processes that read images, of each process.
        progress: Show progress bars.
        pieces: The pieces that the plan can name.

    Returns:
        ``pieces`` by name, tested ``claims``, and provenance.

    Raises:
        DataError: The images do not fit the supernet.
        BudgetError: No architecture meets the budget.
        DiagnosisError: A piece is unknown, or the budget allows too few architectures.
        NasformerError: A training or a search failed.
    """
    wanted = plan.pieces or tuple(pieces)
    for name in wanted:
        if name not in pieces:
            raise DiagnosisError(f"a diagnosis has no piece {name!r}; {did_you_mean(name, pieces)}", name)
    data.check(net.space)
    bench = Bench(net, data, plan, Path(out), device, readers)
    _require_enough(bench, wanted)
    do = partial(done, workers=workers, progress=progress)
    paths = {name: _path(bench, name, piece) for name, piece in pieces.items()}
    for name, piece in pieces.items():
        if name in wanted and not paths[name].exists():
            replace_file(paths[name], json.dumps(piece.measure(bench, do), indent=1) + "\n")
            _write(bench, paths, pieces, file)
    return _write(bench, paths, pieces, file)


def claims(
    found: Mapping[str, JobResult], metric: Metric, pieces: dict[str, Piece] = PIECES
) -> list[tuple[Piece, Claim]]:
    """Return every claim that the given pieces test, of which ``metric`` is measured."""
    known = [(piece, found[name]) for name, piece in reversed(pieces.items()) if name in found]
    return [(piece, claim) for piece, values in known for claim in piece.claims(values, metric)]


def _require_enough(bench: Bench, pieces: Sequence[str]) -> None:
    """Check before any work that the supernet, its budgets and their architectures are enough."""
    plan, samples = bench.plan, dict[str, list[Architecture]]()
    for budget in plan.budgets:
        bench.most(budget)
    if "fidelity" in pieces:
        _ = bench.training  # raises where it does not say how much it computed
        samples["architectures"] = bench.spread(plan.architectures, "range")
        if plan.band:
            samples["band"] = bench.sample(plan.band, "band", bench.band)
    if "images" in pieces:
        samples["pool"] = bench.sample(plan.pool, "pool")
    for name, sample in samples.items():
        if (there := len(sample)) < (count := getattr(plan, name)):
            raise DiagnosisError(
                f"the budgets allow too few architectures: {there} were found instead of {count}; request fewer "
                f"(--{name}) or widen them",
                plan,
            )


def _path(bench: Bench, name: str, piece: Piece) -> Path:
    return bench.folder / "pieces" / f"{name}-{digest([bench.identity, bench.plan.identity(*piece.sizes)])}.json"


def _write(bench: Bench, paths: Mapping[str, Path], pieces: dict[str, Piece], file: str) -> dict[str, Any]:
    """Write all results, and return them."""
    plan, space = bench.plan, bench.net.space
    measured = {name: read_record(path) for name, path in paths.items() if path.exists()}
    apart = ("recipe", "budgets", "seed", "pieces", "epochs")
    found = {
        "title": f"Diagnosis of a supernet of {space.name} on {bench.data.name}",
        "space": space.to_dict(),
        "budgets": [dict(budget) for budget in plan.budgets],
        "data": bench.data.record,
        "supernet": {"file": file, "weights": bench.weights, "training": bench.net.metadata.get("training", {})},
        "recipe": {**plan.recipe, **({} if plan.epochs is None else {"epochs": plan.epochs})},
        "sizes": {each.name: getattr(plan, each.name) for each in fields(plan) if each.name not in apart},
        "seed": plan.seed,
        "versions": dict(versions()),
        "machine": machine(),
        "pieces": measured,
        "claims": [claim for _, claim in claims(measured, bench.metric, pieces)],
    }
    replace_file(bench.folder / FILE, to_json(found, indent=1) + "\n")
    return found
