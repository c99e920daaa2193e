"""Report of a dataset: samples and counts of its classes, sizes and formats, unreadable images and copies."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer._io import write_file
from nasformer._provenance import machine, versions
from nasformer.errors import NasformerError
from nasformer.report.notation import counted, data_name, grouped
from nasformer.report.page import Download, Subject, Tile, render
from nasformer.report.tables.record import versions_table
from nasformer.report.tables.table import Cell, Table, facts, folded
from nasformer.report.words import say

JsonObject = Mapping[str, Any]


def write_data_report(path: str | Path, figures: JsonObject, *, command: str = "") -> Path:
    """Write the page of a dataset.

    Args:
        path: The HTML file.
        figures: ``name``, ``task``, ``splits``, ``targets``, ``picture`` (a PNG) and, of image files, ``kinds``,
            ``width``, ``height``, ``unreadable`` and ``copies``, as ``nasformer data --json`` prints them.
        command: The shell command.

    Returns:
        The path.

    Raises:
        NasformerError: The file cannot be written.
    """
    unreadable, copies = figures.get("unreadable") or {}, figures.get("copies") or []
    rows = [[name, reason] for name, reason in unreadable.items()]
    groups = [[" = ".join(name for _, name in group), ", ".join(split for split, _ in group)] for group in copies]
    leaks = sum(len({split for split, _ in group}) > 1 for group in copies)
    html = render(
        "data.html.j2",
        Subject(data_name(figures["name"]), command, Download.of_json("data.json", figures)),
        [versions_table({**versions(), **machine()})],
        summary=[say("looked_at", figures=figures, leaks=leaks)],
        tiles=_tiles(figures, leaks),
        warnings=[],
        samples=f"data:image/png;base64,{b64encode(Path(figures['picture']).read_bytes()).decode()}",
        counts=_counts(figures),
        kinds=facts(
            "formats", "Formats and modes.", [[kind, grouped(n)] for kind, n in figures.get("kinds", {}).items()]
        ),
        unreadable=Table(
            "unreadable", "Unreadable images.", ["image", "reason"], rows, wide=True, folded=folded(len(rows), "images")
        ),
        copies=Table(
            "copies",
            "Byte-identical images.",
            ["images", "splits"],
            groups,
            wide=True,
            folded=folded(len(groups), "groups"),
        ),
    )
    try:
        write_file(path, html)
    except OSError as error:
        raise NasformerError(f"cannot write the page to {str(path)!r}: {error.strerror}", path) from error
    return Path(path)


def _tiles(figures: JsonObject, leaks: int) -> list[Tile]:
    splits = [Tile(f"{split} images", grouped(count)) for split, count in figures["splits"].items()]
    if "width" not in figures:
        return splits
    (_, wide, _), (_, high, _) = figures["width"], figures["height"]
    return [
        *splits,
        Tile("median size", f"{wide:g} × {high:g}", "pixels, width × height"),
        Tile(
            "unreadable", grouped(len(figures["unreadable"])), counted(len(figures["copies"]), "group") + " of copies"
        ),
        Tile("copies across splits", grouped(leaks)),
    ]


def _counts(figures: JsonObject) -> Table:
    """Return the number of examples of each class or label by split."""
    targets = figures["targets"]
    names: JsonObject = next(iter(targets.values()), {})
    rows = [
        [name, *(Cell(grouped(part.get(name, 0)), part.get(name, 0)) for part in targets.values())] for name in names
    ]
    return Table(
        "counts", "Examples of each class.", ["class", *targets], rows, folded=folded(len(rows), "classes", 40)
    )
