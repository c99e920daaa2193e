"""``nasformer export-autoformer``: a supernet as a checkpoint of AutoFormer's code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json, Space, SupernetPath
from nasformer.cli.output import console, print_json


def export_autoformer(
    space: Space,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Output file, e.g. supernet.pth.")],
    supernet: SupernetPath = None,
    json: Json = False,
) -> None:
    """Write the weights of a space so that AutoFormer's code loads them.

    Examples:
      nasformer export-autoformer autoformer-tiny supernet.pth

      nasformer export-autoformer digits digits.pth --supernet runs/digits/supernet.safetensors
    """
    from nasformer.space import load_space
    from nasformer.supernet import write_autoformer
    from nasformer.training.opening import load_supernet

    net, source = load_supernet(load_space(space), supernet)
    write_autoformer(net, out)
    if json:
        print_json({"space": net.space.name, "supernet": str(source), "out": str(out), "qkv_bias": net.qkv_bias})
        return
    console.print(f"{source} written to {out} in AutoFormer's format", soft_wrap=True)
