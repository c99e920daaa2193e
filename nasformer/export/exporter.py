"""export: a network as a folder that another program opens, verified and measured before it is there.

The folder is made beside its place and moved into it when all holds, so nothing half-done is left behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasformer._io import atomic
from nasformer._provenance import versions
from nasformer.cost import COSTS
from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.data.image_folder import CROP, ImageFiles, Plain
from nasformer.errors import DataError, ExportError
from nasformer.export.card import model_card
from nasformer.export.description import FILE, Description
from nasformer.export.formats import OPSET, require_format, write
from nasformer.export.measure import latencies, machine, ratios, score
from nasformer.export.opened import Array, Model, open_model
from nasformer.export.preprocessing import Preprocessing
from nasformer.export.verify import verify
from nasformer.supernet.model import VisionTransformer

CARD = "README.md"
_PACKAGES = ("timm", "safetensors", "onnx", "onnxscript", "onnxruntime")
_AT_A_TIME = 256


@dataclass(frozen=True)
class Exported:
    """A folder that was written and verified.

    Attributes:
        folder: Where it is.
        record: What its ``nasformer.json`` says.
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
        net: The network; it is left as it is.
        data: The images that it is for: its test images verify and measure the file.
        out: The folder, which must not be there or be empty.
        format: "safetensors", "timm", "onnx" or "torch-export".
        dtype: "fp32", "bf16" or "int8"; where it is not fp32, accuracy and speed are measured against that too.
        name: What the network is called; None: the folder's name.
        provenance: What is recorded of where it comes from.
        tolerance: Largest absolute difference of an output that passes; None: the dtype's.
        images: Test images that a fresh process compares.
        repeats: Rounds of a measurement of speed.

    Raises:
        DataError: The network does not take these images, or has other classes.
        ExportError: The format is unknown or its packages absent, ``out`` is not empty, or the file is not the network.
    """
    require_format(format, dtype)
    _require_fit(net, data)
    if data.image_size != net.geometry.image_size:
        data = data.resized(net.geometry.image_size)
    folder = Path(out)
    known = {"licence": None, **(provenance or {}), "data": _record(data), "versions": versions(*_PACKAGES)}
    description = Description(
        name or folder.name, format, dtype, preprocessing_of(data), tuple(data.classes), _sizes(net), known
    )
    _require_free(folder)
    with atomic(folder) as draft:
        draft.mkdir()
        plain = _plain(net, draft, description)
        file = write(net, draft, description, plain)
        inputs, expected = _compared(net, data, images)
        verification = verify(draft, format, dtype, inputs, expected, tolerance=tolerance)
        record = {
            **description.to_dict(),
            "file": file.name,
            "bytes": file.stat().st_size,
            "opset": OPSET if format == "onnx" else None,
            "verification": verification.to_dict(),
            **_measured(open_model(draft), data, plain, repeats),
        }
        (draft / FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        (draft / CARD).write_text(model_card(record), encoding="utf-8")
        if plain is not None:
            shutil.rmtree(plain.parent)
    return Exported(folder, record)


def preprocessing_of(data: Dataset) -> Preprocessing:
    """Return how the test images of a dataset become inputs."""
    size, channels, record = data.image_size, data.in_channels, data.record
    if isinstance(data.test, ImageFiles) and isinstance(data.test.transform, Plain):
        plain = data.test.transform
        return Preprocessing(channels, size, floor(size / CROP), tuple(plain.mean), tuple(plain.std))
    mean, std = record.get("mean", [0.0] * channels), record.get("std", [1.0] * channels)
    return Preprocessing(channels, size, size, tuple(mean), tuple(std))


def _record(data: Dataset) -> dict[str, Any]:
    """Return the record of a dataset, with what a caller's own leaves out."""
    splits = {name: len(split) for name, split in data.splits.items()}
    return {"name": data.name, "seed": None, "splits": splits, "fingerprint": None, **data.record}


def _require_fit(net: VisionTransformer, data: Dataset) -> None:
    for key in ("num_classes", "in_channels", *(() if net.resizes else ("image_size",))):
        have, need = getattr(net.geometry, key), getattr(data, key)
        if have != need:
            raise DataError(
                f"the network has {key} {have}, but the images of {data.name!r} have {need}; give --data of its own, "
                "or fine-tune it on them first ('nasformer finetune')",
                data,
            )


def _sizes(net: VisionTransformer) -> dict[str, Any]:
    return {
        "architecture": net.architecture.to_dict(),
        "geometry": net.geometry.to_dict(),
        "pooling": net.pooling,
        **{name: int(cost(net.geometry, net.architecture)) for name, cost in COSTS.items()},
    }


def _compared(net: VisionTransformer, data: Dataset, count: int) -> tuple[Array, Array]:
    """Return test images from all over the split, and what the network says of them."""
    places = np.unique(np.linspace(0, len(data.test) - 1, min(count, len(data.test))).astype(int))
    inputs = torch.stack([data.test[int(place)][0] for place in places])
    training = net.training
    try:
        with torch.inference_mode():
            expected = net.eval()(inputs.to(next(net.parameters()).device)).float().cpu()
    finally:
        net.train(training)
    return inputs.numpy(), expected.numpy()


def _plain(net: VisionTransformer, draft: Path, description: Description) -> Path | None:
    """Write what another dtype is set against, the same in fp32; nothing where that is what is wanted."""
    if description.dtype == "fp32":
        return None
    folder = draft / "fp32"
    folder.mkdir()
    return write(net, folder, replace(description, dtype="fp32"))


def _measured(model: Model, data: Dataset, plain: Path | None, repeats: int) -> dict[str, Any]:
    """Return the accuracy of a file on test images, and what it cost and gained against the same in fp32."""
    test = score(model, _batches(data))
    if plain is None:
        return {"test": test}
    other = open_model(plain)
    before, times = score(other, _batches(data)), latencies({"this": model, "fp32": other}, repeats=repeats)
    against = {
        "test": before,
        "accuracy_ratio": test["accuracy"] / before["accuracy"] if before["accuracy"] else None,
        "times_smaller": plain.stat().st_size / model.path.stat().st_size,
        "times_as_fast": ratios(times["this"], times["fp32"]),
        "times": times,
        "machine": machine(),
    }
    return {"test": test, "against_fp32": against}


def _batches(data: Dataset) -> Iterator[tuple[Array, Array]]:
    for images, labels in iterate(data.test, _AT_A_TIME):
        yield images.numpy(), labels.numpy()


def _require_free(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportError(f"{folder} is there already; name another with --out, or remove it", folder)
