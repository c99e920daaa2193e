"""``nasformer diagnose``: what can a search with a supernet trust? With a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli import options
from nasformer.cli.output import command_line, console, print_json, print_table, resumable
from nasformer.cli.training import RecipeFile, read_recipe


def diagnose(
    space: options.Space,
    supernet: options.SupernetPath = None,
    data: options.Data = None,
    budgets: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="As of search, e.g. 'macs <= 1M, 2M'; default: five up to the largest network."
        ),
    ] = None,
    recipe: RecipeFile = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Of a network in fidelity; default: the recipe's.")] = None,
    architectures: Annotated[int, typer.Option(help="Retrained over the range of budgets.")] = 20,
    band: Annotated[int, typer.Option(help="Retrained within 10 % of the middle budget.")] = 20,
    long: Annotated[int, typer.Option(help="Also retrained as long as the supernet.")] = 5,
    pool: Annotated[int, typer.Option(help="Architectures evaluated per image.")] = 100,
    search_images: Annotated[int, typer.Option(help="Images per evaluation in a search.")] = 2000,
    evaluations: Annotated[int, typer.Option(help="Per search.")] = 100,
    random: Annotated[int, typer.Option(help="Random evaluations that a search is to beat.")] = 1000,
    seeds: Annotated[int, typer.Option(help="Searches of each strategy.")] = 3,
    piece: Annotated[
        list[str] | None, typer.Option(help="images, efficiency or fidelity; repeatable; default: all.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-diagnosis.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train and search.")] = 1,
    root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    readers: options.Readers = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Ask what a search with a supernet can trust, and write a report.

    Do inherited weights rank architectures like retraining, and how much do
    they lose? How many evaluations does a search need, and how many images an
    evaluation? Most time goes into training: piece fidelity trains
    (architectures + band) networks for as many epochs. The same command
    resumes. Whether the search is worth its compute, 'nasformer fit --compare'
    tells: it trains uniform ViTs beside the networks found.

    Examples:
      nasformer diagnose cifar10 --workers 2

      nasformer diagnose digits --budgets 'macs <= 0.5M, 1M, 2M' --epochs 20

      nasformer diagnose digits --piece images --piece efficiency
    """
    from nasformer.cost import as_budgets
    from nasformer.diagnose import Plan, spread_budgets
    from nasformer.diagnose import diagnose as measure
    from nasformer.training.opening import open_supernet, supernet_file

    declared = options.trained_space(space, supernet, data)
    given = as_budgets(budgets, declared.known_costs) if budgets else spread_budgets(declared)
    file = supernet_file(declared, supernet, data)
    net, dataset = open_supernet(declared, supernet=file, data=data, root=root)
    alone = read_recipe(recipe, net.metadata.get("training", {}), dataset, device)
    plan = Plan(
        recipe=alone.to_dict(),
        budgets=tuple(
            {name: ends.high if ends.low is None else list(ends) for name, ends in budget.items()} for budget in given
        ),
        epochs=epochs,
        architectures=architectures,
        band=band,
        long=min(long, architectures),
        pool=pool,
        search_images=search_images,
        evaluations=evaluations,
        random=random,
        seeds=seeds,
        seed=seed,
        pieces=tuple(piece or ()),
    )
    folder = out or options.run_folder(f"{declared.name}-diagnosis")
    how: dict[str, Any] = {
        "workers": workers,
        "device": device,
        "readers": options.readers_of(readers),
        "progress": not (quiet or json),
    }
    with resumable(f"Results so far are in {folder}"):
        found = measure(net, dataset, plan, folder, file=str(file), **how)
    _show(found, folder, json=json)


def _show(found: dict[str, Any], folder: Path, *, json: bool) -> None:
    from nasformer.diagnose.page import claims_table, write_diagnosis_report
    from nasformer.tasks import task_of

    page = write_diagnosis_report(folder, found, command=command_line())
    if json:
        print_json({"folder": str(folder), "report": str(page), **found})
        return
    table = claims_table(found["pieces"], task_of(found["data"]).objective())
    rows = [(verdict, claim, here) for claim, here, verdict in table.rows]
    print_table(found["title"], ("", "claim", "here"), rows, left=3)
    console.print(f"Report: {page}\nFigures: {folder / 'diagnosis.json'}", soft_wrap=True)
