"""Write: a network in a format, whole or not at all, once a fresh process has read it again and agrees."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import torch

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset
from nasformer.errors import DataError, ExportError, did_you_mean
from nasformer.export.check import check
from nasformer.export.description import Description, describe, write_description
from nasformer.export.formats import FORMATS, Dtype
from nasformer.export.measure import accuracy, compared
from nasformer.export.opened import Images, Run, open_model
from nasformer.supernet import VisionTransformer

_SHOWN = 64


def export(
    net: VisionTransformer,
    out: str | Path,
    data: Dataset,
    *,
    format: str = "safetensors",
    dtype: Dtype = "fp32",
    training: Mapping[str, Any] | None = None,
    source: Mapping[str, Any] | None = None,
    images: int | None = 2000,
    repeats: int = 20,
) -> Description:
    """Write a network, check it in a fresh process, and say what it is worth.

    Args:
        net: The network, in evaluation mode.
        out: The folder; it must not be there yet.
        data: Real images: test images are what it is checked and measured on.
        format: One of ``FORMATS``.
        dtype: "fp32", "bf16" or "int8", of those that the format knows.
        training: How it was trained, as ``TrainingResult.to_dict`` gives it; None: of ``data`` alone is told.
        source: What is recorded of where it comes from; ``licence`` is that of the weights.
        images: Test images for the accuracy; None: all.
        repeats: Rounds of the speed.

    Returns:
        The description that is written beside the model.

    Raises:
        ExportError: The format or the precision is unknown, the folder is there already, a package is missing, or
            the model that was written is not the network.
        DataError: The images do not fit the network.

    >>> import tempfile
    >>> from nasformer.data import load_dataset
    >>> from nasformer.space import load_space
    >>> from nasformer.supernet import Supernet
    >>> space = load_space("digits")
    >>> net = Supernet(space).extract(space.smallest).eval()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = export(net, f"{folder}/model", load_dataset("digits"), images=100, repeats=2)
    >>> found["verification"]["max_difference"], found["params"] == space.params(space.smallest)
    (0.0, True)
    """
    _require(format, dtype)
    _require_fitting(net, data)
    folder = Path(out)
    if folder.exists():
        raise ExportError(f"{folder} is there already; give another --out, or remove it", folder)
    net = net.cpu().eval()
    description = describe(net, training or {"data": data.record}, source or {})
    description |= {"format": format, "dtype": dtype, "file": FORMATS[format].file}
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        FORMATS[format].write(net, draft, dtype, description)
        write_description(draft, description)
        _measured(net, draft, data, description, images, repeats)
        write_description(draft, description)
        draft.replace(folder)
    except OSError as error:
        raise ExportError(f"cannot write {folder}: {error.strerror or error}", folder) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return description


def _measured(
    net: VisionTransformer, draft: Path, data: Dataset, description: Description, images: int | None, repeats: int
) -> None:
    """Add what the written model is worth beside the network that it was."""
    shown = torch.cat([x for x, _ in islice(iterate(data.test, _SHOWN, device=torch.device("cpu")), 1)]).numpy()
    plain, dtype = _run(net), description["dtype"]
    description["verification"] = check(draft, shown, plain(shown), dtype, by_timm=description["format"] == "timm")
    run = open_model(draft).run
    score, seen = accuracy(run, data.test, images=images)
    before, _ = accuracy(plain, data.test, images=images)
    told = {"split": "test", "images": seen, "accuracy": score, "accuracy_fp32": before}
    description["measured"] = {**told, **compared(run, plain, shown.shape[1:], repeats=repeats)}


def _run(net: VisionTransformer) -> Run:
    def run(images: Images) -> Images:
        with torch.inference_mode():
            logits: Images = net(torch.from_numpy(images)).numpy()
        return logits

    return run


def _require(name: str, dtype: str) -> None:
    if name not in FORMATS:
        raise ExportError(f"unknown format {name!r}; {did_you_mean(name, FORMATS)}", name)
    if dtype not in get_args(Dtype):
        raise ExportError(f"dtype must be {', '.join(get_args(Dtype))}, got {dtype!r}", dtype)
    if dtype not in FORMATS[name].dtypes:
        able = [other for other, each in FORMATS.items() if dtype in each.dtypes]
        raise ExportError(f"{name} has no {dtype} here, {', '.join(able)} has; or take --dtype fp32", dtype)


def _require_fitting(net: VisionTransformer, data: Dataset) -> None:
    g = net.geometry
    for name in ("in_channels", "image_size", "num_classes"):
        if getattr(g, name) != getattr(data, name):
            raise DataError(
                f"the network has {name} {getattr(g, name)}, the images of {data.name!r} {getattr(data, name)}; "
                "give the data that it was trained on",
                data,
            )
