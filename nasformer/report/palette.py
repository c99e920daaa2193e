"""Palette: one colour and marker per strategy, told apart by colour-blind readers, on light and dark paper.

The colours are Okabe and Ito's (2008). A figure is drawn in the light ones; in the page each stands
for a CSS variable, so that dark mode takes the other of the pair.
"""

from __future__ import annotations

from typing import NamedTuple


class Tone(NamedTuple):
    """A colour on light paper, and the same on dark."""

    light: str
    dark: str


class Style(NamedTuple):
    """How one strategy is drawn."""

    colour: str
    marker: str
    line: str


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
    Tone("#cc79a7", "#d993bb"),
    Tone("#e69f00", "#e6a61a"),
    Tone("#56b4e9", "#8fd0f5"),
    Tone("#777777", "#b4b4b4"),
)
_MARKERS = "osD^vPX"
_LINES = ("-", "--", ":", "-.")

VARIABLES: dict[str, Tone] = {
    "ink": INK,
    "muted": MUTED,
    "grid": GRID,
    "paper": PAPER,
    "block": BLOCK,
    "bar": BAR,
    **{f"series-{index}": tone for index, tone in enumerate(_SERIES)},
}
"""CSS variables by name."""


def style(index: int) -> Style:
    """Return the style of the strategy at a position; colours come round with another marker and line.

    >>> style(0)
    Style(colour='#0072b2', marker='o', line='-')
    >>> style(0) == style(7), style(0).colour == style(7).colour
    (False, True)
    """
    turn, position = divmod(index, len(_SERIES))
    marker = _MARKERS[(position + turn) % len(_MARKERS)]
    return Style(_SERIES[position].light, marker, _LINES[turn % len(_LINES)])


def css(dark: bool) -> str:
    """Return the declarations of all variables."""
    return " ".join(f"--{name}: {tone.dark if dark else tone.light};" for name, tone in VARIABLES.items())
