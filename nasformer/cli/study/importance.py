"""``nasformer study importance``: hyperparameter importance of dimensions and layers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json, Storage, StudyName
from nasformer.cli.output import console, print_json, print_table


def importance(
    storage: Storage,
    study: StudyName = None,
    evaluator: Annotated[str, typer.Option(help="Optuna's fanova, mdi or ped-anova.")] = "fanova",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw importance.svg and importance.png.")] = None,
    json: Json = False,
) -> None:
    """Show the share of the value's variance that each dimension and layer explains.

    Examples:
      nasformer study importance --storage digits.log --out runs/digits
    """
    from nasformer.search.study import Study
    from nasformer.search.study.importance import importances

    found = Study.load(storage, study)
    shares = importances(found, evaluator)
    if out:
        from nasformer.report.figures import draw_importance

        out.mkdir(parents=True, exist_ok=True)
        draw_importance(shares, f"Shares of the variance of the value in {found.name}, by {evaluator}.").save(out)
    if json:
        print_json(shares)
        return
    whole = [(name, f"{100 * share:.1f} %") for name, share in shares.items() if "." not in name]
    print_table("", (found.name, ""), whole)
    names = [dimension.name for dimension in found.space.dimensions if dimension.scope == "layer"]
    layers = sorted({int(name.partition(".")[2]) for name in shares if "." in name})
    rows = [(layer + 1, *(_percent(shares, name, layer) for name in names)) for layer in layers]
    print_table("", ("layer", *names), rows, left=0)
    deepest = found.space.largest.depth
    if len(layers) < deepest:
        console.print(f"Layers from {len(layers) + 1} on are omitted: not every architecture has them.")
    if out:
        console.print(f"figure: {out / 'importance.png'}", soft_wrap=True)


def _percent(shares: dict[str, float], name: str, layer: int) -> str:
    share = shares.get(f"{name}.{layer}")
    return "" if share is None else f"{100 * share:.1f} %"
