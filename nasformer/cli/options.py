"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Space = Annotated[
    str, typer.Argument(metavar="SPACE", help="Built-in name, or a .yaml or .json file (AutoFormer's own too).")
]
Params = Annotated[
    str | None, typer.Option(metavar="[LEAST:]MOST", help="Parameters, as 6e6, 5e6:6e6 or 5M:6M.", show_default=False)
]
Macs = Annotated[
    str | None,
    typer.Option(metavar="[LEAST:]MOST", help="Multiply-accumulates of one image, as 1.4G.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Seed = Annotated[int, typer.Option(help="Of all randomness.", min=0)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Data = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="digits, fashion-mnist or imagefolder:PATH.", show_default=False),
]
Root = Annotated[Path | None, typer.Option(metavar="DIR", help="Where a dataset's files are.", show_default=False)]
SupernetPath = Annotated[
    Path | None, typer.Option("--supernet", metavar="FILE", help="A trained supernet.", show_default=False)
]


def budget_of(params: str | None, macs: str | None) -> dict[str, str]:
    """Return the budget that ``--params`` and ``--macs`` declare."""
    return {name: value for name, value in (("params", params), ("macs", macs)) if value is not None}
