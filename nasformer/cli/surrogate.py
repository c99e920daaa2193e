"""``nasformer surrogate``: fit a model to a table, with its cross-validation error beside that of others."""

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
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as JSON.")] = None,
    column: Annotated[str, typer.Option(metavar="NAME", help="Value column, higher is better.")] = "top1",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="additive, trees, gaussian-process, or auto: the best of all.")
    ] = "additive",
    json: Json = False,
) -> None:
    """Fit a model to a table, and print its 10-fold cross-validation error beside those of an additive model and trees.

    As a fitness it evaluates any architecture instantly: --fitness surrogate:FILE, or
    --fitness fit:TABLE?model=NAME without a file.

    Examples:
      nasformer surrogate accuracies.jsonl --out surrogate.json

      nasformer surrogate digits-exhaustive --model auto
    """
    from nasformer.fitness import TableFitness
    from nasformer.fitness.regression import MODELS, fit_surrogate

    rows = TableFitness(table, value=column)
    named = list(MODELS if model == "auto" else dict.fromkeys((model, "additive", "trees")))
    tried = {name: fit_surrogate(rows, name) for name in named}
    chosen = max(tried, key=lambda name: tried[name].quality["r2"]) if model == "auto" else model
    fitted = tried[chosen]
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        fitted.save(out)
    if json:
        of_all = {name: each.quality for name, each in tried.items()}
        shown = {"rows": len(rows.architectures), "out": str(out) if out else None, "model": chosen}
        print_json({**shown, **fitted.quality, "models": of_all})
        return
    title = f"{len(rows.architectures):,} rows of {rows.path.name}, {column}, cross-validated"
    console.print(title, soft_wrap=True)
    errors = [(words, *(f"{each.quality[name]:.4g}" for each in tried.values())) for name, words in _MEANING.items()]
    print_table("", ("held out", *tried), errors)
    console.print(_how_additive(tried["additive"].quality["r2"], tried["trees"].quality["r2"]), soft_wrap=True)
    if out:
        console.print(f"surrogate ({chosen}): {out}   next: --fitness surrogate:{out}", soft_wrap=True)


def _how_additive(additive: float, trees: float) -> str:
    return (
        f"An additive model explains {100 * additive:.0f} % of the variance of held-out rows, boosted trees "
        f"{100 * trees:.0f} %: the less they differ, the more a comparison favours strategies that assume additivity."
    )
