"""``nasformer import-autoformer``: import official weights, kept for their space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json, Space
from nasformer.cli.output import console, print_json


def import_autoformer(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint of AutoFormer's code.")],
    space: Space,
    qkv_bias: Annotated[
        str, typer.Option(metavar="LAYOUT", help="leading (AutoFormer) or interleaved (PreNAS).")
    ] = "leading",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Save a copy here as well.")] = None,
    json: Json = False,
) -> None:
    """Import an official AutoFormer checkpoint, kept for its space.

    No code in the file is executed. Searches of the space will use the
    weights, unless others are kept for their data. Search on images that did not train them (--data): for the
    released supernets, none of ImageNet's training images.

    Examples:
      nasformer import-autoformer supernet-tiny.pth autoformer-tiny

      nasformer import-autoformer prenas.pth autoformer-base --qkv-bias interleaved
    """
    from nasformer.space import load_space
    from nasformer.supernet import Supernet
    from nasformer.training.weights import keep_weights

    declared = load_space(space)
    net = Supernet.from_autoformer(checkpoint, declared, qkv_bias=qkv_bias)  # type: ignore[arg-type]  # checked there
    if out is not None:
        net.save(out)
    kept = keep_weights(net)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    if json:
        print_json({"space": declared.name, "parameters": parameters, "kept": str(kept), "out": out and str(out)})
        return
    console.print(
        f"{checkpoint}: {parameters:,} parameters, supernet of {declared.name}. Kept as {kept}\n"
        f"Next: nasformer search {space} --data imagefolder:PATH --params 6e6",
        soft_wrap=True,
    )
