"""Report of a diagnosis: which of the paper's claims hold for a supernet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.cost import Bounds
from nasformer.report import tables
from nasformer.report.chapters import chapters
from nasformer.report.notation import budget, counted, listed, worded
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.plain import plain
from nasformer.report.tables.diagnosis import changes, claims_table, supernet_table, written
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = Mapping[str, Any]
_VERDICTS = ("holds", "does not hold", "not decided")


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
    space = SearchSpace.from_dict(dict(diagnosis["space"]))
    metric = task_of(diagnosis.get("data") or {}).objective().fitness
    told = chapters(diagnosis["pieces"], space, metric)
    learning = _learning(diagnosis)
    pictures = [*(picture for chapter in told for picture in chapter.pictures), *([learning] if learning else [])]
    claims = diagnosis.get("claims") or ()
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
        key_figures=_key_figures(diagnosis["pieces"], metric),
        warnings=_warnings(diagnosis["pieces"]),
        chapters=[(chapter.name, chapter.title) for chapter in told],
        claims=claims_table(claims) if claims else None,
        told=told,
        space=tables.space_table(space),
        geometry=tables.geometry_table(space),
        supernet=supernet_table(diagnosis.get("supernet") or {}),
        learning=learning,
    )
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def _learning(diagnosis: JsonObject) -> Picture | None:
    from nasformer.report.figures import draw_learning_curve

    return draw_learning_curve((diagnosis.get("supernet") or {}).get("training") or {})


def _summary(diagnosis: JsonObject, claims: Sequence[JsonObject]) -> list[str]:
    data, limits = (diagnosis.get("data") or {}).get("name"), _limits(diagnosis.get("limits"))
    within = f" with {limits}" if limits else ""
    lead = f"A supernet of {diagnosis['space']['name']} was compared with retrained networks"
    lead += f" on {data}{within}." if data else f"{within}."
    return [f"{lead} {_verdicts(claims)}".strip(), *_findings(claims)]


def _limits(limits: Mapping[str, Sequence[float | None]] | None) -> str:
    return budget({name: Bounds(*ends) for name, ends in limits.items()}) if limits else ""


def _verdicts(claims: Sequence[JsonObject]) -> str:
    if not claims:
        return ""
    found = Counter(claim["verdict"] for claim in claims)
    parts = [f"{worded(found[verdict])} {_verb(verdict, found[verdict])}" for verdict in _VERDICTS if found[verdict]]
    return f"Of {counted(len(claims), 'claim')} of the paper that it tests, {listed(parts)} here."


def _verb(verdict: str, count: int) -> str:
    one = {"not decided": "is not decided"}
    several = {"holds": "hold", "does not hold": "do not hold", "not decided": "are not decided"}
    return several[verdict] if count > 1 else one.get(verdict, verdict)


def _findings(claims: Sequence[JsonObject]) -> list[str]:
    """Return a sentence on each verdict's claims."""
    words = {"holds": "Holds", "does not hold": "Does not hold", "not decided": "Not decided"}
    grouped = {verdict: [claim for claim in claims if claim["verdict"] == verdict] for verdict in _VERDICTS}
    return [f"{words[verdict]}: {'; '.join(map(_finding, mine))}." for verdict, mine in grouped.items() if mine]


def _finding(claim: JsonObject) -> str:
    return f"{claim['claim']} ({claim['here']})"


def _key_figures(pieces: Mapping[str, JsonObject], metric: Metric) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value and remark."""
    found = [
        ("rank fidelity τ", _where(pieces, "fidelity", "ranks", "inherited", "retrained", "kendall"), None),
        ("retrained − inherited", _where(pieces, "gap", "differences", "retrained", "inherited", "mean"), metric),
        ("evolution − random", _where(pieces, "strategies", "differences", "evolution", "random", "mean"), metric),
        ("winner − uniform ViT", (pieces.get("winner") or {}).get("difference", {}).get("mean"), metric),
    ]
    return [_key_figure(name, figure, of) for name, figure, of in found if figure and figure["value"] is not None]


def _key_figure(name: str, figure: JsonObject, metric: Metric | None) -> tuple[str, str, str]:
    value, _, ends = written(figure, metric, sign=metric is not None).partition(" ")
    return name if metric is None else f"{name}, {metric.title}", value, ends.strip("()") or "no interval"


def _where(pieces: Mapping[str, JsonObject], piece: str, rows: str, of: str, other: str, key: str) -> JsonObject | None:
    """Return the figure of the row that compares ``of`` with ``other``."""
    told = (pieces.get(piece) or {}).get(rows) or ()
    return next((row[key] for row in told if (row["of"], row.get("against", row.get("minus"))) == (of, other)), None)


def _warnings(pieces: Mapping[str, JsonObject]) -> list[str]:
    told, few = [], (pieces.get("winner") or {}).get("difference", {}).get("n", 5)
    if few < 5:
        told.append(f"The winner was retrained with only {counted(few, 'seed')}, so its interval is wide.")
    architectures = (pieces.get("fidelity") or {}).get("architectures")
    if architectures is not None and len(architectures) < 20:
        told.append(f"{len(architectures)} architectures are few for a rank correlation; 20 or more are recommended.")
    return told


def _records(diagnosis: JsonObject) -> list[tables.Table]:
    recipe = diagnosis.get("recipe") or {}
    settings = {
        "limits": _limits(diagnosis.get("limits")) or None,
        "seed": diagnosis.get("seed"),
        **(diagnosis.get("sizes") or {}),
    }
    for name in ("finetuning", "sharing", "final"):
        settings |= {f"{name} {key}": value for key, value in changes(recipe, diagnosis.get(name) or {}).items()}
    machine = diagnosis.get("machine") or {}
    versions = {
        **(diagnosis.get("versions") or {}),
        **(machine if isinstance(machine, Mapping) else {"machine": machine}),
    }
    return [
        *([tables.data_table(diagnosis["data"])] if diagnosis.get("data") else []),
        tables.facts(
            "settings",
            "Sizes, seed, and differences of the other recipes from the retraining recipe.",
            tables.flattened(settings),
        ),
        tables.facts("recipe", "The retraining recipe.", tables.flattened(recipe)),
        tables.facts("versions", "Versions and machine.", tables.flattened(versions)),
    ]
