"""Text in figures: names without markup, and keys outside the axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasformer.report.figures.picture import belongs
from nasformer.report.notation import shortened
from nasformer.report.palette import style

_LONGEST = 24
_LINE = 70  # characters that fit on a line of the key
_MARKER = 5

Entry = tuple[str, Artist, int | None]
"""Of a key: label, marker, and number of the strategy, if it is one."""


def plain(text: str) -> str:
    """Return a name short enough for a figure."""
    return shortened(text, _LONGEST)


def entry(label: str, number: int, **options: Any) -> Entry:
    """Return the entry of a strategy, with its marker and, by options, its line."""
    look = style(number)
    options = {"linestyle": "none", "markersize": 4.5, **options}
    return label, Line2D([], [], marker=look.marker, color=look.colour, **options), number


def key(figure: Figure, entries: Sequence[Entry], *, beside: bool = False) -> None:
    """Draw a key above the axes, or beside them."""
    longest = _LONGEST + 10 if len(entries) < 3 and not beside else _LONGEST
    names = [shortened(label, longest) for label, _, _ in entries]
    legend = figure.legend(
        [marker for _, marker, _ in entries],
        ["name"] * len(names),  # set below, since a legend omits labels that start with "_"
        loc="outside right upper" if beside else "outside upper left",
        ncols=1 if beside else max(1, _LINE // (_MARKER + max(map(len, names)))),
        frameon=False,
        handlelength=1.8 if beside else 1.0,
        handletextpad=0.4,
        columnspacing=0.9,
        borderpad=0.2,
    )
    for text, handle, name, (_, _, number) in zip(
        legend.get_texts(), legend.legend_handles, names, entries, strict=True
    ):
        text.set_text(name)
        text.set_parse_math(False)
        if number is not None and handle is not None:
            belongs([text, handle], number)
