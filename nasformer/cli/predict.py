"""``nasformer predict``: classify images with an exported network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nasformer.export.opened import Model

_AT_A_TIME = 64

ExportedModel = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of 'nasformer export', or its model file.")
]
ModelDevice = Annotated[str, typer.Option(help="cpu; for model.safetensors also cuda, cuda:1, mps.")]


def predict(
    model: ExportedModel,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes per image.")] = 5,
    device: ModelDevice = "cpu",
    json: Json = False,
) -> None:
    """Print the most probable classes of images.

    Images get the preprocessing of the test images. A .onnx file needs neither torch nor timm. A .pt2 file can
    run code when torch opens it: use such files only from trusted sources.

    Examples:
      nasformer predict runs/digits-onnx-fp32 seven.png

      nasformer predict model.pt2 photos/*.jpg --top 1 --json
    """
    from nasformer.export.opened import open_model

    opened = open_model(model, device=device)
    found = _predictions(opened, images, top)
    if json:
        print_json(found)
        return
    for each in found:
        rows = [(guess["class"], f"{100 * guess['probability']:.1f}") for guess in each["classes"]]
        print_table("", (str(each["image"]), "%"), rows)


def _predictions(model: Model, images: list[Path], top: int) -> list[dict[str, Any]]:
    import numpy as np

    steps, names = model.description.preprocessing, model.description.classes
    found: list[dict[str, Any]] = []
    for first in range(0, len(images), _AT_A_TIME):
        paths = images[first : first + _AT_A_TIME]
        chances = model.probabilities(np.stack([steps.read(path) for path in paths]))
        for path, row in zip(paths, chances, strict=True):
            best = np.argsort(-row, kind="stable")[:top]
            guesses = [{"class": names[place], "probability": float(row[place])} for place in best]
            found.append({"image": str(path), "classes": guesses})
    return found
