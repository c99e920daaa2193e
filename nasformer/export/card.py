"""Model card of an export: input, output, measured accuracy and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """Return the Markdown card of an export's ``nasformer.json``."""
    loader = PackageLoader("nasformer.export", package_path="")
    page = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    trainings = [*_trainings(record["provenance"])]
    words = {
        "use": _USES[record["format"]],
        "apart": _apart(trainings, record["provenance"]["data"]["fingerprint"]),
        "before": [_in_short(training) for training in trainings[1:]],
    }
    return page.get_template("card.md.j2").render(**{**record, **words}) + "\n"


def _apart(trainings: Sequence[Mapping[str, Any]], data: str | None) -> str:
    """State whether the test images were held out from all trainings of the weights."""
    seen = {training.get("trained_on") for training in trainings}
    if None in seen:
        return "The training data are not fully recorded: they may include these images."
    if seen != {data}:
        return "The weights were also trained on other data, which may include these images."
    return "They did not train the network."


def _trainings(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the record of each training, the last one first."""
    yield provenance
    if "from" in provenance:
        yield from _trainings(provenance["from"])


def _in_short(training: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("training", "weights", "weights_sha256", "trained_on")
    return {key.replace("_", " "): training[key] for key in shown if key in training}
