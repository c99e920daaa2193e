"""ONNX for onnxruntime, which needs neither torch nor timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasformer._io import to_json
from nasformer._onnx import MODULES, OPSET, need, open_session, quantise, to_onnx
from nasformer.export.description import KEY, Description
from nasformer.export.formats._format import Format, Run

if TYPE_CHECKING:
    from pathlib import Path

    from nasformer.supernet.model import VisionTransformer


class Onnx(Format):
    """The network's inputs to its outputs, both float32."""

    file = "model.onnx"
    dtypes = ("fp32", "int8")
    needs = MODULES
    opset = OPSET

    def write(self, net: VisionTransformer, path: Path, description: Description, plain: Path | None) -> None:
        """Export by torch, or quantise the fp32 file."""
        onnx = need("onnx")
        if description.dtype == "int8":
            assert plain is not None
            model = quantise(plain)
        else:
            model = self.exported(net, description)
        texts = {KEY: description.to_json(), "outputs": to_json(description.task.outputs)}
        onnx.helper.set_model_props(model, texts)
        onnx.save(model, path)

    def exported(self, net: VisionTransformer, description: Description) -> Any:
        """Return the network as an ``onnx.ModelProto``."""
        import torch

        inputs = {description.input_name: torch.zeros(2, *net.geometry.input_shape)}
        return to_onnx(net, inputs, [description.task.output])

    def open(self, path: Path, device: str) -> tuple[Description, Run]:
        """Start a session of onnxruntime."""
        from nasformer.export.formats import get_format

        session = open_session(path)
        description = Description.from_json(session.get_modelmeta().custom_metadata_map.get(KEY), path)
        (given,) = session.get_inputs()
        own = get_format(description.format)
        assert isinstance(own, Onnx)
        return description, own.runner(lambda inputs: session.run(None, {given.name: inputs})[0], description)

    def runner(self, run: Run, description: Description) -> Run:
        """Return what maps inputs to outputs by a function that runs the session."""
        return run

    def snippet(self, inputs: str, output: str) -> str:
        """Run with onnxruntime."""
        return (
            f'import onnxruntime\n\nsession = onnxruntime.InferenceSession("{self.file}")\n'
            f'{output} = session.run(["{output}"], {{"{inputs}": {inputs}}})[0]  # float32, any number of {inputs}'
        )
