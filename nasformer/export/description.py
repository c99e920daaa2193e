"""Description: what a model's file does not say of itself, one JSON beside it, and a model card for people.

Preprocessing, classes, architecture, costs, and where it came from: enough to use the model without this library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nasformer.cost import COSTS
from nasformer.errors import ExportError
from nasformer.supernet import VisionTransformer
from nasformer.supernet.checkpoint import library_version

FILE = "nasformer.json"
CARD = "README.md"

Description = dict[str, Any]


def describe(net: VisionTransformer, training: Mapping[str, Any], source: Mapping[str, Any]) -> Description:
    """Return what is known of a network.

    Args:
        net: The network.
        training: How it was trained, as ``TrainingResult.to_dict`` gives it; empty where that is not known.
        source: Where it comes from: weights, space, search.
    """
    data, g = training.get("data", {}), net.geometry
    classes = data.get("classes", [])
    return {
        "library_version": library_version(),
        "torch_version": str(torch.__version__),
        "architecture": net.architecture.to_dict(),
        "geometry": asdict(g),
        "pooling": net.pooling,
        "qkv_bias": net.qkv_bias,
        "norm_eps": net.norm_eps,
        **{name: int(cost(g, net.architecture)) for name, cost in COSTS.items()},
        "classes": classes if len(classes) == g.num_classes else list(map(str, range(g.num_classes))),
        "preprocessing": preprocessing(g.image_size, g.in_channels, data),
        "provenance": {
            **source,
            "data": {name: data[name] for name in ("name", "seed", "splits", "fingerprint") if name in data},
            "recipe": training.get("recipe", {}),
        },
    }


def preprocessing(image_size: int, channels: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what becomes of an image before the model sees it; without a record, mean 0 and deviation 1."""
    return {
        "image_size": image_size,
        "channels": channels,
        "interpolation": "bicubic",
        "crop_pct": data.get("crop_pct", 1.0),
        "range": [0, 1],
        "mean": data.get("mean", [0.0] * channels),
        "std": data.get("std", [1.0] * channels),
    }


def write_description(folder: Path, description: Description) -> None:
    """Write the description and the model card."""
    (folder / FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card(description), encoding="utf-8")


def read_description(folder: Path) -> Description:
    """Return the description in a folder.

    Raises:
        ExportError: It is absent or no JSON.
    """
    try:
        found: Description = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{folder} holds no exported model: {FILE} cannot be read ({error}); "
            "'nasformer export' writes one beside each model",
            folder,
        ) from error
    return found


def card(description: Description) -> str:
    """Return the model card, in Markdown with the head that model hubs read."""
    made, measured = description["provenance"], description.get("measured", {})
    data, before = made["data"].get("name", "unknown images"), description["preprocessing"]
    licence = made.get("licence") or "unknown"
    lines = [
        "---",
        f"license: {json.dumps(licence)}",
        "library_name: timm" if description["format"] in ("safetensors", "timm") else "tags: []",
        "pipeline_tag: image-classification",
        "---",
        "",
        f"# A vision transformer for {_plain(data)}",
        "",
        f"{description['params']:,} parameters, {description['macs']:,} multiply-accumulates an image, "
        f"{len(description['classes'])} classes, format {description['format']}, {description['dtype']}. "
        "Found by architecture search with nasformer (AutoFormer, Chen et al., ICCV 2021).",
        "",
        "## What goes in",
        "",
        f"`(batch, {before['channels']}, {before['image_size']}, {before['image_size']})`, floats in [0, 1] less the "
        f"mean {before['mean']}, divided by {before['std']}; images resized ({before['interpolation']}) so that the "
        f"centre crop is {before['crop_pct']:g} of the shorter side. Out come logits "
        f"`(batch, {len(description['classes'])})`.",
        "",
        "## What was measured",
        "",
        *_measured(description, measured),
        "",
        "## Where it comes from",
        "",
        *(f"- {_plain(name)}: `{_plain(json.dumps(value))}`" for name, value in made.items() if name != "recipe"),
        f"- architecture: `{json.dumps(description['architecture'])}`",
        f"- versions: nasformer {description['library_version']}, torch {description['torch_version']}",
        "",
        f"Everything else, with the recipe of its training, is in `{FILE}`. Nothing is known of how the model does on "
        "other images than those named above.",
        "",
    ]
    return "\n".join(lines)


def _measured(description: Description, measured: Mapping[str, Any]) -> list[str]:
    found = description.get("verification")
    lines = []
    if found:
        lines.append(
            f"- Loaded in a fresh process, on {found['images']} real images its logits differ from those of the network "
            f"in fp32 by at most {found['max_difference']:.2g} (the largest logit is {found['largest_logit']:.1f})."
        )
    if measured:
        lines.append(
            f"- {measured['accuracy']:.2f} % of {measured['images']:,} {measured['split']} images, in fp32 before the "
            f"export {measured['accuracy_fp32']:.2f} %."
        )
        lines += [
            f"- Batch {row['batch_size']}: {row['ratio']:.2f} times the speed of fp32 in PyTorch ({row['ms']:.2f} ms "
            f"against {row['ms_fp32']:.2f} ms), {measured['threads']} threads of {measured['device']}."
            for row in measured["speed"]
        ]
    return lines or ["Nothing."]


def _plain(text: str) -> str:
    """Return a text that Markdown takes as it is."""
    return " ".join(str(text).replace("`", "'").split())
