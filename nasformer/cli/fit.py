"""``nasformer fit``: from a dataset and budgets to exported networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli import options
from nasformer.cli.options import BUDGET, DATA, OUTPUT, SEARCH, WEIGHTS
from nasformer.cli.output import command_line, console, messages, print_json, print_table
from nasformer.cli.searching import read_options

if TYPE_CHECKING:
    from nasformer.pipeline import FitResult


def fit(
    data: Annotated[str, typer.Argument(metavar="PHOTOS", help="A folder of images, a label table, or a dataset.")],
    params: Annotated[str | None, typer.Option(metavar="LIST", help="Most parameters, e.g. 2M.", **BUDGET)] = None,
    macs: Annotated[str | None, typer.Option(metavar="LIST", help="Most multiply-accumulates.", **BUDGET)] = None,
    latency: Annotated[
        str | None, typer.Option(metavar="LIST", help="Most milliseconds here, e.g. 2,4,8.", **BUDGET)
    ] = None,
    memory: Annotated[str | None, typer.Option(metavar="LIST", help="Most bytes in use, e.g. 8M.", **BUDGET)] = None,
    hours: Annotated[
        float | None, typer.Option(metavar="H", help="Time of all; default: as the recipe.", **BUDGET)
    ] = None,
    image_size: Annotated[int | None, typer.Option(metavar="N", min=1, help="Pixels.", **DATA)] = None,
    readers: options.Readers = "auto",
    space: Annotated[str | None, typer.Option(metavar="SPACE", help="Default: by the data.", **WEIGHTS)] = None,
    from_timm: Annotated[str | None, typer.Option(metavar="NAME", help="A trained model to shrink.", **WEIGHTS)] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Its state dict.", **WEIGHTS)] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of timm.create_model.", **WEIGHTS)
    ] = None,
    transformers: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Of save_pretrained.", **WEIGHTS)] = None,
    strategy: options.Strategy = "thompson",
    evaluations: Annotated[
        int, typer.Option("--evaluations", "-n", metavar="N", min=1, help="Of all searches.", **SEARCH)
    ] = 100,
    epochs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of the supernet.", **WEIGHTS)] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Train uniform ViTs alone too, for equal compute.", **SEARCH)
    ] = False,
    seed: options.Seed = 0,
    format: Annotated[str | None, typer.Option(metavar="NAME", help="Default: onnx if installed.", **OUTPUT)] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-fit.", **OUTPUT)] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Print equivalent commands.", **OUTPUT)] = False,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Make the best ViTs for your images within budgets, as files.

    Looks at the data, chooses a space and a recipe, trains a supernet,
    searches it, fine-tunes the network of each budget, exports and reports.
    Each stage says what it decided. The same command goes on after a stop.

    Examples:
      nasformer fit PHOTOS --latency 3

      nasformer fit PHOTOS --params 1M,2M,4M --hours 1

      nasformer fit PHOTOS --macs 300M --from-timm deit_tiny_patch16_224
    """
    from nasformer.pipeline.commands import commands

    asked = {
        "params": _values(params),
        "macs": _values(macs),
        "latency_ms": _values(latency),
        "memory": _values(memory),
        "hours": hours,
        "space": space,
        "timm": from_timm,
        "weights": weights,
        "timm_options": read_options(option or []),
        "transformers": transformers,
        "image_size": image_size,
        "format": format,
        "epochs": epochs,
        "evaluations": evaluations,
        "compare": compare,
        "strategy": strategy,
        "seed": seed,
        "out": out,
        "device": device,
        "readers": options.readers_of(readers),
    }
    found = fit_and_show(data, asked, quiet=quiet, json=json)
    if explain:
        messages.print("\n".join(commands(found.folder)), soft_wrap=True)


def fit_and_show(data: str, asked: dict[str, Any], *, quiet: bool, json: bool) -> FitResult:
    """Run ``fit``, say what each stage decided, and print the networks."""
    from nasformer.pipeline import fit as run

    def say(line: str) -> None:
        if not json:
            console.print(line, soft_wrap=True)

    found = run(data, **asked, progress=not (quiet or json), say=say, command=command_line())
    if json:
        models = [model.to_dict() for model in found.models]
        print_json({"folder": str(found.folder), "report": str(found.page), "seconds": found.seconds, "models": models})
    else:
        _show(found)
    return found


def _values(text: str | None) -> list[float] | float | None:
    """Parse a list of numbers, such as 1M,2M."""
    from nasformer.cost.budget import parse_number

    if text is None:
        return None
    values = [float(parse_number(part.strip().removesuffix("ms"))) for part in text.split(",")]
    return values if len(values) > 1 else values[0]


def _show(found: FitResult) -> None:
    from nasformer.search.progress import duration

    first = found.models[0]
    metric = next(name for name, value in first.test.items() if isinstance(value, float))
    rows = []
    for model in found.models:
        row = [", ".join(f"{name} <= {most:,.10g}" for name, most in model.budget.items())]
        row += [f"{model.test[metric]:.4g}", *([f"{model.rival['test'][metric]:.4g}"] if model.rival else [])]
        row += [f"{model.costs['params']:,.0f}", f"{model.costs['macs']:,.0f}"]
        rows.append([*row, *([] if model.measured_ms is None else [f"{model.measured_ms:.2f}"])])
    columns = ["budget", metric, *(["uniform ViT"] if first.rival else []), "params", "MACs"]
    print_table("on test examples", (*columns, *([] if first.measured_ms is None else ["ms"])), rows)
    for folder in dict.fromkeys(model.folder for model in found.models):
        console.print(f"{folder}", soft_wrap=True)
    console.print(f"{duration(found.seconds)}. Open {found.page.resolve()}", soft_wrap=True)
