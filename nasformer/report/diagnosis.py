"""Report of a diagnosis: is a search with this supernet worth its compute?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nasformer.report import tables
from nasformer.report.notation import compact, counted, duration, listed, points, worded
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.plain import plain
from nasformer.report.tables import diagnosis as told
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

JsonObject = Mapping[str, Any]
Pieces = Mapping[str, JsonObject]
_TITLES = {
    "compute": "Equal compute",
    "fidelity": "Inherited against retrained",
    "efficiency": "Evaluations of a search",
    "images": "How many images a ranking needs",
}
_VERBS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "not decided": ("is not decided", "are not decided"),
}


def write_diagnosis_report(folder: str | Path, diagnosis: JsonObject, *, command: str = "") -> Path:
    """Write ``report.html``, and ``figures/NAME.svg`` and ``.png``, into a folder.

    Args:
        folder: Output folder, created if missing.
        diagnosis: Result of ``nasformer.diagnose.diagnose``; pieces may be missing.
        command: The shell command.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The folder cannot be written.
    """
    from nasformer.report.figures import draw_diagnosis, draw_learning_curve

    pieces, space = diagnosis["pieces"], SearchSpace.from_dict(dict(diagnosis["space"]))
    task = task_of(diagnosis.get("data") or {})
    metric, claims = task.objective().fitness, diagnosis.get("claims") or ()
    drawn, supernet = draw_diagnosis(pieces, space, task), diagnosis.get("supernet") or {}
    learning = draw_learning_curve(supernet.get("training") or {})
    pictures = [*(each for several in drawn.values() for each in several), *([learning] if learning else [])]
    text = json.dumps(plain(diagnosis), indent=1) + "\n"
    html = render(
        "diagnosis.html.j2",
        Subject(
            diagnosis["title"],
            command,
            Download("diagnosis.json", "Download all figures as JSON", "application/json", text),
        ),
        pictures,
        _records(diagnosis),
        summary=_summary(diagnosis, claims),
        key_figures=_key_figures(pieces, metric),
        warnings=_warnings(pieces),
        chapters=[(name, title) for name, title in _TITLES.items() if name in pieces],
        titles=_TITLES,
        claims=told.claims_table(claims) if claims else None,
        pieces=pieces,
        drawn=drawn,
        tables=_tables(pieces, metric),
        share=(diagnosis.get("sizes") or {}).get("share"),
        spent=told.spent(pieces["compute"]) if "compute" in pieces else None,
        parts=told.PARTS,
        kinds=told.ranked_by(pieces["images"]) if "images" in pieces else (),
        metric=metric,
        points=points(metric),
        estimate=partial(told.written, sign=True),
        compact=compact,
        counted=counted,
        duration=duration,
        space=tables.space_table(space),
        geometry=tables.geometry_table(space),
        supernet=told.supernet_table(supernet),
        learning=learning,
    )
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def _tables(pieces: Pieces, metric: Metric) -> dict[str, list[tables.Table]]:
    """Return the tables of each piece."""
    series = told.numbers(pieces)
    shown: dict[str, Callable[[JsonObject], list[tables.Table]]] = {
        "compute": lambda piece: [
            told.compute_table(piece, metric, series),
            told.differences_table(piece, metric),
            told.networks_table(piece, metric, series),
        ],
        "fidelity": lambda piece: [told.ranks_table(piece), told.fidelity_table(piece, metric)],
        "efficiency": lambda piece: [told.efficiency_table(piece, series)],
        "images": lambda piece: [told.images_table(piece)],
    }
    return {name: of(pieces[name]) for name, of in shown.items() if name in pieces}


def _summary(diagnosis: JsonObject, claims: Sequence[JsonObject]) -> list[str]:
    budgets, data = diagnosis.get("budgets") or (), (diagnosis.get("data") or {}).get("name")
    lead = f"Is a search with a supernet of {diagnosis['space']['name']} worth its compute"
    lead += f" on {data}?" if data else "?"
    if budgets:
        lead += f" {counted(len(budgets), 'budget').capitalize()}: {listed([told.target(each) for each in budgets])}."
    found = Counter(claim["verdict"] for claim in claims)
    parts = [f"{worded(found[each])} {verbs[found[each] > 1]}" for each, verbs in _VERBS.items() if found[each]]
    return [lead, *([f"Of {counted(len(claims), 'claim')}, {listed(parts)}."] if parts else [])]


def _key_figures(pieces: Pieces, metric: Metric) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value and remark."""
    compute, fidelity = pieces.get("compute") or {}, pieces.get("fidelity") or {"parts": ()}
    tau = {
        part["name"]: next(row["kendall"] for row in part["ranks"] if row["of"] == "ranking")
        for part in fidelity["parts"]
    }
    found = [
        ("gain over uniform ViTs", compute.get("gain"), metric),
        ("gain over hand-scaled ViTs", compute.get("gain_by_hand"), metric),
        *((f"τ, {told.PARTS[name]}", figure, None) for name, figure in tau.items()),
    ]
    shown = [_key_figure(name, figure, of) for name, figure, of in found if figure]
    if "efficiency" in pieces:
        piece = pieces["efficiency"]
        row = piece["rows"][0]
        counts = ", ".join("never" if count is None else str(count) for count in row["passed"])
        shown.append((f"evaluations to pass {piece['random']:,} random", counts, f"{row['strategy']}, by seed"))
    return shown


def _key_figure(name: str, figure: JsonObject, metric: Metric | None) -> tuple[str, str, str]:
    value, _, ends = told.written(figure, metric, sign=metric is not None).partition(" ")
    remark = ends.strip("()") or "no interval"
    return name, value, remark if metric is None else f"{remark}{points(metric)}"


def _warnings(pieces: Pieces) -> list[str]:
    found = []
    seeds = len((pieces.get("compute") or {}).get("training") or range(5))
    if seeds < 5:
        found.append(f"Every kind of network was trained with only {counted(seeds, 'seed')}, so intervals are wide.")
    for part in (pieces.get("fidelity") or {}).get("parts") or ():
        if len(part["rows"]) < 20:
            few = f"{len(part['rows'])} architectures ({told.PARTS[part['name']]})"
            found.append(f"{few} are few for a rank correlation; 20 or more are recommended.")
    return found


def _records(diagnosis: JsonObject) -> list[tables.Table]:
    recipe = diagnosis.get("recipe") or {}
    settings = {**(diagnosis.get("sizes") or {}), "seed": diagnosis.get("seed")}
    changed = told.changes(recipe, diagnosis.get("finetuning") or {})
    settings |= {f"finetuning {key}": value for key, value in changed.items()}
    machine = diagnosis.get("machine") or {}
    versions = {
        **(diagnosis.get("versions") or {}),
        **(machine if isinstance(machine, Mapping) else {"machine": machine}),
    }
    return [
        *([tables.data_table(diagnosis["data"])] if diagnosis.get("data") else []),
        tables.facts(
            "settings", "Sizes, seed, and what fine-tuning changes in the recipe.", tables.flattened(settings)
        ),
        tables.facts("recipe", "The recipe of networks trained alone.", tables.flattened(recipe)),
        tables.facts("versions", "Versions and machine.", tables.flattened(versions)),
    ]
