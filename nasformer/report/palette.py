"""Colour-blind safe palette: colour, marker and dash pattern per strategy, in light and dark variants.

The first colours are close to Okabe and Ito's (2008), darkened to a contrast of 3 : 1 on paper (WCAG 1.4.11).
Figures are drawn in the light variants; in the page each is a CSS variable, which dark mode switches to the
dark variant.
"""

from __future__ import annotations

from typing import NamedTuple

Dashes = str | tuple[float, tuple[float, ...]]


class Tone(NamedTuple):
    """A colour for light and for dark mode."""

    light: str
    dark: str


class Style(NamedTuple):
    """The graphic style of a strategy."""

    colour: str
    marker: str
    line: Dashes


GOOD = Tone("#dcefe4", "#1d3a2b")
BAD = Tone("#f8e3da", "#43271a")
INK = Tone("#1b1f24", "#e8eaed")
MUTED = Tone("#5f6875", "#a3abb8")
GRID = Tone("#d8dce2", "#3a414b")
PAPER = Tone("#fffffe", "#14171b")
BLOCK = Tone("#3d4d63", "#9fb2cc")
BAR = Tone("#b9c5d6", "#4c5b70")

_SERIES = (
    Tone("#0072b2", "#4aa8e0"),
    Tone("#d55e00", "#ee7b33"),
    Tone("#009e73", "#2fbf95"),
    Tone("#c2608f", "#e29bc3"),
    Tone("#b07b00", "#e6a61a"),
    Tone("#3b97cf", "#9ad6f7"),
    Tone("#737373", "#b4b4b4"),
    Tone("#6b3fa0", "#b497e7"),
    Tone("#8c564b", "#c99a86"),
    Tone("#b3123f", "#f4718c"),
    Tone("#1f6f78", "#58b8c4"),
    Tone("#6b7a00", "#b9c94a"),
)
_MARKERS = "osD^vPX<>phd"
_LINES: tuple[Dashes, ...] = ("-", (0, (4.5, 1.6)), (0, (1.2, 1.3)), (0, (6, 1.5, 1.2, 1.5)))
_DASHED = (0, 0, 0, 0, 1, 1, 1, 1, 2, 3, 2, 3)

VARIABLES: dict[str, Tone] = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "paper": PAPER,
    "block": BLOCK,
    "bar": BAR,
    "good": GOOD,
    "bad": BAD,
    **{f"series-{index}": tone for index, tone in enumerate(_SERIES)},
}
"""CSS variables by name."""


def style(index: int) -> Style:
    """Return the style of the strategy at a position; colours repeat with another marker and line.

    >>> style(0)
    Style(colour='#0072b2', marker='o', line='-')
    >>> style(0) == style(12), style(0).colour == style(12).colour
    (False, True)
    """
    turn, position = divmod(index, len(_SERIES))
    marker = _MARKERS[(position + turn) % len(_MARKERS)]
    return Style(_SERIES[position].light, marker, _LINES[(_DASHED[position] + turn) % len(_LINES)])


def css(dark: bool) -> str:
    """Return the declarations of all variables."""
    return " ".join(f"--{name}: {tone.dark if dark else tone.light};" for name, tone in VARIABLES.items())
