"""``nasformer diagnose``: test the assumptions of a supernet search, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli.options import (
    Data,
    Device,
    Json,
    Macs,
    Params,
    Quiet,
    Readers,
    Root,
    Seed,
    Space,
    SupernetPath,
    budget_of,
    readers_of,
    run_folder,
    trained_space,
)
from nasformer.cli.output import command_line, console, print_json, print_table
from nasformer.cli.training import RecipeFile, read_recipe


def diagnose(
    space: Space,
    supernet: SupernetPath = None,
    data: Data = None,
    params: Params = None,
    macs: Macs = None,
    recipe: RecipeFile = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of retraining; default: the recipe's.", show_default=False)
    ] = None,
    finetune_epochs: Annotated[int, typer.Option(min=1, help="Of fine-tuning.")] = 1,
    final_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Of the winner and the uniform ViT; default: --epochs.", show_default=False),
    ] = None,
    sharing_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Of entangled and classical supernet; default: the recipe's.", show_default=False),
    ] = None,
    architectures: Annotated[int, typer.Option(help="Sampled and retrained.")] = 20,
    finetuned: Annotated[int, typer.Option(help="Number of these also fine-tuned.")] = 10,
    pool: Annotated[int, typer.Option(help="Architectures evaluated per image.")] = 100,
    search_images: Annotated[int, typer.Option(help="Images per evaluation in a search.")] = 2000,
    evaluations: Annotated[int, typer.Option(help="Per search.")] = 100,
    searches: Annotated[int, typer.Option(help="Seeds per strategy.")] = 6,
    retrainings: Annotated[int, typer.Option(help="Seeds of winner and uniform ViT.")] = 3,
    piece: Annotated[
        list[str] | None,
        typer.Option(
            help="images, curse, strategies, fidelity, sharing or winner; repeatable; default: all.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-diagnosis.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train and search.")] = 1,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    readers: Readers = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Test the assumptions of a supernet search, and write a report.

    Do inherited weights rank architectures like retraining, and how much do
    they lose? Is entangled weight sharing better than classical,
    are strategies better than random search, is the winner better than a uniform
    ViT? How many search images does a ranking need, and how optimistic is the
    search about its winner? Most time goes into training: up to
    (architectures + 4) x epochs, 2 x retrainings x final-epochs, finetuned x
    finetune-epochs, and one or two supernets. The same command resumes.

    Examples:
      nasformer diagnose digits --params 60k --workers 2

      nasformer diagnose fashion-mnist --params 300k --epochs 4 --workers 2

      nasformer diagnose fashion-mnist --piece images --piece curse
    """
    from nasformer.diagnose import PIECES, Plan
    from nasformer.diagnose import diagnose as measure
    from nasformer.registry import open_supernet, supernet_file

    declared = trained_space(space, supernet, data)
    file = supernet_file(declared, supernet, data)
    net, dataset = open_supernet(declared, supernet=file, data=data, root=root)
    base = read_recipe(recipe, net.metadata.get("training", {}), dataset, device)
    alone = base.replace(epochs=epochs or base.epochs)
    plan = Plan(
        recipe=alone.to_dict(),
        finetuning=alone.finetuning().replace(epochs=finetune_epochs).to_dict(),
        sharing=base.replace(epochs=sharing_epochs or base.epochs).to_dict(),
        final=base.replace(epochs=final_epochs or alone.epochs).to_dict(),
        budget=budget_of(params, macs),
        architectures=architectures,
        finetuned=finetuned,
        pool=pool,
        search_images=search_images,
        evaluations=evaluations,
        searches=searches,
        retrainings=retrainings,
        seed=seed,
        pieces=tuple(piece or PIECES),
    )
    folder = out or run_folder(f"{declared.name}-diagnosis")
    how: dict[str, Any] = {
        "workers": workers,
        "device": device,
        "readers": readers_of(readers),
        "progress": not (quiet or json),
    }
    try:
        found = measure(net, dataset, plan, folder, file=str(file), **how)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"Results so far are in {folder}; resume with: {command_line()}") from None
    _show(found, folder, json=json)


def _show(found: dict[str, Any], folder: Path, *, json: bool) -> None:
    from nasformer.report import write_diagnosis_report

    page = write_diagnosis_report(folder, found, command=command_line())
    if json:
        print_json({"folder": str(folder), "report": str(page), **found})
        return
    rows = [(claim["verdict"], claim["claim"], claim["here"]) for claim in found["claims"]]
    print_table(found["title"], ("", "claim of the paper", "here"), rows, left=3)
    console.print(f"Report: {page}\nFigures: {folder / 'diagnosis.json'}", soft_wrap=True)
