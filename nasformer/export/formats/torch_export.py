"""torch.export: a program that torch runs. Loading one can run code, so open only files from trusted sources."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zipfile import is_zipfile

from nasformer.errors import ExportError
from nasformer.export.description import KEY, Description
from nasformer.export.formats._format import Format, Run
from nasformer.export.formats.safetensors import of_torch

if TYPE_CHECKING:
    from pathlib import Path

    from nasformer.supernet.model import VisionTransformer


class TorchExport(Format):
    """A ``.pt2`` file for ``torch.export.load``; inputs and outputs are float32 in any dtype."""

    file = "model.pt2"

    def write(self, net: VisionTransformer, path: Path, description: Description, plain: Path | None) -> None:
        """Trace the network for any batch size."""
        import torch

        inputs, batch = torch.zeros(2, *net.geometry.input_shape), torch.export.Dim("batch", min=1)
        if description.dtype == "bf16":
            net.to(torch.bfloat16)
            net.register_forward_pre_hook(lambda _, given: (given[0].to(torch.bfloat16), *given[1:]))
            net.register_forward_hook(lambda *given: given[2].float())
        with torch.no_grad():
            program = torch.export.export(net, (inputs,), dynamic_shapes={"images": {0: batch}}, strict=False)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # removes local paths
        torch.export.save(program, path, extra_files={KEY: description.to_json()})

    def open(self, path: Path, device: str) -> tuple[Description, Run]:
        """Load the program in torch."""
        import torch

        if not is_zipfile(path):
            raise ExportError(f"cannot open {path}: truncated, or not a torch.export file; export it again", path)
        texts = {KEY: ""}
        program = torch.export.load(path, extra_files=texts)
        return Description.from_json(texts[KEY], path), of_torch(program.module())

    def snippet(self, inputs: str, output: str) -> str:
        """Load with torch."""
        return (
            f'import torch\n\nmodel = torch.export.load("{self.file}").module()\n'
            f"{output} = model({inputs})  # float32, any number of {inputs}"
        )
