"""Check: an exported model is loaded in a fresh process and shown real images; are its logits what they were?

``python -m nasformer.export.check FOLDER IMAGES.npy LOGITS.npy [timm]`` is that process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nasformer.errors import ExportError
from nasformer.export.formats import Dtype
from nasformer.export.opened import Images, Run, open_model

TOLERANCE: dict[Dtype, float] = {"fp32": 1e-4, "bf16": 0.1, "int8": 0.25}
"""Largest difference of logits that passes, as a share of the largest logit."""


def check(folder: Path, images: Images, expected: Images, dtype: Dtype, *, by_timm: bool = False) -> dict[str, Any]:
    """Return how far the logits of an exported model are from those of the network.

    Args:
        folder: What was written.
        images: Real images ``(n, channels, height, width)``, preprocessed.
        expected: The network's logits ``(n, num_classes)``, in fp32.
        dtype: The precision of what was written.
        by_timm: Whether timm loads it.

    Raises:
        ExportError: It cannot be loaded, or differs by more than the precision explains.
    """
    found = _in_a_fresh_process(folder, images, by_timm)
    difference, largest = float(np.abs(found - expected).max()), float(np.abs(expected).max())
    if not difference <= TOLERANCE[dtype] * max(1.0, largest):
        raise ExportError(
            f"the exported model is not what it was: on {len(images)} images its logits differ by up to "
            f"{difference:.3g}, where {dtype} explains {TOLERANCE[dtype] * max(1.0, largest):.3g}; nothing was kept",
            difference,
        )
    same = float((found.argmax(axis=1) == expected.argmax(axis=1)).mean())
    kept = {"images": len(images), "max_difference": difference, "largest_logit": largest, "same_class": same}
    return {**kept, "loaded_by": "timm" if by_timm else "nasformer"}


def _in_a_fresh_process(folder: Path, images: Images, by_timm: bool) -> Images:
    with tempfile.TemporaryDirectory() as place:
        shown, told = Path(place, "images.npy"), Path(place, "logits.npy")
        np.save(shown, images)
        command = [sys.executable, "-m", "nasformer.export.check", str(folder), str(shown), str(told)]
        done = subprocess.run([*command, *(["timm"] if by_timm else [])], capture_output=True, text=True, check=False)
        if done.returncode or not told.exists():
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise ExportError(f"the exported model cannot be loaded in a fresh process: {lines[-1]}", folder)
        logits: Images = np.load(told)
        return logits


def _timm(folder: Path) -> Run:
    import timm

    import nasformer.export.timm  # noqa: F401 (registers the model)

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()

    def run(images: Images) -> Images:
        with torch.inference_mode():
            logits: Images = model(torch.from_numpy(images)).float().numpy()
        return logits

    return run


def main() -> None:
    """Load, run, and write the logits."""
    folder, shown, told, *how = sys.argv[1:]
    run = _timm(Path(folder)) if how else open_model(folder).run
    np.save(told, run(np.load(shown)))


if __name__ == "__main__":
    main()
