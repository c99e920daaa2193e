"""``nasformer predict``: apply an exported network to images or to a series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer._io import atomic, without_formulas, write_file
from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table
from nasformer.errors import DataError, ExportError

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
        list[str],
        typer.Argument(metavar="IMAGE...|SERIES", help="Images, folders, quoted patterns, or one CSV or Parquet file."),
    ],
    top: Annotated[int, typer.Option(min=1, help="Classes or labels per image.")] = 5,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write .csv or .jsonl instead.")] = None,
    time: Annotated[str | None, typer.Option(metavar="COLUMN", help="Times of the series; default: by name.")] = None,
    device: ModelDevice = "cpu",
    json: Json = False,
) -> None:
    """Print the classes, labels or values of images, or the forecast of a series.

    Images get the preprocessing of the test images; those that cannot be
    read are named at the end. A forecast follows the last row of its file,
    which has a column of times and the channels of the training by name.
    A .onnx file needs neither torch nor timm. A .pt2 file can run code when
    torch opens it: use such files only from trusted sources.

    Examples:
      nasformer predict runs/digits-onnx-fp32 seven.png

      nasformer predict model.pt2 photos --top 1 --out found.csv

      nasformer predict model.onnx ETTh1.csv --out forecast.csv
    """
    from nasformer.export.opened import open_model

    opened = open_model(model, device=device)
    if opened.description.task.name == "forecasting":
        _forecast(opened, files, time, out, json)
        return
    _require_images(opened, time)
    found, unread = _predictions(opened, _paths(files), top)
    if out is not None:
        _write(found, out)
        console.print(f"{len(found)} images in {out}", soft_wrap=True)
    elif json:
        print_json(found)
    else:
        for each in found:
            _show(each)
    _require_read(unread, len(found))


def _require_images(model: Model, time: str | None) -> None:
    task = model.description.task.name
    if model.description.preprocessing is None:
        raise ExportError(f"predict reads images or forecasts series, not {task} of series; use Python", task)
    if time is not None:
        raise ExportError(f"--time is for forecasts; {model.path} is for {task}", task)


def _paths(files: list[str]) -> list[Path]:
    """Return the images of files, folders and patterns.

    Raises:
        DataError: A folder has no image, or no file fits a pattern.
    """
    from glob import glob

    from nasformer.data.picture import suffixes

    found: list[Path] = []
    for name in files:
        path, own = Path(name), [Path(name)]
        if path.is_dir():
            own = sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes())
        elif not path.exists() and any(letter in name for letter in "*?["):
            own = sorted(map(Path, glob(name, recursive=True)))
        if not own:
            raise DataError(f"there is no image in {name}", name)
        found += own
    return found


def _predictions(model: Model, images: list[Path], top: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the predictions of the images that can be read, and why the others cannot."""
    import numpy as np

    steps = model.description.preprocessing
    assert steps is not None
    found, unread = list[dict[str, Any]](), list[str]()
    for first in range(0, len(images), _AT_A_TIME):
        inputs = {}
        for path in images[first : first + _AT_A_TIME]:
            try:
                inputs[path] = steps.read(path)
            except DataError as error:
                unread.append(str(error))
        if inputs:
            read = model.predictions(np.stack([*inputs.values()]), top)
            found += [{"image": str(path), **each} for path, each in zip(inputs, read, strict=True)]
    return found, unread


def _require_read(unread: list[str], read: int) -> None:
    if unread:
        more = f"; and {len(unread) - 1} more of {read + len(unread)}" if len(unread) > 1 else ""
        raise DataError(f"{unread[0]}{more}", unread)


def _write(found: list[dict[str, Any]], out: Path) -> None:
    """Write predictions, a line an image: as CSV with a column per class and rank, label or value, or JSON Lines.

    Raises:
        DataError: The suffix is neither .csv nor .jsonl.
    """
    import json

    if out.suffix == ".jsonl":
        write_file(out, "".join(f"{json.dumps(each)}\n" for each in found))
        return
    if out.suffix != ".csv":
        raise DataError(f"--out {out} is a .csv or .jsonl file", out)
    import pandas as pd

    write_file(out, without_formulas(pd.DataFrame([_flat(each) for each in found])).to_csv(index=False))


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction as plain columns: ranked classes numbered, labels and values by name."""
    (kind, read), *_ = ((key, value) for key, value in found.items() if key != "image")
    row = {"image": found["image"]}
    if kind == "classes":
        for rank, each in enumerate(read, 1):
            row |= {f"class_{rank}": each["class"], f"probability_{rank}": each["probability"]}
    elif kind == "labels":
        row |= {each["label"]: each["probability"] for each in read}
    else:
        row |= read if isinstance(read, dict) else {kind: read}
    return row


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


def _forecast(model: Model, files: list[str], time: str | None, out: Path | None, json: bool) -> None:
    from nasformer.export.forecast import forecast

    if len(files) != 1:
        raise ExportError(f"a forecast is of one series, got {len(files)} files", files)
    found = forecast(model, Path(files[0]), time=time)
    if out is not None:
        with atomic(out) as draft:
            without_formulas(found).to_csv(draft)
    times = found.index.astype(str).tolist()
    if json:
        print_json({"series": files[0], "time": times, "forecast": found.to_dict("list")})
    elif out is None:
        rows = [(at, *row) for at, row in zip(times, found.to_numpy().tolist(), strict=True)]
        print_table("", ("time", *found.columns), rows)
    else:
        console.print(f"{len(found)} rows in {out}", soft_wrap=True)
