"""The page of a diagnosis: its claims, and a chapter for each piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasformer.cost import as_limits
from nasformer.diagnose.diagnosis import PIECES, claims
from nasformer.diagnose.fidelity import PARTS
from nasformer.diagnose.piece import Chapter, Context, JsonObject, Piece
from nasformer.report.notation import duration, short_budget
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.tables.record import data_table, effort_rows, geometry_table, space_table, versions_table
from nasformer.report.tables.table import Cell, Table, facts, flattened, numbered
from nasformer.report.words import say
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

_MOODS = {"holds": "good", "does not hold": "bad"}


def write_diagnosis_report(
    folder: str | Path, diagnosis: JsonObject, *, command: str = "", pieces: dict[str, Piece] = PIECES
) -> Path:
    """Write ``report.html``, and ``figures/NAME.svg`` and ``.png``, into a folder.

    Args:
        folder: Output folder, created if missing.
        diagnosis: Result of ``diagnose``; pieces may be missing.
        command: The shell command.
        pieces: The pieces that it may have.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The folder cannot be written.
    """
    from nasformer.report.figures import draw_learning_curve

    space, task = SearchSpace.from_dict(dict(diagnosis["space"])), task_of(diagnosis["data"])
    context, measured = Context(task, space, numbered()), diagnosis["pieces"]
    known = {name: piece for name, piece in reversed(pieces.items()) if name in measured}
    chapters = {name: piece.chapter(measured[name], context) for name, piece in known.items()}
    tested = claims_table(measured, task.objective(), pieces)
    learning = draw_learning_curve(diagnosis["supernet"]["training"])
    first = [chapter.first for chapter in chapters.values()]
    html = render(
        "diagnosis.html.j2",
        Subject(diagnosis["title"], command, Download.of_json("diagnosis.json", diagnosis)),
        _records(diagnosis),
        [(name, piece.title) for name, piece in known.items()],
        summary=_summary(diagnosis, tested),
        tiles=[tile for chapter in chapters.values() for tile in chapter.tiles],
        warnings=_warnings(measured),
        first=first,
        claims=tested if tested.rows else None,
        parts=[(name, known[name].title, _words(each, measured[name]), each) for name, each in chapters.items()],
        space=space_table(space),
        geometry=geometry_table(space),
        supernet=_supernet_table(diagnosis["supernet"]),
        learning=learning,
    )
    pictures = [*first, *(picture for chapter in chapters.values() for picture in chapter.figures), learning]
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def claims_table(measured: JsonObject, metric: Metric, pieces: dict[str, Piece] = PIECES) -> Table:
    """Return the claims, the measurements, and whether the claims hold here."""
    tested = [(piece, claim, claim["verdict"]) for piece, claim in claims(measured, metric, pieces)]
    rows = [[*piece.describe(told, metric), Cell(end, mood=_MOODS.get(end, ""))] for piece, told, end in tested]
    return Table("claims", say("table_claims"), ["claim", "here", "verdict"], rows, wide=True, sortable=False)


def budget_text(budget: Mapping[str, Any]) -> str:
    """Return a budget of a plan, briefly.

    >>> budget_text({"macs": 1_700_000}), budget_text({"params": [1000, 2000], "macs": 5000})
    ('≤ 1.7 M MACs', '1 k to 2 k parameters, ≤ 5 k MACs')
    """
    return short_budget(as_limits(dict(budget), list(budget)))


def _words(chapter: Chapter, piece: JsonObject) -> str:
    took = say("took", seconds=duration(piece["seconds"])) if "seconds" in piece else ""
    return f"{chapter.words} {took}"


def _summary(diagnosis: JsonObject, tested: Table) -> list[str]:
    budgets = [budget_text(each) for each in diagnosis["budgets"]]
    lead = say("can_trust", space=diagnosis["space"]["name"], data=diagnosis["data"]["name"], budgets=budgets)
    verdicts = [str(row[-1]) for row in tested.rows]
    return [lead, *([say("verdicts", verdicts=verdicts)] if verdicts else [])]


def _warnings(measured: JsonObject) -> list[str]:
    parts = (measured.get("fidelity") or {}).get("parts") or ()
    few = [(len(part["rows"]), PARTS[part["name"]]) for part in parts if len(part["rows"]) < 20]
    return [say("few_architectures", count=count, part=part) for count, part in few]


def _supernet_table(supernet: JsonObject) -> Table:
    """Return the diagnosed supernet and its training."""
    training = supernet["training"]
    rows = flattened({key: value for key, value in supernet.items() if key != "training"})
    rows += effort_rows(training, ("macs", "steps", "device", "processes"))
    return facts("supernet", "The supernet.", rows + flattened(training.get("recipe") or {}))


def _records(diagnosis: JsonObject) -> Sequence[Table]:
    recipe, sizes = diagnosis["recipe"], {**diagnosis["sizes"], "seed": diagnosis["seed"]}
    settings = {key: value for key, value in sizes.items() if not isinstance(value, Mapping)}
    for name, other in sizes.items():
        if isinstance(other, Mapping):  # another recipe: its differences
            settings |= {f"{name} {key}": value for key, value in other.items() if recipe.get(key) != value}
    return [
        data_table(diagnosis["data"]),
        facts("settings", "Sizes, seed, and what further recipes change.", flattened(settings)),
        facts("recipe", "The recipe of networks trained alone.", flattened(recipe)),
        versions_table({**diagnosis["versions"], **diagnosis["machine"]}),
    ]
