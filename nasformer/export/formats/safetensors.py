"""safetensors: nasformer's own layout, with timm's configuration beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nasformer.export.description import Description
from nasformer.export.formats._format import Array, Format, Run

if TYPE_CHECKING:
    from pathlib import Path

    from nasformer.supernet.model import VisionTransformer


class Safetensors(Format):
    """A file of pure data for ``nasformer.supernet.load_network`` and timm."""

    file = "model.safetensors"
    on_device = True

    def write(self, net: VisionTransformer, path: Path, description: Description, plain: Path | None) -> None:
        """Save the weights."""
        import torch

        if description.dtype == "bf16":
            net.to(torch.bfloat16)
        net.save(path, {"export": description.to_json()})
        if fits_timm(net):
            from nasformer.export.timm.folder import write_config

            write_config(net, path.parent, description)

    def open(self, path: Path, device: str) -> tuple[Description, Run]:
        """Load the network in torch."""
        import torch

        from nasformer.supernet import load_network
        from nasformer.supernet.checkpoint import read_checkpoint

        header, _ = read_checkpoint(path, "network")
        description = Description.from_json(header["metadata"].get("export"), path)
        dtype = torch.bfloat16 if description.dtype == "bf16" else torch.float32
        place = _place(device)
        return description, of_torch(load_network(path).to(place, dtype), dtype, place)

    def snippet(self, inputs: str, output: str) -> str:
        """Load with nasformer."""
        return (
            "from nasformer.supernet import load_network\n\n"
            f'net = load_network("{self.file}")  # a torch module: {inputs} to {output}'
        )


def fits_timm(net: VisionTransformer) -> bool:
    """Whether timm's model can hold a network."""
    return net.geometry.axes == 2 and net.pooling not in ("flatten", "cls_mean")


def of_torch(net: Any, dtype: Any = None, device: Any = "cpu") -> Run:
    """Return a function of arrays that runs a torch module."""
    import torch

    def run(inputs: Array) -> Array:
        with torch.inference_mode():
            outputs: Array = net(torch.from_numpy(inputs).to(device, dtype)).float().cpu().numpy()
        return outputs

    return run


def _place(device: str) -> Any:
    import torch

    if device == "cpu":
        return torch.device("cpu")
    from nasformer.training.device import find_device  # a slow import, not needed for the CPU

    return find_device(device)
