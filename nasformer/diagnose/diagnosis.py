"""diagnose: is a supernet fit to be searched? Measured, and kept as one JSON that goes on after a stop."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from nasformer.compare.experiment import digest
from nasformer.compare.machine import machine
from nasformer.cost import as_limits, format_limits
from nasformer.data.dataset import Dataset
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.claims import claims
from nasformer.diagnose.pieces import MEASURES, Doing, Piece, gap
from nasformer.diagnose.plan import Plan
from nasformer.errors import DiagnosisError
from nasformer.search.result import versions
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import replace_file

FILE = "diagnosis.json"
_SIZES = ("architectures", "finetuned", "pool", "search_images", "evaluations", "searches", "retrainings", "seed")


def diagnose(
    net: Supernet,
    data: Dataset,
    plan: Plan,
    out: str | Path,
    *,
    file: str = "",
    workers: int = 1,
    device: str = "auto",
    progress: bool = True,
) -> dict[str, Any]:
    """Measure what a plan asks for, or what of it is not yet measured, and return all of it as plain values.

    Args:
        net: A trained supernet.
        data: The images that trained it, split as then.
        plan: What is measured, and at which size.
        out: Folder for ``diagnosis.json`` and everything that it is made from; the same one goes on after a stop.
        file: Where the supernet came from, for the record.
        workers: Processes that train and search.
        device: Where networks are trained and judged.
        progress: Show bars.

    Returns:
        ``pieces`` by name, ``claims`` of the paper beside what was found, and the record of how.

    Raises:
        DataError: The images do not fit the supernet.
        BudgetError: Nothing meets the budget.
        DiagnosisError: The budget allows too few architectures.
        NasformerError: A training or a search failed.
    """
    data.check(net.space)
    bench = Bench(net, data, plan, Path(out), device)
    _require_enough(bench)
    do = Doing(workers, progress)
    pieces: dict[str, Piece] = {}
    for name in MEASURES:
        if name in plan.pieces:
            pieces[name] = _kept(bench, name) or _measured(bench, name, do)
            if name == "fidelity":
                pieces["gap"] = gap(pieces[name])
            found = _record(bench, pieces, file)
            replace_file(Path(out) / FILE, (json.dumps(found, indent=1) + "\n").encode())
    return found


def _require_enough(bench: Bench) -> None:
    most = max(bench.plan.architectures, bench.plan.pool)
    there = len(bench.sample(most, "pool"))
    if there < most:
        raise DiagnosisError(
            f"the budget {format_limits(bench.feasible.limits)} allows too few architectures: {there} were found "
            f"where {most} are asked for; ask for fewer (--architectures, --pool) or widen the budget",
            bench.plan,
        )
    if not bench.feasible.uniform():
        raise DiagnosisError(
            f"no uniform ViT meets {format_limits(bench.feasible.limits)}, so the winner has nothing to be held "
            "against; widen the budget",
            bench.plan,
        )


def _path(bench: Bench, name: str) -> Path:
    plan = bench.plan
    all_of_it = plan.identity(*_SIZES, "recipe", "finetuning", "sharing")
    return bench.folder / "pieces" / f"{name}-{digest([bench.identity, all_of_it])}.json"


def _kept(bench: Bench, name: str) -> Piece | None:
    path = _path(bench, name)
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _measured(bench: Bench, name: str, do: Doing) -> Piece:
    """Return a piece, and the seconds that it took in all sittings."""
    path = _path(bench, name)
    clock = path.with_suffix(".seconds")
    before = float(clock.read_text(encoding="utf-8")) if clock.exists() else 0.0
    begin = time.perf_counter()
    try:
        found = MEASURES[name](bench, do)
    finally:
        seconds = before + time.perf_counter() - begin
        replace_file(clock, f"{seconds}\n".encode())
    found = {"seconds": seconds, **found}
    replace_file(path, (json.dumps(found, indent=1) + "\n").encode())
    return found


def _record(bench: Bench, pieces: dict[str, Piece], file: str) -> dict[str, Any]:
    plan, space = bench.plan, bench.net.space
    if "winner" in pieces and "fidelity" in pieces:
        pieces["fidelity"]["noise"] = _scatter(pieces["winner"])
    return {
        "title": f"Diagnosis of a supernet of {space.name} on {bench.data.name}",
        "space": space.to_dict(),
        "limits": format_limits(as_limits(dict(plan.budget) or None, space.known_costs)),
        "data": bench.data.record,
        "supernet": {"file": file, "weights": bench.weights, "training": bench.net.metadata.get("training", {})},
        "recipe": dict(plan.recipe),
        "finetuning": dict(plan.finetuning),
        "sharing": dict(plan.sharing),
        "sizes": {name: getattr(plan, name) for name in _SIZES},
        "seed": plan.seed,
        "versions": dict(versions()),
        "machine": machine(),
        "pieces": pieces,
        "claims": claims(pieces),
    }


def _scatter(winner: Piece) -> float | None:
    """Return the standard deviation of retraining over seeds, pooled over the two architectures."""
    import numpy as np

    columns = [row["retrained"] for row in winner["rows"]]
    if min(map(len, columns)) < 2:
        return None
    return float(np.sqrt(np.mean([np.var(column, ddof=1) for column in columns])))
