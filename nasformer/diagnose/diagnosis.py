"""diagnose: run the measurements of a plan, resumable, and write one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nasformer._io import digest, to_json
from nasformer._provenance import machine, versions
from nasformer._record import read_record
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.claims import claims
from nasformer.diagnose.jobs import JobResult, done
from nasformer.diagnose.pieces import MEASURES
from nasformer.diagnose.plan import Plan
from nasformer.errors import DiagnosisError
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import replace_file

FILE = "diagnosis.json"
_SIZES = (
    *("share", "architectures", "band", "long", "pool", "search_images"),
    *("evaluations", "random", "seeds", "seed"),
)


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

    Returns:
        ``pieces`` by name, tested ``claims``, and provenance.

    Raises:
        DataError: The images do not fit the supernet.
        BudgetError: No architecture meets the budget.
        DiagnosisError: The budget allows too few architectures.
        NasformerError: A training or a search failed.
    """
    data.check(net.space)
    bench = Bench(net, data, plan, Path(out), device, readers)
    _require_enough(bench)
    do = partial(done, workers=workers, progress=progress)
    for name, measure in MEASURES.items():
        if name in plan.pieces and not _path(bench, name).exists():
            replace_file(_path(bench, name), json.dumps(measure.of(bench, do), indent=1) + "\n")
            _write(bench, file)
    return _write(bench, file)


def _require_enough(bench: Bench) -> None:
    """Check before any work that the supernet, its budgets and their architectures are enough."""
    plan, wanted = bench.plan, list[tuple[str, int, int]]()
    if {"fidelity", "compute"} & {*plan.pieces}:
        _ = bench.training  # raises where it does not say how much it computed
    for budget in plan.budgets:
        bench.most(budget)
    if "fidelity" in plan.pieces:
        wanted.append(("architectures", plan.architectures, len(bench.spread(plan.architectures, "range"))))
        if plan.band:
            wanted.append(("band", plan.band, len(bench.sample(plan.band, "band", bench.band))))
    if "images" in plan.pieces:
        wanted.append(("pool", plan.pool, len(bench.sample(plan.pool, "pool"))))
    for name, count, there in wanted:
        if there < count:
            raise DiagnosisError(
                f"the budgets allow too few architectures: {there} were found instead of {count}; request fewer "
                f"(--{name}) or widen them",
                plan,
            )


def _path(bench: Bench, name: str) -> Path:
    settings = bench.plan.identity(*MEASURES[name].sizes)
    return bench.folder / "pieces" / f"{name}-{digest([bench.identity, settings])}.json"


def _write(bench: Bench, file: str) -> dict[str, Any]:
    """Write all results, and return them."""
    paths = {name: _path(bench, name) for name in MEASURES}
    pieces = {name: read_record(path) for name, path in paths.items() if path.exists()}
    found = _record(bench, pieces, file)
    replace_file(bench.folder / FILE, to_json(found, indent=1) + "\n")
    return found


def _record(bench: Bench, pieces: Mapping[str, JobResult], file: str) -> dict[str, Any]:
    plan, space = bench.plan, bench.net.space
    return {
        "title": f"Diagnosis of a supernet of {space.name} on {bench.data.name}",
        "space": space.to_dict(),
        "budgets": [dict(budget) for budget in plan.budgets],
        "data": bench.data.record,
        "supernet": {"file": file, "weights": bench.weights, "training": bench.net.metadata.get("training", {})},
        "recipe": dict(plan.recipe),
        "finetuning": dict(plan.finetuning),
        "sizes": {name: getattr(plan, name) for name in _SIZES},
        "seed": plan.seed,
        "versions": dict(versions()),
        "machine": machine(),
        "pieces": pieces,
        "claims": claims(pieces, bench.metric),
    }
