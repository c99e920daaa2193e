"""``nasformer predict``: apply an exported network to images or to a series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table

if TYPE_CHECKING:
    from nasformer.export.opened import Model

_AT_A_TIME = 64

ExportedModel = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of 'nasformer export', or its model file.")
]
ModelDevice = Annotated[str, typer.Option(help="cpu; for model.safetensors also cuda, cuda:1, mps.")]


def predict(
    model: ExportedModel,
    files: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...|SERIES", help="Image files, or one CSV or Parquet file.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes or labels per image.")] = 5,
    out: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Write a forecast.", show_default=False)] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Times of the series; default: by name.", show_default=False)
    ] = None,
    device: ModelDevice = "cpu",
    json: Json = False,
) -> None:
    """Print the classes, labels or values of images, or the forecast of a series.

    Images get the preprocessing of the test images. A forecast follows the last row of its file, which has a column
    of times and the channels of the training by name. A .onnx file needs neither torch nor timm. A .pt2 file can run
    code when torch opens it: use such files only from trusted sources.

    Examples:
      nasformer predict runs/digits-onnx-fp32 seven.png

      nasformer predict model.pt2 photos/*.jpg --top 1 --json

      nasformer predict model.onnx ETTh1.csv --out forecast.csv
    """
    from nasformer.export.opened import open_model

    opened = open_model(model, device=device)
    if opened.description.task.name == "forecasting":
        _forecast(opened, files, time, out, json)
        return
    _require_images(opened, out, time)
    found = _predictions(opened, files, top)
    if json:
        print_json(found)
        return
    for each in found:
        _show(each)


def _require_images(model: Model, out: Path | None, time: str | None) -> None:
    from nasformer.errors import ExportError

    task = model.description.task.name
    if model.description.preprocessing is None:
        raise ExportError(f"predict reads images or forecasts series, not {task} of series; use Python", task)
    if out is not None or time is not None:
        raise ExportError(f"--out and --time are for forecasts; {model.path} is for {task}", task)


def _predictions(model: Model, images: list[Path], top: int) -> list[dict[str, Any]]:
    import numpy as np

    steps = model.description.preprocessing
    assert steps is not None
    found: list[dict[str, Any]] = []
    for first in range(0, len(images), _AT_A_TIME):
        paths = images[first : first + _AT_A_TIME]
        read = model.predictions(np.stack([steps.read(path) for path in paths]), top)
        found += [{"image": str(path), **each} for path, each in zip(paths, read, strict=True)]
    return found


def _show(found: dict[str, Any]) -> None:
    """Print a table of an image's classes, labels, values, or of what else the task reads."""
    image, (kind, read), *_ = found["image"], *((key, value) for key, value in found.items() if key != "image")
    if kind == "classes":
        print_table("", (image, "%"), [(each["class"], f"{100 * each['probability']:.1f}") for each in read])
    elif kind == "labels":
        rows = [
            (each["label"], f"{100 * each['probability']:.1f}", "present" if each["present"] else "") for each in read
        ]
        print_table("", (image, "%", ""), rows)
    else:
        print_table("", (image, ""), read.items() if isinstance(read, dict) else [(kind, read)])


def _forecast(model: Model, files: list[Path], time: str | None, out: Path | None, json: bool) -> None:
    from nasformer._io import atomic, without_formulas
    from nasformer.errors import ExportError
    from nasformer.export.forecast import forecast

    if len(files) != 1:
        raise ExportError(f"a forecast is of one series, got {len(files)} files", files)
    found = forecast(model, files[0], time=time)
    if out is not None:
        with atomic(out) as draft:
            without_formulas(found).to_csv(draft)
    times = found.index.astype(str).tolist()
    if json:
        print_json({"series": str(files[0]), "time": times, "forecast": found.to_dict("list")})
    elif out is None:
        rows = [(at, *row) for at, row in zip(times, found.to_numpy().tolist(), strict=True)]
        print_table("", ("time", *found.columns), rows)
    else:
        console.print(f"{len(found)} rows in {out}", soft_wrap=True)
