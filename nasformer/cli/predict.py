"""``nasformer predict``: what an exported model takes images for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of an export or of a fine-tuning, or the model's file in it.")
]


def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image.")] = 3,
    json: Json = False,
) -> None:
    """Print the likeliest classes of images.

    Examples:
      nasformer predict exports/digits-onnx seven.png

      nasformer predict runs/digits-finetune *.png --json
    """
    from nasformer.export.images import prepared
    from nasformer.export.opened import open_model

    opened = open_model(model)
    classes = opened.description["classes"]
    shown = [prepared(image, opened.description["preprocessing"]) for image in images]
    rows = []
    for image, pixels in zip(images, shown, strict=True):
        odds = opened.probabilities(pixels)[0]
        best = odds.argsort()[::-1][:top]
        told = [{"class": classes[place], "probability": float(odds[place])} for place in best]
        rows.append({"image": str(image), "classes": told})
    if json:
        print_json(rows)
        return
    width = max(len(str(image)) for image in images)
    for image, row in zip(images, rows, strict=True):
        words = ", ".join(f"{each['class']} {100 * each['probability']:.1f} %" for each in row["classes"])  # type: ignore[index]
        console.print(f"{image!s:<{width}}  {words}", markup=False, soft_wrap=True)
