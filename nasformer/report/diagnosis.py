"""Report of a diagnosis: is a search with this supernet worth its compute?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasformer.diagnose.claims import claims
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.tables import diagnosis as told
from nasformer.report.tables.record import data_table, geometry_table, space_table, versions_table
from nasformer.report.tables.table import Series, Table, facts, flattened, numbered
from nasformer.report.words import say
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
    metric, tested = task.objective().fitness, claims(pieces, task.objective())
    series, supernet = numbered(), diagnosis.get("supernet") or {}
    drawn = draw_diagnosis(pieces, space, task, series)
    learning = draw_learning_curve(supernet.get("training") or {})
    pictures = [*(each for several in drawn.values() for each in several), learning]
    html = render(
        "diagnosis.html.j2",
        Subject(diagnosis["title"], command, Download.of_json("diagnosis.json", diagnosis)),
        pictures,
        _records(diagnosis),
        [(name, title) for name, title in _TITLES.items() if name in pieces],
        summary=_summary(diagnosis, tested),
        parts=told.PARTS,
        warnings=_warnings(pieces),
        titles=_TITLES,
        claims=told.claims_table(tested, task.objective()) if tested else None,
        pieces=pieces,
        drawn=drawn,
        tables=_tables(pieces, metric, series),
        share=(diagnosis.get("sizes") or {}).get("share"),
        spent=told.spent(pieces["compute"]) if "compute" in pieces else None,
        kinds=told.ranked_by(pieces["images"]) if "images" in pieces else (),
        metric=metric,
        space=space_table(space),
        geometry=geometry_table(space),
        supernet=told.supernet_table(supernet),
        learning=learning,
    )
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def _tables(pieces: Pieces, metric: Metric, series: Series) -> dict[str, list[Table]]:
    """Return the tables of each piece."""
    shown: dict[str, Callable[[JsonObject], list[Table]]] = {
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


def _summary(diagnosis: JsonObject, tested: Sequence[JsonObject]) -> list[str]:
    data = (diagnosis.get("data") or {}).get("name")
    budgets = [told.target(each) for each in diagnosis.get("budgets") or ()]
    lead = say("worth_its_compute", space=diagnosis["space"]["name"], data=data, budgets=budgets)
    return [lead, *([say("verdicts", claims=tested)] if tested else [])]


def _warnings(pieces: Pieces) -> list[str]:
    seeds = len((pieces.get("compute") or {}).get("training") or range(5))
    parts = {told.PARTS[part["name"]]: len(part["rows"]) for part in (pieces.get("fidelity") or {}).get("parts") or ()}
    found = [say("few_architectures", count=count, part=part) for part, count in parts.items() if count < 20]
    return [*([say("few_trainings", seeds=seeds)] if seeds < 5 else []), *found]


def _records(diagnosis: JsonObject) -> list[Table]:
    recipe, machine = diagnosis.get("recipe") or {}, diagnosis.get("machine") or {}
    settings = {**(diagnosis.get("sizes") or {}), "seed": diagnosis.get("seed")}
    changed = told.changes(recipe, diagnosis.get("finetuning") or {})
    settings |= {f"finetuning {key}": value for key, value in changed.items()}
    where = machine if isinstance(machine, Mapping) else {"machine": machine}
    return [
        *([data_table(diagnosis["data"])] if diagnosis.get("data") else []),
        facts("settings", "Sizes, seed, and what fine-tuning changes in the recipe.", flattened(settings)),
        facts("recipe", "The recipe of networks trained alone.", flattened(recipe)),
        versions_table({**(diagnosis.get("versions") or {}), **where}),
    ]
