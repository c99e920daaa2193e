"""``nasformer surrogate``: fit an additive model to a table, with its cross-validation error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table

_MEANING = {
    "r2": "R²",
    "kendall_tau": "Kendall's τ",
    "rmse": "root mean square error",
    "mae": "mean absolute error",
}


def surrogate(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A file, or the name of a built-in table.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as JSON.", show_default=False)] = None,
    column: Annotated[str, typer.Option(metavar="NAME", help="Value column, higher is better.")] = "top1",
    json: Json = False,
) -> None:
    """Fit an additive model to a table, and print its 10-fold cross-validation error.

    As a fitness it evaluates any architecture instantly: --fitness surrogate:FILE, or
    --fitness fit:TABLE without a file.

    Examples:
      nasformer surrogate accuracies.jsonl --out surrogate.json

      nasformer surrogate digits-exhaustive
    """
    from nasformer.fitness import SurrogateFitness, TableFitness

    rows = TableFitness(table, value=column)
    fitted = SurrogateFitness.fit(rows)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        fitted.save(out)
    if json:
        print_json({"rows": len(rows.architectures), "out": str(out) if out else None, **fitted.quality})
        return
    title = f"{len(rows.architectures):,} rows of {rows.path.name}, {column}, cross-validated"
    console.print(title, soft_wrap=True)
    print_table("", ("", "held out"), [(words, f"{fitted.quality[name]:.4g}") for name, words in _MEANING.items()])
    if out:
        console.print(f"surrogate: {out}   next: --fitness surrogate:{out}", soft_wrap=True)
