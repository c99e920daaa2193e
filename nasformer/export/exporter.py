"""export: write a network as a folder for other programs, verified and measured.

The folder is written to a temporary name and renamed at the end, so no partial export is left behind.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasformer._console import printable
from nasformer._io import atomic, to_json
from nasformer._provenance import versions
from nasformer.cost import COSTS
from nasformer.data.dataset import Dataset
from nasformer.data.image_files import ImageFiles, Plain
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import DataError, ExportError
from nasformer.export.assessment import assess_model
from nasformer.export.card import model_card
from nasformer.export.description import FILE, Description
from nasformer.export.formats import Array, Format, require_format
from nasformer.export.measure import latencies, machine, ratios
from nasformer.export.opened import Model, open_model
from nasformer.export.preprocessing import Preprocessing
from nasformer.export.verify import verify
from nasformer.supernet.layers import resize_images
from nasformer.supernet.model import VisionTransformer

CARD = "README.md"
_PACKAGES = ("timm", "safetensors", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """A verified export.

    Attributes:
        folder: The folder.
        record: Content of its ``nasformer.json``.
    """

    folder: Path
    record: dict[str, Any]


def export(
    net: VisionTransformer,
    data: Dataset,
    out: str | Path,
    *,
    format: str = "safetensors",
    dtype: str = "fp32",
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    images: int = 64,
    repeats: int = 10,
) -> Exported:
    """Write a network as a folder with its weights, ``nasformer.json`` and a model card.

    Args:
        net: The network; not modified.
        data: Its dataset, whose test examples verify and measure the file.
        out: The folder, missing or empty.
        format: One of ``formats.format_names()``, such as "safetensors", "timm" or "onnx".
        dtype: "fp32", "bf16" or "int8"; the latter two are also compared with fp32 in the main metric and speed.
        name: Name of the network; None: the folder's name.
        provenance: Provenance to record.
        tolerance: Maximal absolute output difference; None: the dtype's.
        images: Number of test images, or windows, for verification.
        repeats: Rounds of speed measurements.

    Raises:
        DataError: The dataset does not fit the network.
        ExportError: Unknown or unfit format, missing packages, non-empty ``out``, or failed verification.
    """
    writer = require_format(format, dtype, net, data.task)
    _require_fit(net, data)
    if data.image_size != net.geometry.image_size:
        data = _resized(data, net.geometry.image_size)
    folder = Path(out)
    known = {"licence": None, **(provenance or {}), "data": _record(data), "versions": versions(*_PACKAGES)}
    description = Description(name or folder.name, format, dtype, preprocessing_of(data), data.task, _sizes(net), known)
    _require_free(folder)
    with atomic(folder) as draft:
        draft.mkdir()
        plain = _plain(net, writer, draft, description)
        file = _write(net, writer, draft, description, plain)
        inputs, expected = _compared(net, writer, description, data, images)
        verification = verify(draft, description, inputs, expected, tolerance=tolerance)
        record = {
            **description.to_dict(),
            "file": file.name,
            "bytes": file.stat().st_size,
            "opset": writer.opset,
            "verification": verification.to_dict(),
            **_measured(open_model(draft), data, plain, repeats),
        }
        (draft / FILE).write_text(to_json(record, indent=1) + "\n", encoding="utf-8")
        (draft / CARD).write_text(printable(model_card(record)), encoding="utf-8")
        if plain is not None:
            shutil.rmtree(plain.parent)
    return Exported(folder, record)


def preprocessing_of(data: Dataset) -> Preprocessing | None:
    """Return the preprocessing of a dataset's test images; None: series."""
    if len(data.input_shape) == 2:
        return None
    size, channels, record = data.image_size, data.in_channels, data.record
    if isinstance(data.test, ImageFiles) and isinstance(data.test.transform, Plain):
        plain = data.test.transform
        resize = floor(size / plain.config.crop_pct)
        how = plain.config.interpolation, plain.config.crop_mode
        return Preprocessing(channels, size, resize, tuple(plain.mean), tuple(plain.std), *how)
    mean, std = record.get("mean", [0.0] * channels), record.get("std", [1.0] * channels)
    return Preprocessing(channels, size, size, tuple(mean), tuple(std))


def _record(data: Dataset) -> dict[str, Any]:
    """Return the record of a dataset, completed with defaults."""
    splits = {name: len(split) for name, split in data.splits.items()}
    return {"name": data.name, "seed": None, "splits": splits, "fingerprint": None, **data.record}


def _require_fit(net: VisionTransformer, data: Dataset) -> None:
    for key in ("num_classes", "in_channels", *(() if net.resizes else ("image_size",))):
        have, need = getattr(net.geometry, key), getattr(data, key)
        if have != need:
            raise DataError(
                f"the network has {key} {have}, but the {data.task.examples} of {data.name!r} have {need}; give "
                "matching --data, or fine-tune it on them first ('nasformer finetune')",
                data,
            )
    if len(data.input_shape) != len(net.geometry.input_shape):
        raise DataError(
            f"the network reads {net.geometry.input_shape}, but {data.name!r} has {data.input_shape}: series are no "
            "images; give matching --data",
            data,
        )


def _resized(data: Dataset, image_size: int) -> Dataset:
    """Return the images as a network with that resolution resizes them.

    Raises:
        DataError: They are read from files, which can be read at that size.
    """
    splits: dict[str, Any] = {}
    for name, split in data.splits.items():
        if not isinstance(split, ImagesInMemory):
            raise DataError(f"{data.name!r} is read at {data.image_size} pixels; give image_size={image_size}", data)
        splits[name] = ImagesInMemory(resize_images(split.images, image_size), split.labels)
    known = {key: getattr(data, key) for key in ("name", "task", "in_channels", "record")}
    return Dataset(**splits, image_size=image_size, **known)


def _sizes(net: VisionTransformer) -> dict[str, Any]:
    return {
        "architecture": net.architecture.to_dict(),
        "geometry": net.geometry.to_dict(),
        "pooling": net.pooling,
        **{name: int(cost(net.geometry, net.architecture)) for name, cost in COSTS.items()},
    }


def _compared(
    net: VisionTransformer, writer: Format, description: Description, data: Dataset, count: int
) -> tuple[Array, Array]:
    """Return evenly spaced test examples as the format takes them, and the network's outputs."""
    places = np.unique(np.linspace(0, len(data.test) - 1, min(count, len(data.test))).astype(int))
    inputs = torch.from_numpy(
        writer.taken(torch.stack([data.test[int(place)][0] for place in places]).numpy(), description)
    )
    training = net.training
    try:
        with torch.inference_mode():
            expected = net.eval()(inputs.to(next(net.parameters()).device)).float().cpu()
    finally:
        net.train(training)
    return inputs.numpy(), writer.given(expected.numpy())


def _write(
    net: VisionTransformer, writer: Format, folder: Path, description: Description, plain: Path | None = None
) -> Path:
    path = folder / writer.file
    writer.write(deepcopy(net).cpu().float().eval(), path, description, plain)
    return path


def _plain(net: VisionTransformer, writer: Format, draft: Path, description: Description) -> Path | None:
    """Write the fp32 reference of another dtype; None for fp32."""
    if description.dtype == "fp32":
        return None
    folder = draft / "fp32"
    folder.mkdir()
    return _write(net, writer, folder, replace(description, dtype="fp32"))


def _measured(model: Model, data: Dataset, plain: Path | None, repeats: int) -> dict[str, Any]:
    """Return the test metrics of a file, and its main metric, size and speed relative to fp32."""
    test = _tested(model, data)
    if plain is None:
        return {"test": test}
    other, main = open_model(plain), data.task.metrics[0].name
    before, times = _tested(other, data), latencies({"this": model, "fp32": other}, repeats=repeats)
    against = {
        "test": before,
        f"{main}_ratio": test[main] / before[main] if test[main] is not None and before[main] else None,
        "times_smaller": plain.stat().st_size / model.path.stat().st_size,
        "times_as_fast": ratios(times["this"], times["fp32"]),
        "times": times,
        "machine": machine(),
    }
    return {"test": test, "against_fp32": against}


def _tested(model: Model, data: Dataset) -> dict[str, Any]:
    """Return the number of test examples and every metric of the task."""
    found = assess_model(model, data)
    names = (data.task.examples, *(metric.name for metric in data.task.metrics))
    return {name: found[name] for name in names if name in found}


def _require_free(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportError(f"{folder} already exists; choose another with --out, or remove it", folder)
