"""Picture: a figure as inline SVG with the page's light or dark colours, and as files; names and keys in it."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape
from matplotlib import style as styles
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasformer._console import printable
from nasformer.report.notation import shortened
from nasformer.report.palette import GRID, INK, MUTED, PAPER, VARIABLES, style

_RC: dict[str, Any] = {
    "svg.fonttype": "none",
    **{"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "text.color": INK.light},
    **{"axes.labelsize": 9, "axes.labelcolor": INK.light, "axes.edgecolor": MUTED.light, "axes.linewidth": 0.7},
    **{"axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False},
    **{"axes.grid": True, "axes.axisbelow": True, "grid.color": GRID.light, "grid.linewidth": 0.6},
    **{f"{axis}tick.color": MUTED.light for axis in "xy"},
    **{f"{axis}tick.labelcolor": INK.light for axis in "xy"},
    **{f"{axis}tick.labelsize": 8.5 for axis in "xy"},
    **{f"{axis}tick.major.width": 0.7 for axis in "xy"},
    **{"xtick.major.size": 3, "ytick.major.size": 0, "xtick.minor.size": 0},
    **{"figure.facecolor": PAPER.light, "figure.constrained_layout.use": True, "savefig.facecolor": "auto"},
}
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
_DPI = 200

_LONGEST = 24
_LINE = 70  # characters that fit on a line of the key
_MARKER = 5

Entry = tuple[str, Artist, int | None]
"""Of a key: label, marker, and number of the strategy, if it is one."""


def belongs(artists: Artist | Iterable[Artist], series: int) -> None:
    """Tag artists as part of a strategy, for highlighting in the page."""
    for artist in [artists] if isinstance(artists, Artist) else artists:
        artist.set_gid(f"series-{series}")


@dataclass(frozen=True)
class Picture:
    """A drawn figure, in light colours."""

    name: str  # stem of its files, and prefix of its ids in the page
    title: str  # short, for screen readers
    caption: str
    svg: str
    png: bytes

    def save(self, folder: Path) -> None:
        """Write ``NAME.svg`` and ``NAME.png``."""
        (folder / f"{self.name}.svg").write_text(self.svg, encoding="utf-8")
        (folder / f"{self.name}.png").write_bytes(self.png)

    @property
    def inline(self) -> Markup:
        """The inline SVG element: transparent, with the page's colours and unique ids."""
        text = self.svg[self.svg.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        text = re.sub(r'id="series-(\d+)-\d+"', r'data-s="\1"', text)
        text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{self.name}-", text)
        for variable, tone in VARIABLES.items():
            text = re.sub(rf"(?<=: ){tone.light}\b", f"var(--{variable})", text)
        head, _, rest = text.partition(">")
        head = re.sub(r'\s(width|height)="[^"]*"', "", head)
        label, title = f"{self.name}-title", escape(printable(self.title))
        return Markup(f'{head} role="img" aria-labelledby="{label}">\n <title id="{label}">{title}</title>{rest}')


def picture(
    name: str,
    title: str,
    caption: str,
    paint: Callable[[Figure], None],
    *,
    width: float = 4.8,
    height: float = 3.2,
) -> Picture:
    """Draw a figure of so many inches by a function."""
    with styles.context(["default", {**_RC, "svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # strategy names may contain glyphs missing in the font
        figure = Figure(figsize=(width, height))
        paint(figure)
        _number(figure)
        vector, raster = io.StringIO(), io.BytesIO()
        figure.savefig(vector, format="svg", dpi=_DPI, metadata=_NO_METADATA)
        figure.savefig(raster, format="png", dpi=_DPI)
    return Picture(name, title, caption, vector.getvalue(), raster.getvalue())


def _number(figure: Figure) -> None:
    """Make the ids of a strategy's artists unique within the file."""
    marked = figure.findobj(lambda artist: str(artist.get_gid()).startswith("series-"))
    for number, artist in enumerate(dict.fromkeys(marked)):
        artist.set_gid(f"{artist.get_gid()}-{number}")


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
