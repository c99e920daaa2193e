"""The model card: what a file is, takes and scores, in words for whoever gets it, and nothing that was not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_USES = {
    "safetensors": "from nasformer.supernet import load_network\n\n"
    'net = load_network("model.safetensors")  # a torch module: images to logits',
    "timm": "import timm\nimport nasformer.export.timm\n\n"
    'model = timm.create_model("local-dir:.", pretrained=True).eval()',
    "onnx": 'import onnxruntime\n\nsession = onnxruntime.InferenceSession("model.onnx")\n'
    'logits = session.run(["logits"], {"images": images})[0]  # float32, any number of images',
    "torch-export": 'import torch\n\nmodel = torch.export.load("model.pt2").module()\n'
    "logits = model(images)  # float32, any number of images",
}


def model_card(record: Mapping[str, Any]) -> str:
    """Return the card, in Markdown, of what an export's ``nasformer.json`` says."""
    loader = PackageLoader("nasformer.export", package_path="")
    page = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    return page.get_template("card.md.j2").render(**{**record, "use": _USES[record["format"]]}) + "\n"
