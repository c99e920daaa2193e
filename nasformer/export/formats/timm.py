"""timm: the files of safetensors, opened by timm's factory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasformer.export.formats.safetensors import Safetensors, fits_timm, of_torch

if TYPE_CHECKING:
    from pathlib import Path

    from nasformer.export.description import Description
    from nasformer.export.formats._format import Run
    from nasformer.supernet.model import VisionTransformer
    from nasformer.tasks import Task


class Timm(Safetensors):
    """A folder for ``timm.create_model("local-dir:PATH", pretrained=True)``."""

    on_device = False

    def open(self, path: Path, device: str) -> tuple[Description, Run]:
        """Load the folder with timm's factory."""
        import timm

        import nasformer.export.timm  # noqa: F401 (registers the model)

        description, _ = super().open(path, "cpu")
        return description, of_torch(timm.create_model(f"local-dir:{path.parent}", pretrained=True).eval())

    def snippet(self, inputs: str, output: str) -> str:
        """Load with timm."""
        return (
            "import timm\nimport nasformer.export.timm\n\n"
            'model = timm.create_model("local-dir:.", pretrained=True).eval()'
        )

    def misfit(self, net: VisionTransformer, task: Task | None = None) -> str:
        """Tell what timm has not."""
        return "" if fits_timm(net) else "timm has no networks of series or with pooling 'flatten' or 'cls_mean'"
